//! Which server holds which key.
//!
//! One server, or the master that Sentinels name, holds all 16384 slots; in a Redis Cluster each master holds some.
//! Source: Redis cluster specification, "Key distribution model" and "Hash tags".

use redis::{ConnectionAddr, ConnectionInfo, Value};

/// Slots of a Redis Cluster.
const SLOTS: u16 = 16384;

/// The masters and the slots they hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Topology {
    /// The masters.
    pub(super) servers: Vec<ConnectionInfo>,
    /// First and last slot, and the place of the master that holds them.
    ranges: Vec<(u16, u16, usize)>,
}

impl Topology {
    /// Makes the topology of one server.
    pub(super) fn one(server: ConnectionInfo) -> Self {
        Self {
            servers: vec![server],
            ranges: vec![(0, SLOTS - 1, 0)],
        }
    }

    /// Reads the answer to `CLUSTER SLOTS` of the server `asked`, whose credentials and TLS hold for all.
    pub(super) fn from_slots(asked: &ConnectionInfo, answer: &Value) -> Option<Self> {
        let mut topology = Self::default();
        for range in list(answer)? {
            let [first, last, master, ..] = list(range)? else {
                return None;
            };
            let [host, port, ..] = list(master)? else {
                return None;
            };
            // A server that does not know its own address means the one it was reached by.
            let host = text(host).filter(|host| !host.is_empty());
            let addr = at(asked.addr(), host, u16::try_from(number(port)?).ok()?)?;
            let known = topology.servers.iter().position(|one| *one.addr() == addr);
            let server = known.unwrap_or_else(|| {
                topology.servers.push(asked.clone().set_addr(addr));
                topology.servers.len() - 1
            });
            let slot = |value| u16::try_from(number(value)?).ok();
            topology.ranges.push((slot(first)?, slot(last)?, server));
        }
        Some(topology)
    }

    /// Returns the place of the master of a slot.
    pub(super) fn server_of(&self, slot: u16) -> Option<usize> {
        let range = self
            .ranges
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&slot))?;
        Some(range.2)
    }

    /// Tells whether every slot has a master.
    pub(super) fn is_complete(&self) -> bool {
        let held: u32 = self
            .ranges
            .iter()
            .map(|(first, last, _)| u32::from(last.saturating_sub(*first)) + 1)
            .sum();
        held == u32::from(SLOTS)
    }
}

/// Returns the address of another server of the same kind; without a host, another port of the same.
pub(super) fn at(like: &ConnectionAddr, host: Option<&str>, port: u16) -> Option<ConnectionAddr> {
    let mut addr = like.clone();
    match &mut addr {
        ConnectionAddr::Tcp(old, old_port)
        | ConnectionAddr::TcpTls {
            host: old,
            port: old_port,
            ..
        } => {
            *old_port = port;
            if let Some(host) = host {
                host.clone_into(old);
            }
            Some(addr)
        }
        _ => None,
    }
}

/// Returns the slot of a key.
pub(super) fn slot(key: &str) -> u16 {
    let tagged = key.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        (!tag.is_empty()).then_some(tag)
    });
    crc16(tagged.unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC16 of the XMODEM kind.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// Returns the text of a simple or bulk string.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use redis::IntoConnectionInfo as _;

    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12182);
        assert_eq!(slot("{user1000}.following"), slot("user1000"));
        assert_eq!(slot("foo{}bar"), crc16(b"foo{}bar") % SLOTS);
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
    }

    #[test]
    fn the_answer_of_a_cluster_is_read() {
        let asked = "redis://ana:pw@10.0.0.1:7000"
            .into_connection_info()
            .unwrap();
        let range = |first, last, host: &str, port| {
            let master = vec![
                Value::BulkString(host.into()),
                Value::Int(port),
                Value::BulkString("id".into()),
            ];
            Value::Array(vec![
                Value::Int(first),
                Value::Int(last),
                Value::Array(master),
            ])
        };
        let answer = Value::Array(vec![
            range(0, 99, "", 7000),
            range(100, 16000, "10.0.0.2", 7001),
            range(16001, 16382, "10.0.0.1", 7000),
        ]);
        let topology = Topology::from_slots(&asked, &answer).unwrap();
        assert_eq!(topology.servers.len(), 2);
        assert_eq!(topology.server_of(5), Some(0));
        assert_eq!(topology.server_of(100), Some(1));
        assert_eq!(topology.server_of(16383), None);
        assert!(!topology.is_complete());
        assert_eq!(topology.servers[1].redis_settings().password(), Some("pw"));
        assert!(Topology::one(asked).is_complete());
    }
}
