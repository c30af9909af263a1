//! The seal of a call: who says it, to which run, when, and that they have the secret.

use aws_lc_rs::{
    constant_time,
    hmac::{self, Context, HMAC_SHA256, Key},
};
use parlor_schema::{BootId, NodeId, Timestamp};

use super::PATH;

/// How far the clocks of two nodes may be apart, and how long a call that was overheard is good for.
pub const CLOCK_MS_MAX: u64 = 5 * 60 * 1000;

/// What is sealed beside the path and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The sender.
    pub from: NodeId,
    /// Its run.
    pub boot: BootId,
    /// The run that it is for.
    pub to: BootId,
    /// When.
    pub time: Timestamp,
}

/// Says why a call is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// It was not sealed with this secret, or not this call.
    #[error("the seal does not fit")]
    Seal,
    /// It was sealed too long ago, or by a clock that is wrong.
    #[error("the time is more than {} s away", CLOCK_MS_MAX / 1000)]
    Clock,
    /// It is for another node, or another run of this one.
    #[error("for another run")]
    Misdirected,
}

/// Seals calls, and checks seals.
pub struct Seal(Key);

impl Seal {
    /// Makes it from a key that is for nothing else.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// Seals a call; the answer is in hexadecimal.
    #[must_use]
    pub fn seal(&self, stamp: &Stamp, body: &[u8]) -> String {
        let tag = self.tag(stamp, body);
        tag.as_ref()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Checks a call to the run `own` at the time `now`. Its seal first: who does not have the secret learns nothing more.
    ///
    /// # Errors
    /// It is not to be believed.
    pub fn check(
        &self,
        (own, now): (BootId, Timestamp),
        stamp: &Stamp,
        seal: &[u8],
        body: &[u8],
    ) -> Result<(), StampError> {
        let expected = self.seal(stamp, body);
        constant_time::verify_slices_are_equal(expected.as_bytes(), seal)
            .map_err(|_| StampError::Seal)?;
        if stamp.to != own {
            return Err(StampError::Misdirected);
        }
        if now.millis().abs_diff(stamp.time.millis()) > CLOCK_MS_MAX {
            return Err(StampError::Clock);
        }
        Ok(())
    }

    fn tag(&self, stamp: &Stamp, body: &[u8]) -> hmac::Tag {
        let Stamp {
            from,
            boot,
            to,
            time,
        } = stamp;
        let mut context = Context::with_key(&self.0);
        // No part before the body holds a newline, so that no two calls give the same text.
        let time = time.millis();
        context.update(format!("POST {PATH}\n{from}\n{boot}\n{to}\n{time}\n").as_bytes());
        context.update(body);
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const OWN: [u8; 16] = [9; 16];

    fn stamp() -> Stamp {
        Stamp {
            from: "n1".parse().unwrap(),
            boot: BootId::from([1; 16]),
            to: BootId::from(OWN),
            time: Timestamp::from_millis(1_000_000_000),
        }
    }

    fn check(seal: &Seal, stamp: &Stamp, text: &str, body: &[u8]) -> Result<(), StampError> {
        let own = (BootId::from(OWN), Timestamp::from_millis(1_000_000_000));
        seal.check(own, stamp, text.as_bytes(), body)
    }

    #[test]
    fn what_was_sealed_is_believed() {
        let seal = Seal::new(&[7; 32]);
        let text = seal.seal(&stamp(), b"packets");
        assert_eq!(text.len(), 64);
        assert_eq!(check(&seal, &stamp(), &text, b"packets"), Ok(()));
        assert_eq!(
            check(&Seal::new(&[7; 32]), &stamp(), &text, b"packets"),
            Ok(())
        );
    }

    #[test]
    fn whatever_is_changed_breaks_it() {
        let seal = Seal::new(&[7; 32]);
        let text = seal.seal(&stamp(), b"packets");
        let other = |change: fn(&mut Stamp)| {
            let mut stamp = stamp();
            change(&mut stamp);
            check(&seal, &stamp, &text, b"packets")
        };
        let bad = Err(StampError::Seal);
        assert_eq!(other(|stamp| stamp.from = "n2".parse().unwrap()), bad);
        assert_eq!(other(|stamp| stamp.boot = BootId::from([2; 16])), bad);
        assert_eq!(other(|stamp| stamp.to = BootId::from([2; 16])), bad);
        assert_eq!(other(|stamp| stamp.time = stamp.time.plus_millis(1)), bad);
        assert_eq!(check(&seal, &stamp(), &text, b"packetz"), bad);
        assert_eq!(
            check(&Seal::new(&[8; 32]), &stamp(), &text, b"packets"),
            bad
        );
        for wrong in ["", "00", &text[1..], &text.to_uppercase()] {
            assert_eq!(check(&seal, &stamp(), wrong, b"packets"), bad, "{wrong}");
        }
    }

    #[test]
    fn another_run_and_another_time_are_refused_though_sealed() {
        let seal = Seal::new(&[7; 32]);
        let sealed = |change: fn(&mut Stamp)| {
            let mut stamp = stamp();
            change(&mut stamp);
            let text = seal.seal(&stamp, b"");
            check(&seal, &stamp, &text, b"")
        };
        let other_run = sealed(|stamp| stamp.to = BootId::from([2; 16]));
        assert_eq!(other_run, Err(StampError::Misdirected), "HP-1");
        let late = sealed(|stamp| stamp.time = stamp.time.minus_millis(CLOCK_MS_MAX + 1));
        let early = sealed(|stamp| stamp.time = stamp.time.plus_millis(CLOCK_MS_MAX + 1));
        assert_eq!(
            (late, early),
            (Err(StampError::Clock), Err(StampError::Clock))
        );
        assert_eq!(
            sealed(|stamp| stamp.time = stamp.time.plus_millis(CLOCK_MS_MAX)),
            Ok(())
        );
    }
}
