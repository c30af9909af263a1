//! The reference of all settings, generated from the structs and their doc comments.
//!
//! Owns the shipped `config/parlor.toml` and `docs/SETTINGS.md`; a test compares both with what is generated here.
//! Deliberately absent: any text about a single setting.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{
    de::{DeserializeOwned, Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::{
    Auth, Cluster, Cql, Dedupe, Jwt, Limits, Log, Node, Presence, Push, Redis, Server, Settings,
    Storage,
};

/// Columns of the generated file.
const WIDTH: usize = 100;

/// Describes one section, sections in the order in which they are written.
struct Section {
    path: &'static str,
    about: String,
    keys: Vec<Key>,
}

/// Describes one setting.
struct Key {
    name: &'static str,
    about: String,
    /// The default, or for a setting that has none an example.
    value: Value,
    is_off: bool,
}

/// Returns the example file: every setting with its description and default; those without a default are commented out,
/// with an example.
///
/// # Panics
/// When a setting has no description, or neither a default nor an example; a test of this crate would have failed.
#[must_use]
pub fn example_toml() -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "The settings of Parlor with their defaults. Every key may be left out. The environment wins over this file: \
         PARLOR__SERVER__LISTEN stands for server.listen. Generated from the structs in config/src.",
    );
    for section in sections() {
        out.push('\n');
        comment(&mut out, &section.about);
        write_line(&mut out, format_args!("[{}]", section.path));
        for key in section.keys {
            out.push('\n');
            comment(&mut out, &key.about);
            let mark = if key.is_off { "# " } else { "" };
            write_line(&mut out, format_args!("{mark}{} = {}", key.name, key.value));
        }
    }
    out
}

/// Returns the page of all settings in Markdown: a table per section.
///
/// # Panics
/// As [`example_toml`].
#[must_use]
pub fn settings_table() -> String {
    let mut out = String::from(
        "# Settings\n\n\
         `parlor [serve] [--config FILE]` reads TOML, and the environment over it: `PARLOR__STORAGE__CQL__NODES` stands for\n\
         `storage.cql.nodes`, and its value is a TOML value or a bare text. Every setting may be left out; an unknown one\n\
         stops the start and is named. `parlor config check` prints what is in effect. Names that end in `_ms` are\n\
         milliseconds.\n\n\
         This page is generated from the structs in `config/src`, like the example file `config/parlor.toml`.\n",
    );
    for Section { path, about, keys } in sections() {
        write_line(
            &mut out,
            format_args!("\n## `{path}`\n\n{about}\n\n| key | default | |\n| --- | --- | --- |"),
        );
        for Key {
            name,
            about,
            value,
            is_off,
        } in keys
        {
            let default = if is_off {
                "–".to_owned()
            } else {
                format!("`{value}`")
            };
            let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
            write_line(
                &mut out,
                format_args!(
                    "| `{path}.{name}` | {default} | {} |",
                    about.replace('|', "\\|")
                ),
            );
        }
    }
    out
}

fn sections() -> Vec<Section> {
    vec![
        section::<Server>("server"),
        section::<Node>("node"),
        section::<Storage>("storage"),
        section::<Cql>("storage.cql"),
        section::<Cluster>("cluster"),
        section::<Redis>("cluster.redis"),
        section::<Auth>("auth"),
        section::<Jwt>("auth.jwt"),
        section::<Limits>("limits"),
        section::<Presence>("presence"),
        section::<Push>("push"),
        section::<Dedupe>("dedupe"),
        section::<Log>("log"),
    ]
}

fn section<T: DeserializeOwned + JsonSchema>(path: &'static str) -> Section {
    let defaults = defaults(path);
    let properties = schema_of::<T>()["properties"].take();
    let keys = field_names::<T>()
        .iter()
        .filter(|name| !defaults.get(**name).is_some_and(Value::is_table))
        .map(|name| {
            let property = &properties[*name];
            let default = defaults.get(*name).cloned();
            Key {
                name,
                about: description(property, &format!("{path}.{name}")),
                is_off: default.is_none(),
                value: default.unwrap_or_else(|| example(property, &format!("{path}.{name}"))),
            }
        })
        .collect();
    Section {
        path,
        about: section_about(path),
        keys,
    }
}

fn defaults(path: &str) -> Table {
    let mut table = Table::try_from(Settings::default())
        .expect("invariant: settings are tables of plain values");
    for name in path.split('.') {
        match table.remove(name) {
            Some(Value::Table(inner)) => table = inner,
            _ => panic!("no section {path}"),
        }
    }
    table
}

/// Returns what the field that holds a section says about it.
fn section_about(path: &str) -> String {
    let (schema, field) = match path.split_once('.') {
        None => (schema_of::<Settings>(), path),
        Some(("storage", field)) => (schema_of::<Storage>(), field),
        Some(("cluster", field)) => (schema_of::<Cluster>(), field),
        Some(("auth", field)) => (schema_of::<Auth>(), field),
        Some(_) => panic!("no section {path}"),
    };
    description(&schema["properties"][field], path)
}

fn schema_of<T: JsonSchema>() -> Json {
    schemars::schema_for!(T).to_value()
}

fn description(property: &Json, key: &str) -> String {
    property["description"]
        .as_str()
        .unwrap_or_else(|| panic!("{key} has no description"))
        .to_owned()
}

fn example(property: &Json, key: &str) -> Value {
    let example = property["examples"]
        .get(0)
        .unwrap_or_else(|| panic!("{key} has neither default nor example"));
    Value::try_from(example).expect("invariant: an example is a plain value")
}

fn comment(out: &mut String, about: &str) {
    let mut line = String::from("#");
    for word in about.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            write_line(out, format_args!("{line}"));
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    write_line(out, format_args!("{line}"));
}

fn write_line(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("invariant: writing to a string never fails");
}

/// Returns the field names of a struct in the order of its declaration, which its schema does not keep.
fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The probe always fails, after it was told the names.
    let _ = T::deserialize(FieldProbe(&mut names));
    names
}

struct FieldProbe<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for FieldProbe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names were wanted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tables(prefix: &str, table: &Table, found: &mut BTreeSet<String>) {
        for (name, value) in table {
            if let Value::Table(inner) = value {
                found.insert(format!("{prefix}{name}"));
                tables(&format!("{prefix}{name}."), inner, found);
            }
        }
    }

    #[test]
    fn every_section_is_described() {
        let mut expected = BTreeSet::new();
        tables(
            "",
            &Table::try_from(Settings::default()).unwrap(),
            &mut expected,
        );
        let described: BTreeSet<String> = sections().iter().map(|s| s.path.to_owned()).collect();
        assert_eq!(described, expected);
    }

    #[test]
    fn every_example_can_be_taken() {
        for section in sections() {
            for key in section.keys {
                let line = format!("[{}]\n{} = {}\n", section.path, key.name, key.value);
                assert!(toml::from_str::<Settings>(&line).is_ok(), "{line}");
            }
        }
    }
}
