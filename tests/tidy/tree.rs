//! The files of the repository, and how a broken rule is reported.

use std::{fmt, fs, path::Path, process::Command};

/// Root of the repository.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file: its path from the root with `/`, and what it holds.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A place where a rule is broken.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Text {
    /// Reads a file by its path from the root.
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(Path::new(ROOT).join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        Self {
            path: path.to_owned(),
            text,
        }
    }

    /// Makes a file that exists only in a test.
    pub(crate) fn sample(path: &str, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            text: text.into(),
        }
    }

    /// Returns the lines with their numbers from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Returns the lines of Rust without their comments; a `//` in a text, as in an address, is taken for none.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| {
            let comment = line
                .match_indices("//")
                .find(|(at, _)| !line[..*at].ends_with(':'));
            (number, comment.map_or(line, |(at, _)| &line[..at]))
        })
    }

    /// Tells whether the file belongs to tests, benches or examples of any package.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "examples"))
    }

    /// Reports this file.
    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }
}

/// Returns the files with this extension that are tracked, or new and not ignored.
pub(crate) fn files(extension: &str) -> Vec<Text> {
    let output = Command::new("git")
        // A checkout of another user, as in a container, is a checkout too.
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-co",
            "--exclude-standard",
            "-z",
            "--",
        ])
        .arg(format!("*.{extension}"))
        .current_dir(ROOT)
        .output()
        .expect("this test needs git");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let mut paths: Vec<&str> = listed
        .split('\0')
        // A file that was deleted but not yet from the index is listed, too.
        .filter(|path| !path.is_empty() && Path::new(ROOT).join(path).is_file())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(Text::read).collect()
}
