//! Maps that are looked into for every event, by ids of a few bytes.
//!
//! The standard hasher is made for keys that an attacker picks and costs as much as all the rest of a look-up. This one is seeded by chance for each
//! map as well, and mixes a few bytes in a few instructions; names of users stay with the standard one.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// A map by ids.
pub(crate) type IdMap<K, V> = HashMap<K, V, RandomState>;
