//! What a user's devices on other nodes come to. Pure.
//!
//! Owns one part a node, as that node said it last, and the merging of parts with what the devices here come to.
//!
//! Invariants:
//! - PO-1: while any node says hidden the user is shown `offline` (PR-1 over nodes).
//! - PO-2: a part holds as long as the run of its node is in the view.
//! - PO-3: a part in doubt holds until its node says another, or has had the time to.
//!
//! Deliberately absent: who asks and who is told (the actor and its registry).

use std::collections::BTreeMap;

use parlor_schema::{
    BootId, NodeId,
    envelope::{Part, Sight},
    frame::server::PresenceStatus,
    port::View,
};

use super::state::{Shown, rank};

/// Parts of one user: as many as a user can be expected to have devices. When full: a new node's part is not taken.
const PARTS_MAX: usize = 64;

/// The parts of other nodes.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeMap<NodeId, Said>);

/// What a node said.
#[derive(Debug)]
struct Said {
    boot: BootId,
    part: Part,
    /// Something it said after that may have been lost (PO-3).
    doubtful: bool,
}

impl Others {
    /// Takes what a node says; nothing there is no part.
    pub(super) fn take(&mut self, node: NodeId, boot: BootId, part: Part) {
        if part.sight == Sight::Offline && part.last_seen.is_none() {
            self.0.remove(&node);
        } else if self.0.len() < PARTS_MAX || self.0.contains_key(&node) {
            let said = Said {
                boot,
                part,
                doubtful: false,
            };
            self.0.insert(node, said);
        }
    }

    /// Forgets the parts of runs that are over.
    pub(super) fn keep_alive(&mut self, view: &View) {
        self.0.retain(|node, said| view.is_alive(node, said.boot));
    }

    /// Forgets the part of a node.
    pub(super) fn forget(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    /// Doubts the part of a node, until it says another; answers whether there is one.
    pub(super) fn doubt(&mut self, node: &NodeId) -> bool {
        let said = self.0.get_mut(node);
        said.map(|said| said.doubtful = true).is_some()
    }

    /// Forgets the part of a node that is still in doubt.
    pub(super) fn forget_doubtful(&mut self, node: &NodeId) {
        if self.0.get(node).is_some_and(|said| said.doubtful) {
            self.0.remove(node);
        }
    }

    /// Merges what the devices here come to with the rest.
    pub(super) fn merge(&self, own: &Shown, own_sight: Sight) -> Shown {
        let parts = || self.0.values().map(|said| &said.part);
        let last_seen = parts()
            .map(|part| part.last_seen)
            .fold(own.last_seen, Ord::max);
        let offline = Shown {
            status: PresenceStatus::Offline,
            text: None,
            last_seen,
        };
        if own_sight == Sight::Hidden || parts().any(|part| part.sight == Sight::Hidden) {
            return offline;
        }
        let best = parts().max_by_key(|part| rank(status(part.sight)));
        match best {
            Some(part) if rank(status(part.sight)) > rank(own.status) => Shown {
                status: status(part.sight),
                text: part.text.clone(),
                last_seen: None,
            },
            _ if own.status == PresenceStatus::Offline => offline,
            _ => own.clone(),
        }
    }
}

/// Makes the part that other nodes are told.
pub(super) fn part(own: &Shown, own_sight: Sight) -> Part {
    Part {
        sight: own_sight,
        text: own.text.clone(),
        last_seen: own.last_seen,
    }
}

/// Says how the devices here are seen, hiding included.
pub(super) const fn sight(status: PresenceStatus, is_hidden: bool) -> Sight {
    if is_hidden {
        return Sight::Hidden;
    }
    match status {
        PresenceStatus::Offline => Sight::Offline,
        PresenceStatus::Away => Sight::Away,
        PresenceStatus::Online => Sight::Online,
        PresenceStatus::Dnd => Sight::Dnd,
    }
}

const fn status(sight: Sight) -> PresenceStatus {
    match sight {
        Sight::Offline | Sight::Hidden => PresenceStatus::Offline,
        Sight::Away => PresenceStatus::Away,
        Sight::Online => PresenceStatus::Online,
        Sight::Dnd => PresenceStatus::Dnd,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use parlor_schema::port::NodeInfo;
    use uuid::Uuid;

    use super::*;

    fn boot(number: u128) -> BootId {
        BootId::new(Uuid::from_u128(number))
    }

    fn said(sight: Sight) -> Part {
        Part {
            sight,
            text: None,
            last_seen: None,
        }
    }

    fn shown(others: &Others, own: PresenceStatus) -> PresenceStatus {
        let own = Shown {
            status: own,
            ..Shown::default()
        };
        others.merge(&own, sight(own.status, false)).status
    }

    #[test]
    fn the_most_telling_part_speaks_and_hiding_hides_all() {
        let mut others = Others::default();
        let [two, three]: [NodeId; 2] = ["two", "three"].map(|name| name.parse().unwrap());
        others.take(two.clone(), boot(1), said(Sight::Away));
        assert_eq!(
            shown(&others, PresenceStatus::Offline),
            PresenceStatus::Away
        );
        assert_eq!(
            shown(&others, PresenceStatus::Online),
            PresenceStatus::Online
        );
        others.take(three, boot(1), said(Sight::Hidden));
        assert_eq!(
            shown(&others, PresenceStatus::Dnd),
            PresenceStatus::Offline,
            "PO-1"
        );
        // The third leaves, and the second is there again under another run.
        let info = NodeInfo {
            node_id: two,
            boot_id: boot(2),
            internal_address: None,
        };
        let mut view = View {
            version: 2,
            nodes: vec![NodeInfo {
                boot_id: boot(1),
                ..info.clone()
            }],
        };
        others.keep_alive(&view);
        assert_eq!(
            shown(&others, PresenceStatus::Offline),
            PresenceStatus::Away
        );
        view.nodes = vec![info];
        others.keep_alive(&view);
        assert_eq!(
            shown(&others, PresenceStatus::Offline),
            PresenceStatus::Offline,
            "PO-2"
        );
    }
}
