//! The files under `wire/`: reading them, and comparing them with what the types say.
//!
//! Absent: hidden repair. A generated file is rewritten only with `UPDATE=1` in the environment, and then shows up in the diff.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests; each target uses its part"
)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, value::RawValue};

/// Returns a path under `wire/`.
pub(crate) fn wire(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("wire")
        .join(path)
}

/// Returns the types that have a golden file in `folder`.
pub(crate) fn types(folder: &str) -> BTreeSet<String> {
    fs::read_dir(wire(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".json").unwrap().to_owned())
        .collect()
}

/// Returns the frames of a golden file, each as it stands there.
pub(crate) fn frames(folder: &str, kind: &str) -> Vec<String> {
    let path = wire(&format!("{folder}/{kind}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let frames: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap();
    assert!(!frames.is_empty(), "{path:?} has no frame");
    frames.iter().map(|frame| frame.get().to_owned()).collect()
}

/// Writes frames as a golden file has them: one on a line, each byte for byte.
pub(crate) fn golden_text(frames: &[String]) -> String {
    format!("[\n  {}\n]\n", frames.join(",\n  "))
}

/// Compares a generated file with `expected`, or rewrites it.
pub(crate) fn same_or_update(path: &str, expected: &str) {
    let path = wire(path);
    #[allow(
        clippy::disallowed_methods,
        reason = "a switch of the test, no setting"
    )]
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{path:?} is not what the types say; run the test with UPDATE=1 and read the diff.\nexpected:\n{expected}"
    );
}

/// Writes a document with its keys sorted.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
