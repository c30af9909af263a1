//! Rules about single Rust files.

use super::tree::{Finding, Text};

const LINES_MAX: usize = 500;

/// The first line is `//!`.
pub(crate) fn purpose_first(file: &Text) -> Vec<Finding> {
    if file.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![file.finding(1, "must begin with `//! ` and one sentence of purpose")]
}

/// No file is longer than `LINES_MAX`.
pub(crate) fn too_long(file: &Text) -> Vec<Finding> {
    let count = file.text.lines().count();
    if count <= LINES_MAX {
        return Vec::new();
    }
    vec![file.finding(
        LINES_MAX + 1,
        format!("{count} lines, over {LINES_MAX}: this is two rooms"),
    )]
}

/// `room.rs` stands beside `room/`.
pub(crate) fn mod_file(file: &Text) -> Vec<Finding> {
    match file.path.strip_suffix("/mod.rs") {
        Some(folder) => vec![file.finding(1, format!("must be {folder}.rs"))],
        None => Vec::new(),
    }
}

/// Work that is left names its issue, as in `(#12)`.
pub(crate) fn left_to_do(file: &Text) -> Vec<Finding> {
    // In two parts, so that this file does not name them.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let is_bare = |line: &str, mark: &str| {
        line.match_indices(mark).any(|(at, _)| {
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let (before, after) = (&line[..at], &line[at + mark.len()..]);
            !is_word(before.chars().next_back())
                && !is_word(after.chars().next())
                && !after.starts_with("(#")
        })
    };
    file.lines()
        .filter(|(_, line)| marks.iter().any(|mark| is_bare(line, mark)))
        .map(|(number, line)| file.finding(number, format!("names no issue: {}", line.trim())))
        .collect()
}

/// No test is ignored.
pub(crate) fn switched_off(file: &Text) -> Vec<Finding> {
    let attribute = concat!("#[", "ignore");
    file.code()
        .filter(|(_, line)| line.contains(attribute))
        .map(|(number, _)| file.finding(number, "a test runs, or is removed"))
        .collect()
}

/// A file sets a mailbox capacity for each actor it implements.
pub(crate) fn unbounded_actor(file: &Text) -> Vec<Finding> {
    if file.is_test() || !(file.path.starts_with("actors/") || file.path.starts_with("src/")) {
        return Vec::new();
    }
    let actors: Vec<(usize, &str)> = file.code().filter(|(_, line)| is_actor(line)).collect();
    let bounds = file
        .code()
        .filter(|(_, line)| line.contains("set_mailbox_capacity("))
        .count();
    if bounds >= actors.len() {
        return Vec::new();
    }
    actors
        .into_iter()
        .map(|(number, _)| {
            file.finding(number, "an actor without `set_mailbox_capacity` in its file: the default of 16 is no statement")
        })
        .collect()
}

fn is_actor(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("impl") else {
        return false;
    };
    rest.split_once("Actor for ")
        .is_some_and(|(before, _)| before.ends_with([' ', ':', '>']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_missing_purpose_is_found() {
        assert_eq!(
            lines(&purpose_first(&Text::sample("a.rs", "\n//! Late.\n"))),
            [1]
        );
        assert_eq!(lines(&purpose_first(&Text::sample("a.rs", "//!\n"))), [1]);
        assert_eq!(lines(&purpose_first(&Text::sample("a.rs", ""))), [1]);
        assert_eq!(purpose_first(&Text::sample("a.rs", "//! A.\n")), []);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(too_long(&Text::sample("a.rs", "\n".repeat(500))), []);
        assert_eq!(
            lines(&too_long(&Text::sample("a.rs", "\n".repeat(501)))),
            [501]
        );
    }

    #[test]
    fn a_mod_file_is_found() {
        assert_eq!(
            mod_file(&Text::sample("src/room/mod.rs", ""))[0].what,
            "must be src/room.rs"
        );
        assert_eq!(mod_file(&Text::sample("src/room.rs", "")), []);
    }

    #[test]
    fn bare_marks_are_found() {
        let text =
            "// TO-DO\nlet x = 1; // TO_DO: later\n/// FIX_ME\n// TO_DO(#12): known\nTO_DOS\n";
        let file = Text::sample(
            "a.rs",
            text.replace("TO_DO", concat!("TO", "DO"))
                .replace("FIX_ME", concat!("FIX", "ME")),
        );
        assert_eq!(lines(&left_to_do(&file)), [2, 3]);
    }

    #[test]
    fn a_switched_off_test_is_found() {
        let text = "#[test]\n#[off]\n#[off = \"slow\"]\n// #[off]\n".replace("off", "ignore");
        assert_eq!(lines(&switched_off(&Text::sample("a.rs", text))), [2, 3]);
    }

    #[test]
    fn an_actor_without_a_bound_is_found() {
        let plain = "impl Actor for A {}\n";
        assert_eq!(
            lines(&unbounded_actor(&Text::sample("actors/src/a.rs", plain))),
            [1]
        );
        for form in [
            "impl actix::Actor for A {",
            "impl<T: X> Actor for A<T> {",
            "impl<T> ::actix::Actor for A<T>",
        ] {
            assert_eq!(
                lines(&unbounded_actor(&Text::sample("src/a.rs", form))),
                [1],
                "{form}"
            );
        }
        let bounded = "impl Actor for A {\n    ctx.set_mailbox_capacity(64);\n";
        assert_eq!(unbounded_actor(&Text::sample("src/a.rs", bounded)), []);
        let second = format!("{bounded}}}\nimpl Actor for B {{}}\n");
        assert_eq!(
            lines(&unbounded_actor(&Text::sample("src/a.rs", second))),
            [1, 4]
        );
        for other in [
            "// impl Actor for A",
            "impl NotActor for A {}",
            "trait Actor for",
        ] {
            assert_eq!(
                unbounded_actor(&Text::sample("src/a.rs", other)),
                [],
                "{other}"
            );
        }
        assert_eq!(
            unbounded_actor(&Text::sample("actors/tests/a.rs", plain)),
            []
        );
    }
}
