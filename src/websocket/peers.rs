//! How many connections each address has.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts connections by address.
#[derive(Debug, Default)]
pub struct Peers {
    limit: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A counted connection; dropping it counts it off.
#[derive(Debug)]
pub struct Counted {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// Allows `limit` connections per address; 0: any number.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            counts: Mutex::default(),
        })
    }

    /// Counts a connection, or refuses it.
    #[must_use]
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_insert(0);
        if self.limit > 0 && *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Counted {
            peers: self.clone(),
            peer,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self
            .peers
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}
