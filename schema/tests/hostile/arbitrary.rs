//! Arbitrary texts, and golden frames with pieces cut out and put in.

use parlor_schema::{
    ErrorCode,
    frame::{self, ClientFrame},
    limits::{MSG_ID_ECHO_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX},
};
use proptest::prelude::*;

use crate::{files, frame as written};

fn golden() -> Vec<String> {
    let types = ClientFrame::TYPES.iter();
    types
        .flat_map(|kind| files::frames("client", kind))
        .collect()
}

/// A golden frame with a few bytes cut out, and others put in their place.
fn mutated() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "[\\[\\]{}\",:0-9eE.+\\-\\\\ntfu]{0,6}",
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("1e999".to_owned()),
        Just(r"\ud800".to_owned()),
        Just("\u{feff}".to_owned()),
        ".{0,4}",
    ];
    let edit = (any::<prop::sample::Index>(), 0_usize..12, token);
    (
        prop::sample::select(golden()),
        prop::collection::vec(edit, 1..4),
    )
        .prop_map(|(mut text, edits)| {
            for (at, cut, token) in edits {
                let start = text.floor_char_boundary(at.index(text.len() + 1));
                let end = text.ceil_char_boundary((start + cut).min(text.len()));
                text.replace_range(start..end, &token);
            }
            text
        })
}

/// Asserts what holds of every text: a frame is written and read to the same, a refusal is short and of one of two codes.
fn assert_sane(text: &str) -> Result<(), TestCaseError> {
    match frame::read(text) {
        Ok(read) => {
            prop_assert_eq!(read.msg_id.is_some(), read.echo.is_some());
            let mut payload = Vec::new();
            read.frame.write_payload(&mut payload);
            let payload = String::from_utf8(payload).unwrap();
            let again = ClientFrame::read(read.frame.kind(), &payload);
            prop_assert_eq!(again.as_ref(), Ok(&read.frame), "{}", payload);
            prop_assert_eq!(
                frame::fingerprint(&again.unwrap()),
                frame::fingerprint(&read.frame)
            );
        }
        Err(error) => {
            let code = error.refusal.code;
            prop_assert!(matches!(code, ErrorCode::BadFrame | ErrorCode::UnknownType));
            prop_assert!(error.refusal.message.len() <= REFUSAL_MESSAGE_BYTES_MAX);
            prop_assert!(
                error
                    .echo
                    .is_none_or(|echo| echo.len() <= MSG_ID_ECHO_BYTES_MAX)
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        assert_sane(&text)?;
    }

    #[test]
    fn any_payload_is_read_or_refused(kind in prop::sample::select(ClientFrame::TYPES), payload in "[\\[\\]{}\",:a-z_0-9.\\-\\\\ ]{0,40}") {
        assert_sane(&written(kind, &format!("{{{payload}}}")))?;
        if ClientFrame::read(kind, &payload).is_ok() {
            let object = payload.trim_start().starts_with('{');
            prop_assert!(object);
        }
    }

    #[test]
    fn mutated_golden_frames_are_read_or_refused(text in mutated()) {
        assert_sane(&text)?;
    }
}
