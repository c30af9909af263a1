//! A validator for the keywords that the generated JSON Schemas use; any other keyword is a panic, not a pass.
//!
//! Absent: `format` beyond what the types check themselves, remote references, and every keyword that no schema here has.

#![allow(dead_code, reason = "each target uses its part")]

use serde_json::Value;

/// Says where and why `value` is not what `schema` asks; `root` is the document that references point into.
pub(crate) fn validate(
    root: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return match schema {
            Value::Bool(true) => Ok(()),
            _ => Err(format!("{at}: nothing is allowed")),
        };
    };
    for (keyword, wanted) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = wanted.as_str().and_then(|text| text.strip_prefix('#'));
                let target = pointer.and_then(|pointer| root.pointer(pointer));
                validate(
                    root,
                    target.ok_or(format!("{at}: dangling {wanted}"))?,
                    value,
                    at,
                )?;
                true
            }
            "allOf" => {
                for part in list(wanted) {
                    validate(root, part, value, at)?;
                }
                true
            }
            "anyOf" => matching(root, wanted, value, at) >= 1,
            "oneOf" => matching(root, wanted, value, at) == 1,
            "required" => list(wanted).iter().all(|name| {
                value
                    .as_object()
                    .is_none_or(|o| o.contains_key(name.as_str().unwrap_or_default()))
            }),
            "properties" => {
                for (name, part) in wanted.as_object().into_iter().flatten() {
                    if let Some(field) = value.get(name) {
                        validate(root, part, field, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = keywords.get("properties");
                for (name, field) in value.as_object().into_iter().flatten() {
                    if known.and_then(|known| known.get(name)).is_none() {
                        validate(root, wanted, field, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(root, wanted, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "$schema" | "$defs" | "title" | "description" | "default" => true,
            other => plain(other, wanted, value),
        };
        if !holds {
            return Err(format!("{at}: {value} breaks {keyword} {wanted}"));
        }
    }
    Ok(())
}

/// Tells whether `value` holds to a keyword that looks no deeper.
fn plain(keyword: &str, wanted: &Value, value: &Value) -> bool {
    match keyword {
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|one| is_type(one, value)),
            one => is_type(one, value),
        },
        "const" => wanted == value,
        "enum" => list(wanted).contains(value),
        "minimum" => number(value).is_none_or(|n| number(wanted).is_some_and(|min| n >= min)),
        "maximum" => number(value).is_none_or(|n| number(wanted).is_some_and(|max| n <= max)),
        "maxLength" => value.as_str().is_none_or(|text| {
            wanted
                .as_u64()
                .is_some_and(|max| text.chars().count() as u64 <= max)
        }),
        "pattern" => is_known_pattern(wanted, value),
        "format" => is_format(wanted, value),
        other => panic!("the validator does not know {other}"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("the keyword takes a list")
}

fn matching(root: &Value, choices: &Value, value: &Value, at: &str) -> usize {
    let fits = |choice: &&Value| validate(root, choice, value, at).is_ok();
    list(choices).iter().filter(fits).count()
}

fn number(value: &Value) -> Option<i128> {
    value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from))
}

fn is_type(wanted: &Value, value: &Value) -> bool {
    match wanted.as_str().expect("a type is a word") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => number(value).is_some(),
        other => panic!("the validator does not know the type {other}"),
    }
}

fn is_known_pattern(pattern: &Value, value: &Value) -> bool {
    assert_eq!(
        pattern, "^[A-Za-z0-9._:@-]{1,128}$",
        "the only pattern so far"
    );
    value
        .as_str()
        .is_none_or(|text| text.parse::<parlor_schema::UserId>().is_ok())
}

fn is_format(format: &Value, value: &Value) -> bool {
    let text = value.as_str();
    match format.as_str().expect("a format is a word") {
        "uuid" => text.is_none_or(|text| text.parse::<parlor_schema::MsgId>().is_ok()),
        "date-time" => text.is_none_or(|text| text.parse::<parlor_schema::Timestamp>().is_ok()),
        "uint32" => number(value).is_none_or(|n| u32::try_from(n).is_ok()),
        "uint64" => number(value).is_none_or(|n| u64::try_from(n).is_ok()),
        other => panic!("the validator does not know the format {other}"),
    }
}
