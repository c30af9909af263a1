//! Reading settings: the file, then the environment over it, then the checks.
//!
//! Owns invariants C-2 and C-3. Each environment variable is tried on its own, on top of nothing but defaults, so that a
//! refusal can name the variable. Deliberately absent: the process environment itself; the caller passes it.

use std::{collections::BTreeMap, fs, path::Path};

use toml::{Table, Value};

use crate::{ConfigError, Origin, Refusal, Settings};

const PREFIX: &str = "PARLOR__";

impl Settings {
    /// Loads the settings: defaults, the file over them, the variables of `env` that begin with `PARLOR__` over both.
    ///
    /// `PARLOR__STORAGE__CQL__NODES` stands for `storage.cql.nodes`. A value is read as TOML where the setting takes what
    /// it then is, else as a text: `PARLOR__NODE__ID=7` needs no quotes, a list is `["a:9042", "b:9042"]`.
    ///
    /// # Errors
    /// A file that cannot be read or is not TOML, an unknown key, a value that cannot be taken; see [`ConfigError`].
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let from_file = file.map(read_file).transpose()?.unwrap_or_default();
        let from_env = read_environment(env)?;
        let mut merged = from_file.clone();
        for (key, variable) in &from_env {
            put(&mut merged, key, variable.value.clone());
        }
        let origin = |key: &str| match (from_env.get(key), file) {
            (Some(variable), _) => Origin::Environment(variable.name.clone()),
            (None, Some(path)) if contains(&from_file, key) => Origin::File {
                path: path.to_owned(),
                line: None,
            },
            _ => Origin::Default,
        };
        let settings =
            read_table(merged).and_then(|settings: Self| settings.validate().map(|()| settings));
        settings.map_err(|refusal| ConfigError::Refused {
            origin: origin(&refusal.key),
            refusal,
        })
    }
}

/// Holds an environment variable that a setting takes.
struct Variable {
    name: String,
    value: Value,
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let line_of = |error: &toml::de::Error| {
        error
            .span()
            .and_then(|span| text.get(..span.start))
            .map(|before| before.matches('\n').count() + 1)
    };
    let syntax = |error: toml::de::Error| {
        // The text at the span is shown for keys only: a value may be a password.
        let key = error
            .span()
            .and_then(|span| text.get(span))
            .filter(|_| error.message() == "duplicate key");
        ConfigError::Syntax {
            path: path.to_owned(),
            line: line_of(&error).unwrap_or(1),
            reason: key.map_or_else(
                || error.message().to_owned(),
                |key| format!("duplicate key `{key}`"),
            ),
        }
    };
    let table: Table = toml::from_str(&text).map_err(syntax)?;
    // The text again, not the table: only the text knows its lines.
    let deserializer = toml::Deserializer::parse(&text).map_err(syntax)?;
    match serde_path_to_error::deserialize::<_, Settings>(deserializer) {
        Ok(_) => Ok(table),
        Err(error) => Err(ConfigError::Refused {
            origin: Origin::File {
                path: path.to_owned(),
                line: line_of(error.inner()),
            },
            refusal: refusal(&error),
        }),
    }
}

/// Returns the variables that stand for settings, by dotted key.
fn read_environment(
    env: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, Variable>, ConfigError> {
    let mut taken = BTreeMap::new();
    for (name, text) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        match read_value(&key, text) {
            Ok(value) => taken.insert(key, Variable { name, value }),
            Err(refusal) => {
                return Err(ConfigError::Refused {
                    refusal,
                    origin: Origin::Environment(name),
                });
            }
        };
    }
    Ok(taken)
}

/// Reads a text as whatever the setting `key` takes.
fn read_value(key: &str, text: String) -> Result<Value, Refusal> {
    // A table would be a whole section, and hide its unknown keys behind the section's name.
    let typed = text.parse::<Value>().ok().filter(|value| !value.is_table());
    let typed_refusal = match typed {
        Some(value) => match try_alone(key, value) {
            Ok(value) => return Ok(value),
            Err(refusal) => Some(refusal),
        },
        None => None,
    };
    try_alone(key, Value::String(text)).map_err(|as_text| match typed_refusal {
        // No text can be taken at all, so what was wrong is the typed value.
        Some(refusal) if as_text.reason.starts_with("invalid type: string") => refusal,
        _ => as_text,
    })
}

/// Returns `value` if it can be taken for `key`, everything else being default.
fn try_alone(key: &str, value: Value) -> Result<Value, Refusal> {
    let mut alone = Table::new();
    put(&mut alone, key, value.clone());
    read_table(alone).map(|_| value).map_err(|refusal| Refusal {
        key: key.to_owned(),
        ..refusal
    })
}

fn read_table(table: Table) -> Result<Settings, Refusal> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| refusal(&error))
}

fn refusal(error: &serde_path_to_error::Error<toml::de::Error>) -> Refusal {
    let message = error.inner().message().trim_end();
    let reason = match message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once('`'))
    {
        Some((_, expected)) => format!("unknown setting{expected}"),
        None => message.to_owned(),
    };
    Refusal {
        key: error.path().to_string(),
        reason,
    }
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            // What was read from a file has passed the check of its types: a section is a table.
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn contains(table: &Table, key: &str) -> bool {
    match key.split_once('.') {
        None => table.contains_key(key),
        Some((section, rest)) => table
            .get(section)
            .and_then(Value::as_table)
            .is_some_and(|inner| contains(inner, rest)),
    }
}
