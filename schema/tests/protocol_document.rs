//! `docs/PROTOCOL.md` says what the Rust tables say: every frame type, payload field, error code and close code, and no other.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, fs};

use parlor_schema::{
    CloseCode, ErrorCode, EventKind, client_schema,
    frame::{ClientFrame, ServerFrame},
    server_schema,
};
use serde_json::Value;

fn document() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PROTOCOL.md")).unwrap()
}

/// Returns the cells of the first table under `heading`, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = document();
    let section = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"))
        .1;
    section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// Returns what stands between backticks, without the mark of what may be left out.
fn words(cell: &str) -> Vec<&str> {
    let inside = cell.split('`').skip(1).step_by(2);
    inside.map(|word| word.trim_end_matches('?')).collect()
}

fn first_words(rows: &[Vec<String>]) -> Vec<&str> {
    rows.iter().flat_map(|row| words(&row[0])).collect()
}

/// Returns the properties of a payload's schema, of all its parts.
fn fields(root: &Value, schema: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    if let Some(reference) = schema["$ref"].as_str() {
        all.extend(fields(root, root.pointer(&reference[1..]).unwrap()));
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        all.extend(fields(root, part));
    }
    let properties = schema["properties"].as_object();
    all.extend(
        properties
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone()),
    );
    all
}

/// Asserts that each row names exactly the types in `types`, in their order, and in `column` each field of the payload but those of `common`.
fn assert_frames(
    rows: &[Vec<String>],
    types: &[&str],
    root: &Value,
    column: usize,
    common: &[&str],
) {
    assert_eq!(first_words(rows), types);
    for (row, kind) in rows.iter().zip(types) {
        let written = words(&row[column]);
        for field in fields(root, &root["$defs"][kind]["properties"]["payload"]) {
            let known = written.contains(&&*field) || common.contains(&&*field);
            assert!(known, "the row of {kind} lacks {field}");
        }
    }
}

#[test]
fn client_frames_are_listed_with_their_fields() {
    let rows = table("## Client frames");
    assert_frames(&rows, ClientFrame::TYPES, &client_schema(), 2, &[]);
    for row in rows {
        let kind = words(&row[0])[0];
        let appends = if ClientFrame::type_needs_msg_id(kind) {
            "yes"
        } else {
            "no"
        };
        assert_eq!(row[1], appends, "{kind}");
    }
}

#[test]
fn server_frames_are_listed_with_their_fields() {
    let schema = server_schema();
    let events: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let common = ["room_id", "seq", "sender", "sent_at", "client_msg_id"];
    assert_frames(&table("### Timeline events"), &events, &schema, 1, &common);
    assert_frames(
        &table("### Replies and notices"),
        ServerFrame::TYPES,
        &schema,
        1,
        &[],
    );
}

#[test]
fn error_codes_are_listed_with_their_status() {
    let rows = table("## Errors");
    let expected: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let again = if code.is_temporary() { "yes" } else { "no" };
            (
                format!("`{code}`"),
                code.http_status().to_string(),
                again.to_owned(),
            )
        })
        .collect();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn close_codes_are_listed_with_their_reasons() {
    let rows = table("## Close codes");
    let expected: Vec<_> = CloseCode::ALL
        .iter()
        .map(|code| {
            let again = if code.reconnects() { "yes" } else { "no" };
            (
                code.number().to_string(),
                format!("`{}`", code.reason()),
                again.to_owned(),
            )
        })
        .collect();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn links_inside_the_project_lead_somewhere() {
    let text = document();
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    for link in text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() {
            text.clone()
        } else {
            let target = format!("{docs}/{path}");
            assert!(fs::exists(&target).unwrap(), "{link}");
            fs::read_to_string(&target).unwrap_or_default()
        };
        let slug = |line: &str| {
            line.trim_start_matches(['#', ' ', '`'])
                .trim_end_matches('`')
                .to_lowercase()
                .replace(' ', "-")
        };
        let found = target
            .lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| slug(line) == anchor);
        assert!(anchor.is_empty() || found, "{link}");
    }
}
