//! Looking through `data` without building it: how deep it is, whether a name is there twice, and its digest.

use std::{fmt, iter::Enumerate, str::Bytes};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// Levels at which the JSON reader stops: 127, less those of the payload and the body around `data`.
const LEVELS_READ_MAX: usize = 125;
/// What is said of more, in the words of the JSON reader.
pub(crate) const TOO_DEEP: &str = "recursion limit exceeded";

/// What is to be known of `data`.
pub(super) struct Look {
    /// A number that equal values share; names there twice are in it twice.
    pub(super) digest: u128,
    /// How many arrays and objects stand in each other.
    pub(super) levels: usize,
    /// Whether an object has a name twice.
    pub(super) is_name_twice: bool,
}

impl Look {
    /// Looks at a text that is JSON.
    ///
    /// # Errors
    /// What a reader that builds it would not take: depth, numbers out of range, strings that are no Unicode.
    pub(super) fn at_json(json: &str) -> Result<Self, serde_json::Error> {
        Walk::over(
            &mut serde_json::Deserializer::from_str(json),
            LEVELS_READ_MAX,
        )
    }

    /// Looks at a value, however deep it is.
    pub(super) fn at_value(value: &Value) -> Self {
        Walk::over(value, usize::MAX).expect("invariant: a value is read from a value")
    }
}

/// What a digest is of, so that `1`, `1.0` and `"1"` differ.
#[derive(Clone, Copy)]
enum Kind {
    Null,
    Bool,
    Positive,
    Negative,
    Float,
    String,
    Array,
    Object,
}

fn digest(kind: Kind, bytes: &[u8]) -> u128 {
    xxh3_128(bytes).wrapping_add(kind as u128)
}

fn pair(first: u128, second: u128) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&first.to_le_bytes());
    bytes[16..].copy_from_slice(&second.to_le_bytes());
    xxh3_128(&bytes)
}

struct Walk {
    levels_max: usize,
    levels: usize,
    is_name_twice: bool,
    /// The digests of the names of the objects that are open, the innermost last.
    names: Vec<u128>,
}

impl Walk {
    fn over<'de, D: Deserializer<'de>>(data: D, levels_max: usize) -> Result<Look, D::Error> {
        let mut walk = Self {
            levels_max,
            levels: 0,
            is_name_twice: false,
            names: Vec::new(),
        };
        let digest = Step {
            walk: &mut walk,
            level: 0,
        }
        .deserialize(data)?;
        Ok(Look {
            digest,
            levels: walk.levels,
            is_name_twice: walk.is_name_twice,
        })
    }

    fn enter<E: Error>(&mut self, level: usize) -> Result<(), E> {
        if level > self.levels_max {
            return Err(E::custom(TOO_DEEP));
        }
        self.levels = self.levels.max(level);
        Ok(())
    }

    /// Ends the object whose names start at `start`.
    fn leave(&mut self, start: usize) {
        let names = &mut self.names[start..];
        names.sort_unstable();
        self.is_name_twice |= names.windows(2).any(|two| two[0] == two[1]);
        self.names.truncate(start);
    }
}

/// Reads one value, which stands in `level` arrays and objects, as its digest.
struct Step<'w> {
    walk: &'w mut Walk,
    level: usize,
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = u128;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u128, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = u128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any json")
    }

    fn visit_unit<E: Error>(self) -> Result<u128, E> {
        Ok(digest(Kind::Null, &[]))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<u128, E> {
        Ok(digest(Kind::Bool, &[u8::from(value)]))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u128, E> {
        Ok(digest(Kind::Positive, &value.to_le_bytes()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u128, E> {
        Ok(digest(Kind::Negative, &value.to_le_bytes()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u128, E> {
        Ok(digest(Kind::Float, &value.to_bits().to_le_bytes()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u128, E> {
        Ok(digest(Kind::String, text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u128, A::Error> {
        let level = self.level + 1;
        self.walk.enter(level)?;
        let mut all = 0;
        while let Some(item) = items.next_element_seed(Step {
            walk: self.walk,
            level,
        })? {
            all = pair(all, item);
        }
        Ok(digest(Kind::Array, &u128::to_le_bytes(all)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u128, A::Error> {
        let level = self.level + 1;
        self.walk.enter(level)?;
        let start = self.walk.names.len();
        let mut all = 0_u128;
        while let Some(name) = fields.next_key_seed(Name)? {
            self.walk.names.push(name);
            let value = fields.next_value_seed(Step {
                walk: self.walk,
                level,
            })?;
            // A sum, because the order of fields means nothing.
            all = all.wrapping_add(pair(name, value));
        }
        self.walk.leave(start);
        Ok(digest(Kind::Object, &all.to_le_bytes()))
    }
}

/// Reads a name as its digest.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = u128;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u128, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = u128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<u128, E> {
        Ok(digest(Kind::String, name.as_bytes()))
    }
}

/// Appends JSON without the white space between its tokens; false, with anything appended, where it has a character escaped without need.
pub(super) fn push_squeezed(out: &mut String, json: &str) -> bool {
    let mut from = 0;
    let mut bytes = json.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                out.push_str(&json[from..at]);
                from = at + 1;
            }
            b'"' if !is_rest_of_string_short(&mut bytes) => return false,
            _ => {}
        }
    }
    out.push_str(&json[from..]);
    true
}

/// Takes a string up to its end, the first quote being taken already.
fn is_rest_of_string_short(bytes: &mut Enumerate<Bytes<'_>>) -> bool {
    let mut bytes = bytes.map(|(_, byte)| byte);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return true,
            b'\\' => match bytes.next() {
                Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                Some(b'u') => {
                    let code = [(); 4].map(|()| bytes.next().unwrap_or_default());
                    if !is_code_needed(code) {
                        return false;
                    }
                }
                _ => return false,
            },
            _ => {}
        }
    }
    false
}

/// Tells whether the character of a `\u` escape has no shorter form.
fn is_code_needed(code: [u8; 4]) -> bool {
    match code {
        [b'0', b'0', b'0', last] => matches!(last, b'0'..=b'7' | b'b' | b'e' | b'f'),
        [b'0', b'0', b'1', last] => matches!(last, b'0'..=b'9' | b'a'..=b'f'),
        _ => false,
    }
}
