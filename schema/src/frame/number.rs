//! Reading numbers that are not positions: durations and sizes, and the `limit` of a list.

use serde::{Deserialize, Deserializer, de::Error};

use crate::Seq;

struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        if value > Seq::MAX.get() {
            return Err(D::Error::custom("must be an integer from 0 to 2^53-1"));
        }
        Ok(Self(value))
    }
}

/// Reads a number that every client can hold exactly.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Whole::deserialize(deserializer).map(|whole| whole.0)
}

/// Reads such a number or `null`.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Whole};

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
    where
        D: Deserializer<'de>,
    {
        Ok(Option::<Whole>::deserialize(deserializer)?.map(|whole| whole.0))
    }
}

/// Reads such a number or `null` where `null` clears.
pub(crate) mod clearable {
    use super::{Deserializer, optional};
    pub(crate) use crate::frame::clearable::serialize;

    #[allow(clippy::option_option, reason = "three states: absent, null, value")]
    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<Option<u64>>, D::Error>
    where
        D: Deserializer<'de>,
    {
        optional::deserialize(deserializer).map(Some)
    }
}

/// Reads how many entries are wanted; a number too large to keep is cut, because every answer is cut far below it.
pub(crate) mod limit {
    use super::{Deserialize, Deserializer};

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<u32>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let wanted = Option::<u64>::deserialize(deserializer)?;
        Ok(wanted.map(|wanted| u32::try_from(wanted).unwrap_or(u32::MAX)))
    }
}
