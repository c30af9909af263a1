//! Links between the documents of the repository.

use std::path::Path;

use super::tree::{Finding, ROOT, Text};

/// Every relative link of a Markdown file leads to a file or folder that is there.
pub(crate) fn dead_links(file: &Text) -> Vec<Finding> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    targets(file)
        .into_iter()
        .filter(|(_, target)| !Path::new(ROOT).join(folder).join(target).exists())
        .map(|(line, target)| file.finding(line, format!("leads nowhere: {target}")))
        .collect()
}

/// Returns the relative targets, without what follows `#`; code is not looked at.
fn targets(file: &Text) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        // Every second part of a line split at its backticks is code.
        for prose in line.split('`').step_by(2) {
            found.extend(
                prose
                    .split("](")
                    .skip(1)
                    .filter_map(relative)
                    .map(|target| (number, target)),
            );
        }
    }
    found
}

fn relative(rest: &str) -> Option<&str> {
    let target = rest.split([')', ' ']).next()?;
    let path = target.split('#').next()?;
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
    (!is_elsewhere).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_found() {
        let text = "[a](../Cargo.toml) [b](no.md)\n```\n[c](no.md)\n```\n`[d](no.md)` [e](#here) [f](https://g.org/h)\n\
                    [`i`](gone/#part \"title\") [j](../src#x)\n";
        let found = dead_links(&Text::sample("docs/a.md", text));
        let lines: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(
            lines,
            [
                "docs/a.md:1: leads nowhere: no.md",
                "docs/a.md:6: leads nowhere: gone/"
            ]
        );
    }
}
