//! JSON that breaks readers: each text is refused or taken as the table says, the connection stays, and what is taken is read by others.

use serde_json::json;
use uuid::Uuid;

use super::{Child, besieged, eve};
use crate::support::{
    Client,
    raw::{Raw, TEXT},
};

const DEEP: usize = 10_000;
/// What texts of some ten thousand bytes may take, whatever is in them.
const FLAT_BYTES: u64 = 16 << 20;
/// Cases on one connection: ten bad frames in a minute would end it.
const CASES_EACH: usize = 8;

/// What becomes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Refused,
}
use Fate::{Refused, Taken};

fn deep(open: &str, close: &str) -> String {
    open.repeat(DEEP) + &close.repeat(DEEP)
}

/// Writes a send whose body is `body`, with `more` beside it, each as it stands.
fn send(room: &str, body: &str, more: &str) -> String {
    let id = Uuid::now_v7();
    format!(
        r#"{{"type":"message.send","msg_id":"{id}","payload":{{"room_id":"{room}","body":{body}{more}}}}}"#
    )
}

fn nested(room: &str) -> Vec<(&'static str, String, Fate)> {
    let (arrays, objects) = (deep("[", "]"), deep(r#"{"a":"#, "}"));
    let objects = objects.replace(":}", ":0}");
    let data = |data: &str| send(room, &format!(r#"{{"data":{data}}}"#), "");
    vec![
        ("nothing but arrays", arrays.clone(), Refused),
        ("arrays in data", data(&arrays), Refused),
        ("objects in data", data(&objects), Refused),
        ("arrays that do not end", data(&"[".repeat(DEEP)), Refused),
        (
            "arrays instead of text",
            send(room, &format!(r#"{{"text":{arrays}}}"#), ""),
            Refused,
        ),
        (
            "arrays beside the body",
            send(room, r#"{"text":"a"}"#, &format!(r#","x":{arrays}"#)),
            Taken,
        ),
        (
            "arrays in the envelope",
            format!(r#"{{"type":"ping","x":{arrays}}}"#),
            Taken,
        ),
        ("arrays as type", format!(r#"{{"type":{arrays}}}"#), Refused),
        (
            "arrays as msg_id",
            format!(r#"{{"type":"ping","msg_id":{arrays}}}"#),
            Refused,
        ),
        (
            "arrays as payload",
            format!(r#"{{"type":"ping","payload":{arrays}}}"#),
            Refused,
        ),
    ]
}

fn numbers(room: &str) -> Vec<(&'static str, String, Fate)> {
    let long = "9".repeat(400);
    let data = |data: &str| send(room, &format!(r#"{{"data":{data}}}"#), "");
    let reply = |to: &str| send(room, r#"{"text":"a"}"#, &format!(r#","reply_to":{to}"#));
    vec![
        ("a huge exponent", data("1e999999"), Refused),
        ("a huge negative one", data("[-1e999999]"), Refused),
        ("a tiny number", data("1e-999999"), Taken),
        ("400 digits", data(&long), Refused),
        ("400 decimals", data(&format!("0.{long}")), Taken),
        (
            "a huge exponent nobody reads",
            r#"{"type":"ping","x":1e999999}"#.to_owned(),
            Taken,
        ),
        ("400 digits as seq", reply(&long), Refused),
        ("2^53 as seq", reply("9007199254740992"), Refused),
        ("2^64 as seq", reply("18446744073709551616"), Refused),
        ("a fraction as seq", reply("1.5"), Refused),
        ("an exponent as seq", reply("1e1"), Refused),
        ("no number at all", data("NaN"), Refused),
        ("a leading zero", data("01"), Refused),
    ]
}

fn doubled(room: &str) -> Vec<(&'static str, String, Fate)> {
    let id = Uuid::now_v7();
    vec![
        (
            "type twice",
            r#"{"type":"ping","type":"ping"}"#.to_owned(),
            Refused,
        ),
        (
            "msg_id twice",
            format!(r#"{{"type":"ping","msg_id":"{id}","msg_id":"{id}"}}"#),
            Refused,
        ),
        (
            "payload twice",
            r#"{"type":"ping","payload":{},"payload":{}}"#.to_owned(),
            Refused,
        ),
        (
            "room_id twice",
            send(room, r#"{"text":"a"}"#, &format!(r#","room_id":"{room}""#)),
            Refused,
        ),
        (
            "body twice",
            send(room, r#"{"text":"a"}"#, r#","body":{"text":"b"}"#),
            Refused,
        ),
        (
            "text twice",
            send(room, r#"{"text":"a","text":"b"}"#, ""),
            Refused,
        ),
        (
            "a key of data twice",
            send(room, r#"{"data":{"k":1,"k":2}}"#, ""),
            Taken,
        ),
        (
            "an unknown key twice",
            send(room, r#"{"text":"a","x":1,"x":2}"#, ""),
            Taken,
        ),
    ]
}

fn surrogates(room: &str) -> Vec<(&'static str, String, Fate)> {
    let text = |text: &str| send(room, &format!(r#"{{"text":"{text}"}}"#), "");
    let data = |data: &str| send(room, &format!(r#"{{"data":{data}}}"#), "");
    vec![
        ("the first half in text", text(r"\ud800"), Refused),
        ("the second half in text", text(r"\udc00"), Refused),
        ("halves in the wrong order", text(r"\udc00\ud800"), Refused),
        ("half and a letter", text(r"\ud83dx"), Refused),
        ("both halves", text(r"\ud83d\ude00"), Taken),
        ("half in data", data(r#""\ud800""#), Refused),
        ("half as a key of data", data(r#"{"\ud800":1}"#), Refused),
        (
            "half as an unknown key",
            r#"{"type":"ping","\ud800":1}"#.to_owned(),
            Refused,
        ),
        (
            "half nobody reads",
            r#"{"type":"ping","x":"\ud800"}"#.to_owned(),
            Taken,
        ),
        ("half as type", r#"{"type":"\ud800"}"#.to_owned(), Refused),
        (
            "half as msg_id",
            r#"{"type":"ping","msg_id":"\ud800"}"#.to_owned(),
            Refused,
        ),
        ("an escape that ends early", text(r"\ud8"), Refused),
        ("a zero byte, escaped", text(r"\u0000"), Taken),
    ]
}

/// Says a text, and hears what becomes of it; a ping behind it is answered in any case.
async fn fate(eve: &mut Raw, text: &str) -> Fate {
    eve.writing.text(text).await;
    let msg_id = Uuid::now_v7().to_string();
    eve.writing.post("ping", &msg_id, &json!({})).await;
    let (mut found, mut ponged) = (None, false);
    // Replies may overtake each other.
    while found.is_none() || !ponged {
        let frame = eve.reading.frame().await.expect("the connection stays");
        assert_eq!(frame.opcode(), TEXT, "{frame:?} after {text:.200}");
        let json = frame.json();
        match json["type"].as_str().unwrap() {
            "error" => {
                assert_eq!(json["payload"]["code"], "bad_frame", "{json}");
                found = Some(Refused);
            }
            "pong" if json["msg_id"] == msg_id.as_str() => ponged = true,
            "ack" | "pong" => found = Some(Taken),
            _ => {}
        }
    }
    found.expect("the loop ends with it")
}

/// Says all texts beside the pair; whatever is taken is read by ben, whose reader is an ordinary one.
async fn weather(cases: impl Fn(&str) -> Vec<(&'static str, String, Fate)>) {
    let (server, mut pair) = besieged(&[]).await;
    let mut ben = Client::connect(server.addr).await;
    let hello = json!({ "token": server.token("ben") });
    assert_eq!(ben.ask("hello", hello).await["type"], "welcome");
    let room = ben.room(json!({ "members": ["eve"] })).await;
    let cases = cases(&room);
    let memory = server.memory();
    pair.beside(async || {
        for some in cases.chunks(CASES_EACH) {
            say_all(&server, &mut ben, some).await;
        }
    })
    .await;
    memory.grew_at_most(FLAT_BYTES);
}

async fn say_all(server: &Child, ben: &mut Client, cases: &[(&'static str, String, Fate)]) {
    let mut eve = eve(server).await;
    for (what, text, expected) in cases {
        // A text that was taken before would be its own duplicate.
        let text = afresh(text);
        assert_eq!(fate(&mut eve, &text).await, *expected, "{what}");
        if *expected == Taken && text.contains("message.send") {
            ben.expect("message").await;
        }
    }
}

/// Gives a text another `msg_id`, where it has one.
fn afresh(text: &str) -> String {
    let Some(at) = text.find(r#""msg_id":"0"#) else {
        return text.to_owned();
    };
    let id = at + r#""msg_id":""#.len();
    let known = text[id..id + 36].to_owned();
    text.replace(&known, &Uuid::now_v7().to_string())
}

#[tokio::test]
async fn ten_thousand_levels_are_refused_or_passed_over() {
    weather(nested).await;
}

#[tokio::test]
async fn numbers_no_reader_holds_are_refused() {
    weather(numbers).await;
}

#[tokio::test]
async fn fields_that_are_there_twice_are_refused() {
    weather(doubled).await;
}

#[tokio::test]
async fn halves_of_surrogate_pairs_are_refused() {
    weather(surrogates).await;
}
