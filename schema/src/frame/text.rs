//! Strings as JSON writes them.

/// Appends a string as JSON, in as few bytes as it can be.
pub(super) fn push_string(out: &mut String, text: &str) {
    /// Bytes that are looked at together.
    const STEP: usize = 64;
    out.push('"');
    let mut from = 0;
    for (start, bytes) in (0..).step_by(STEP).zip(text.as_bytes().chunks(STEP)) {
        // No early way out: so the compiler looks at many bytes at once.
        let is_plain = bytes.iter().fold(true, |plain, byte| {
            plain & (*byte >= 0x20) & (*byte != b'"') & (*byte != b'\\')
        });
        if is_plain {
            continue;
        }
        for (at, byte) in (start..).zip(bytes) {
            if let Some(escape) = escape(*byte) {
                out.push_str(&text[from..at]);
                out.push_str(escape);
                if escape.len() > 2 {
                    let digit = char::from_digit(u32::from(byte & 0x0f), 16);
                    out.push(digit.expect("invariant: four bits are a digit"));
                }
                from = at + 1;
            }
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Returns the escape of a character that needs one, the long ones without their last digit.
const fn escape(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'"' => "\\\"",
        b'\\' => "\\\\",
        0x20.. => return None,
        0x08 => "\\b",
        b'\t' => "\\t",
        b'\n' => "\\n",
        0x0c => "\\f",
        b'\r' => "\\r",
        0x00..=0x0f => "\\u000",
        0x10..=0x1f => "\\u001",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn strings_are_written_as_the_json_library_writes_them() {
        for c in ('\0'..='\u{80}').chain(['é', '😀']) {
            for before in 0..140 {
                let text = format!("{}{c}é{c}{c}", "x".repeat(before));
                let mut written = String::new();
                push_string(&mut written, &text);
                assert_eq!(written, serde_json::to_string(&text).unwrap());
            }
        }
    }
}
