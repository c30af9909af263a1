//! Points in time, as the wire writes them: RFC 3339, UTC, exactly three decimals, `Z`.
//!
//! Owns formatting and parsing. Deliberately absent: reading a clock (`port::clock`).

use std::{borrow::Cow, cell::Cell, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

/// Says that a text is not an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an rfc 3339 time")]
pub struct TimeError;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: what RFC 3339 can write.
const MILLIS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

thread_local! {
    /// The second that was written last, and its text: what is written together is mostly of one second.
    static LAST: Cell<(i64, [u8; Timestamp::TEXT_BYTES])> =
        const { Cell::new((0, *b"1970-01-01T00:00:00.000Z")) };
}

impl Timestamp {
    /// Bytes of the text.
    pub const TEXT_BYTES: usize = "0000-00-00T00:00:00.000Z".len();

    /// Makes a time from milliseconds since the epoch, cut to what RFC 3339 can write.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*MILLIS.start(), *MILLIS.end()))
    }

    /// Returns milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time `millis` later.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self::from_millis(
            self.0
                .saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the time `millis` earlier.
    #[must_use]
    pub fn minus_millis(self, millis: u64) -> Self {
        Self::from_millis(
            self.0
                .saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the milliseconds from `earlier` to this time, 0 when it lies later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Writes the text into `buffer`: what `Display` writes, without a formatter between, since each message has two.
    ///
    /// # Panics
    /// Never: the range is checked when the value is made.
    pub fn encode(self, buffer: &mut [u8; Self::TEXT_BYTES]) -> &str {
        let (second, mut text) = LAST.get();
        if second != self.seconds() {
            text = self.encode_second();
            LAST.set((self.seconds(), text));
        }
        let millis = u16::try_from(self.0.rem_euclid(1000)).expect("below 1000");
        digits(&mut text[20..23], millis);
        *buffer = text;
        std::str::from_utf8(buffer).expect("digits and marks")
    }

    /// Writes the text of its second.
    fn encode_second(self) -> [u8; Self::TEXT_BYTES] {
        let mut buffer = *b"0000-00-00T00:00:00.000Z";
        let t = OffsetDateTime::from_unix_timestamp(self.seconds())
            .expect("the range is checked when the value is made");
        // Each asked for alone is worked out alone.
        let ((year, month, day), (hour, minute, second)) = (t.to_calendar_date(), t.to_hms());
        let year = u16::try_from(year).expect("years are 1 to 9999");
        digits(&mut buffer[..4], year);
        digits(&mut buffer[5..7], u8::from(month).into());
        digits(&mut buffer[8..10], day.into());
        digits(&mut buffer[11..13], hour.into());
        digits(&mut buffer[14..16], minute.into());
        digits(&mut buffer[17..19], second.into());
        buffer
    }
}

/// Fills `place` with the last decimal digits of `number`.
fn digits(place: &mut [u8], mut number: u16) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; Self::TEXT_BYTES]))
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| TimeError)?
            .to_offset(UtcOffset::UTC);
        let millis = i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000))
            .map_err(|_| TimeError)?;
        if MILLIS.contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(TimeError)
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.encode(&mut [0; Self::TEXT_BYTES]))
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self::from_millis);
        }
        crate::parsed::deserialize(deserializer)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn writes_exactly_three_decimals() {
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(1_700_000_000_050).to_string(),
            "2023-11-14T22:13:20.050Z"
        );
    }

    #[test]
    fn times_in_any_order_are_read_as_what_was_written() {
        for second in [
            0,
            1,
            1,
            0,
            -1,
            1_700_000_000,
            59,
            60,
            -62_135_596_800,
            253_402_300_799,
        ] {
            for millis in [999, 0, 7] {
                let time = Timestamp::from_millis(second * 1000 + millis);
                assert_eq!(time.to_string().parse(), Ok(time), "{time}");
            }
        }
    }

    #[test]
    fn reads_any_offset() {
        let t: Timestamp = "2023-11-14T23:13:20.0509+01:00".parse().unwrap();
        assert_eq!(t.millis(), 1_700_000_000_050);
        assert!("2023-11-14 23:13".parse::<Timestamp>().is_err());
    }
}
