//! A field that can be absent, `null` (clear it) or a value: `Option<Option<T>>` with serde's `default` and `with`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads what is there: `Some(None)` for `null`. Absence never comes here; `#[serde(default)]` makes it `None`.
///
/// # Errors
/// The value is neither `null` nor a `T`.
pub fn deserialize<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Writes the inner value or `null`.
///
/// # Errors
/// The serializer's own.
#[allow(clippy::option_option, reason = "three states: absent, null, value")]
pub fn serialize<S, T>(value: &Option<Option<T>>, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    value
        .as_ref()
        .and_then(Option::as_ref)
        .serialize(serializer)
}
