//! The rules of the repository that neither the compiler nor clippy knows.
//!
//! Owns one test per rule; each reports every place that breaks it, as `file:line: what`. The rules are functions over
//! texts, so that each is also shown a text that breaks it. Deliberately absent: what the lints of the workspace and
//! `clippy.toml` forbid, and whether frames and documents agree.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "tidy/direction.rs"]
mod direction;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/naming.rs"]
mod naming;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use tree::{Finding, Text};

/// Fails with every finding of `rule` in the files that end in `.extension`.
#[track_caller]
fn holds(extension: &str, rule: impl Fn(&Text) -> Vec<Finding>) {
    let files = tree::files(extension);
    assert!(
        !files.is_empty(),
        "no .{extension} files found: the test looks in the wrong place"
    );
    none(files.iter().flat_map(rule).collect());
}

#[track_caller]
fn none(findings: Vec<Finding>) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} broken:\n{}\n",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn dependencies_point_one_way() {
    none(direction::wrong_dependencies(&direction::workspace()));
}

#[test]
fn every_member_inherits_the_lints() {
    none(direction::own_lints(&direction::workspace()));
}

#[test]
fn every_file_says_first_what_it_is_for() {
    holds("rs", source::purpose_first);
}

#[test]
fn no_file_is_too_long() {
    holds("rs", source::too_long);
}

#[test]
fn modules_are_files_beside_their_folder() {
    holds("rs", source::mod_file);
}

#[test]
fn nothing_is_left_to_do() {
    holds("rs", source::left_to_do);
}

#[test]
fn no_test_is_switched_off() {
    holds("rs", source::switched_off);
}

#[test]
fn every_actor_states_its_mailbox_bound() {
    holds("rs", source::unbounded_actor);
}

#[test]
fn drivers_are_named_only_by_their_adapter() {
    holds("rs", naming::driver_outside_adapter);
}

#[test]
fn links_in_documents_lead_somewhere() {
    holds("md", links::dead_links);
}
