//! How deep a text is nested, by its brackets: where it is deep that is known at once, while each reading of it goes through all of its levels.

use memchr::memchr2;

/// Bytes from which on a text is looked at: a shorter one takes a few microseconds however often it is read.
const LONG: usize = 4096;
/// Levels that no reader builds.
const DEEP: usize = 127;

/// Returns how much of a long text there is when it becomes deeper than anything that is kept.
pub(super) fn deep_at(json: &str) -> Option<usize> {
    if json.len() < LONG {
        return None;
    }
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' if depth == DEEP => return Some(at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(bytes, at)?,
            _ => {}
        }
    }
    None
}

/// Returns where the string ends whose content begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_where_they_are_none_of_a_string() {
        let deep = "[".repeat(DEEP) + "{";
        let tail = " ".repeat(LONG);
        assert_eq!(deep_at(&deep), None, "not long");
        for (before, is_deep) in [
            ("", true),
            ("[]", true),
            ("]", true),
            (r#""a\"[","\\","#, true),
            ("[", true),
            ("\"", false),
            (r#""\\\""#, false),
        ] {
            let at = (before.len() + DEEP + 1) - usize::from(before == "[");
            let text = format!("{before}{deep}{tail}");
            assert_eq!(deep_at(&text), is_deep.then_some(at), "{before}");
        }
        let flat = "[]".repeat(DEEP) + &"[".repeat(DEEP) + &tail;
        assert_eq!(deep_at(&flat), None);
        for cut in ["\"", "\"\\", "\"a\\\""] {
            assert_eq!(deep_at(&format!("{tail}{cut}")), None, "{cut}");
        }
    }
}
