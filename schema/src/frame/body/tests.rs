//! Bodies as kept against bodies as parsed.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn body(json: &str) -> Body {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn compact_bodies_are_kept_as_they_came() {
    for json in [
        r#"{"text":"hi"}"#,
        r#"{"text":"\u0001\n\"\\/ \u007f é 😀"}"#.replace("\\u007f", "\u{7f}").as_str(),
        r#"{"format":"markdown","text":"*hi*"}"#,
        r#"{"ciphertext":"x","data":{"b":[1,-2,1.50,1E3,-0,18446744073709551616],"a":{"b":"\u001f\t"}},"text":"t"}"#,
        r#"{"data":[]}"#,
        "{}",
    ] {
        assert_eq!(body(json).json(), json);
    }
}

#[test]
fn other_bodies_are_made_compact() {
    for (json, kept) in [
        (r#" { "text" : "hi" } "#, r#"{"text":"hi"}"#),
        (
            r#"{"x":[1],"text":"hi","data":null,"format":null}"#,
            r#"{"text":"hi"}"#,
        ),
        (
            r#"{"text":"\u0061\/\u00e9\u000a\u001F"}"#,
            r#"{"text":"a/é\n\u001f"}"#,
        ),
        (
            r#"{"data":{"b": 1,"a" :[ 1.50 , " a \" b" ]}}"#,
            r#"{"data":{"b":1,"a":[1.50," a \" b"]}}"#,
        ),
        (
            r#"{"data":{"b":1,"a":[1.50,"\u0061"]}}"#,
            r#"{"data":{"a":[1.5,"a"],"b":1}}"#,
        ),
        (r#"{"data":"\u0061"}"#, r#"{"data":"a"}"#),
        (r#"{"data":"\/"}"#, r#"{"data":"/"}"#),
        (r#"{"data":"\u000a"}"#, r#"{"data":"\n"}"#),
        (
            r#"{"data":[{"a":1,"b":2,"a":3}]}"#,
            r#"{"data":[{"a":3,"b":2}]}"#,
        ),
        (r#"{"data":{"a":1,"\u0061":3}}"#, r#"{"data":{"a":3}}"#),
    ] {
        assert_eq!(body(json).json(), kept);
        assert_eq!(body(json), body(kept));
    }
    let apart = r#"{"data":[{"a":1},{"a":{"a":1}}]}"#;
    assert_eq!(body(apart).json(), apart, "the same name in two objects");
}

#[test]
fn the_size_is_that_of_the_kept_text() {
    let said = body(r#"{ "text": "\u0061" }"#);
    assert_eq!(said.check(12), Ok(()));
    let refusal = said.check(11).unwrap_err();
    assert_eq!(refusal.code, crate::ErrorCode::TooLarge);
    assert_eq!(refusal.field.as_deref(), Some("body"));
}

#[test]
fn what_says_nothing_is_refused_and_null_says_nothing() {
    let blame = |json: &str| body(json).check(usize::MAX).map_err(|r| r.field.unwrap());
    assert_eq!(blame("{}"), Err("body".into()));
    assert_eq!(blame(r#"{"format":"plain"}"#), Err("body".into()));
    assert_eq!(blame(r#"{"text":null,"data":null}"#), Err("body".into()));
    assert_eq!(blame(r#"{"text":"","data":1}"#), Err("body.text".into()));
    assert_eq!(blame(r#"{"ciphertext":""}"#), Ok(()));
    assert_eq!(blame(r#"{"data":""}"#), Ok(()));
    assert_eq!(blame(r#"{"data":[null]}"#), Ok(()));
}

#[test]
fn a_value_of_any_depth_becomes_a_body() {
    let mut deep = json!(1);
    for _ in 0..300 {
        deep = json!([deep]);
    }
    let said = Body::from(MessageBody {
        data: Some(deep),
        ..MessageBody::text("a")
    });
    let refusal = said.check(usize::MAX).unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("body.data"));
    assert!(said.parse().is_err());
}

#[test]
fn a_body_is_read_from_a_value_too() {
    let value = json!({ "text": "\"hi\"", "data": { "a": ["\\"] } });
    let read: Body = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    assert_eq!(Body::deserialize(&value).unwrap(), read);
    assert_eq!(serde_json::from_str::<Value>(read.json()).unwrap(), value);
}

/// Any JSON, with few names and few leaves, so that equal ones come up.
fn any_data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec![0.0, -0.0, 1.0, 1.5, 1e300, 5e-324, 0.1]).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ab\"\\\\/\u{0}\n\u{7f}é😀]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(vec!["a", "b", "é", "\"", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4).prop_map(|fields| {
                let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
                Value::from(fields.collect::<Map<_, _>>())
            }),
        ]
    })
}

fn any_body() -> impl Strategy<Value = MessageBody> {
    let words = || prop::option::of("[ab\"\\\\\u{1f}\u{7f}é]{0,4}");
    let format = prop::option::of(prop::sample::select(vec![
        BodyFormat::Plain,
        BodyFormat::Markdown,
    ]));
    // `null` is absence: a body that has it as its data is read as one that has none.
    let data = prop::option::of(any_data()).prop_map(|data| data.filter(|data| !data.is_null()));
    (words(), data, words(), format).prop_map(|(text, data, ciphertext, format)| MessageBody {
        text,
        data,
        ciphertext,
        format,
    })
}

/// Writes a value in one of the many ways it can be written; `turns` says which.
fn spell(value: &Value, turns: &mut impl Iterator<Item = u8>, out: &mut String) {
    let space = |turn: u8| [" ", "\n\t", "", ""][usize::from(turn % 4)];
    let mut turn = || turns.next().unwrap_or_default();
    match value {
        Value::String(text) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\' | '\0'..='\u{1f}') || turn().is_multiple_of(4) {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                } else {
                    out.push(c);
                }
            }
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spell(item, turns, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            let by = usize::from(turn()) % fields.len().max(1);
            fields.rotate_left(by);
            out.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                if turns.next().unwrap_or_default().is_multiple_of(8) {
                    // The last of equal names counts.
                    spell(&Value::from(name.as_str()), turns, out);
                    out.push_str(":[1],");
                }
                spell(&Value::from(name.as_str()), turns, out);
                out.push(':');
                out.push_str(space(turns.next().unwrap_or_default()));
                spell(value, turns, out);
            }
            out.push('}');
        }
        other => {
            out.push_str(&other.to_string());
            out.push_str(space(turn()));
        }
    }
}

/// Writes a body with its fields in some order, and unknown ones and `null` among them.
fn spell_body(body: &MessageBody, turns: &[u8]) -> String {
    let mut turns = turns.iter().copied();
    let Value::Object(fields) = serde_json::to_value(body).unwrap() else {
        unreachable!("a body is an object")
    };
    let mut parts = vec![r#""x":[{"x":1}]"#.to_owned()];
    for (name, value) in fields {
        let mut part = format!("{name:?}: ");
        spell(&value, &mut turns, &mut part);
        parts.push(part);
    }
    if body.data.is_none() {
        parts.push(r#""data":null"#.to_owned());
    }
    let by = usize::from(turns.next().unwrap_or_default()) % parts.len();
    parts.rotate_left(by);
    format!("{{{}}}", parts.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_means_what_was_said_however_it_was_written(said in any_body(), turns in prop::collection::vec(any::<u8>(), 0..64)) {
        let written = spell_body(&said, &turns);
        let kept = body(&written);
        let same = Body::from(&said);
        prop_assert_eq!(kept.parse().unwrap(), said.clone(), "{}", written);
        prop_assert_eq!(same.json(), serde_json::to_string(&said).unwrap());
        prop_assert_eq!(kept.digest(), same.digest(), "B-3: {}", written);
        prop_assert_eq!(kept.check(usize::MAX), same.check(usize::MAX));
        // B-1: what is kept is read to the same again, and is as long as what the types write.
        prop_assert_eq!(&body(kept.json()), &kept);
        prop_assert_eq!(kept.json().len(), same.json().len(), "{}", written);
    }

    #[test]
    fn digests_are_equal_where_bodies_are(one in any_body(), two in any_body()) {
        let written = |body: &MessageBody| serde_json::to_string(body).unwrap();
        let equal = written(&one) == written(&two);
        prop_assert_eq!(Body::from(&one).digest() == Body::from(&two).digest(), equal);
    }
}
