//! The seal of what goes over Redis: that whoever made it has the secret, and for which inbox or key it is.
//!
//! Shape: the packet, a newline, an HMAC-SHA-256 of the channel and the packet in 64 digits of hexadecimal. Packets carry events and
//! frames of users, and Redis may let others publish: who can reach it must not be able to speak for a node.
//!
//! Deliberately absent: times and runs. A packet that is heard again changes nothing, because its number is not heard twice.

use aws_lc_rs::{
    constant_time,
    hmac::{Context, HMAC_SHA256, Key, Tag},
};

/// Digits of a tag.
const DIGITS: usize = 64;

/// Seals packets, and checks seals.
#[derive(Clone)]
pub struct PacketSeal(Key);

impl PacketSeal {
    /// Makes it from a key that is for nothing else.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// Seals a packet for a channel.
    pub fn seal(&self, channel: &str, packet: &mut Vec<u8>) {
        let tag = self.tag(channel, packet);
        packet.reserve(1 + DIGITS);
        packet.push(b'\n');
        packet.extend_from_slice(&digits(&tag));
    }

    /// Returns the packet inside; none where it was not sealed for this channel with this secret.
    pub(in crate::redis) fn open<'a>(&self, channel: &str, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let at = sealed.len().checked_sub(DIGITS + 1)?;
        let (packet, seal) = sealed.split_at(at);
        let seal = seal.strip_prefix(b"\n")?;
        let expected = digits(&self.tag(channel, packet));
        constant_time::verify_slices_are_equal(&expected, seal).ok()?;
        Some(packet)
    }

    fn tag(&self, channel: &str, packet: &[u8]) -> Tag {
        let mut context = Context::with_key(&self.0);
        // The name of a channel or key holds no newline, so that no two pairs give the same text.
        context.update(channel.as_bytes());
        context.update(b"\n");
        context.update(packet);
        context.sign()
    }
}

fn digits(tag: &Tag) -> [u8; DIGITS] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(tag.as_ref()) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    digits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sealed(packet: &[u8]) -> Vec<u8> {
        let mut packet = packet.to_vec();
        PacketSeal::new(&[7; 32]).seal("p:inbox:n1", &mut packet);
        packet
    }

    #[test]
    fn what_was_sealed_opens() {
        for packet in [&b""[..], b"{}", b"a\nb"] {
            let sealed = sealed(packet);
            let seal = PacketSeal::new(&[7; 32]);
            assert_eq!(seal.open("p:inbox:n1", &sealed), Some(packet));
        }
    }

    #[test]
    fn whatever_is_changed_does_not() {
        let whole = sealed(b"{}");
        let seal = PacketSeal::new(&[7; 32]);
        assert_eq!(seal.open("p:inbox:n2", &whole), None, "another inbox");
        let other = PacketSeal::new(&[8; 32]);
        assert_eq!(other.open("p:inbox:n1", &whole), None, "another secret");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open("p:inbox:n1", &changed), None, "byte {at}");
            assert_eq!(seal.open("p:inbox:n1", &whole[..at]), None, "cut at {at}");
        }
    }
}
