//! Presence over nodes whose words are lost.

use std::sync::Mutex;

use parlor_schema::{
    NodeId, RoomId, Seq,
    envelope::{Destination, Envelope, Part, Sight},
    port::{Bus, BusError, Inbox, Load, Membership, PortFuture, View},
};

use super::*;

/// A bus that keeps what it is given.
#[derive(Default)]
struct Said(Mutex<Vec<(Destination, Envelope)>>);

impl Said {
    fn take(&self) -> Vec<(Destination, Envelope)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Bus for Said {
    fn attach(&self, _: Inbox) {}

    fn publish(&self, to: Destination, envelope: Envelope) -> PortFuture<'_, Result<(), BusError>> {
        self.0.lock().unwrap().push((to, envelope));
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_hearing(&self) -> bool {
        true
    }

    fn note_head(&self, _: &NodeId, _: RoomId, _: Seq) {}
}

/// Nodes that are always there; the first is this one.
struct Nodes(Arc<View>);

impl Membership for Nodes {
    fn own(&self) -> NodeInfo {
        self.0.nodes[0].clone()
    }

    fn view(&self) -> Arc<View> {
        self.0.clone()
    }

    fn report(&self, _: Load) {}

    fn loads(&self) -> Vec<(NodeId, Load)> {
        Vec::new()
    }
}

/// One of three nodes.
fn one_of_three() -> (Arc<Presences>, Arc<Said>, Vec<NodeInfo>) {
    let node = |(at, name): (u128, &str)| NodeInfo {
        node_id: name.parse().unwrap(),
        boot_id: BootId::new(Uuid::from_u128(at)),
        internal_address: None,
    };
    let nodes: Vec<NodeInfo> = [(1, "one"), (2, "three"), (3, "two")].map(node).into();
    let said = Arc::<Said>::default();
    let view = View {
        version: 1,
        nodes: nodes.clone(),
    };
    let outside = Outside {
        peers: Peers {
            bus: said.clone(),
            membership: Arc::new(Nodes(Arc::new(view))),
        },
        ..alone(&MemoryStore::new(), STEADY)
    };
    (Presences::over(outside, GRACE_MS), said, nodes)
}

fn online() -> Part {
    Part {
        sight: Sight::Online,
        text: None,
        last_seen: None,
    }
}

#[actix::test]
async fn after_a_loss_the_node_alone_is_asked_and_its_silence_ends_what_it_said() {
    let (presences, said, nodes) = one_of_three();
    let ana = user("ana");
    let (three, two) = (nodes[1].node_id.clone(), nodes[2].node_id.clone());
    let (bob, mut heard) = friend(None);
    presences
        .watch(&ana, session(9), bob.recipient())
        .await
        .unwrap();
    said.take();
    for node in &nodes[1..] {
        presences.hear_part(&ana, node.node_id.clone(), node.boot_id, online());
    }
    assert_eq!(heard.recv().await.unwrap().status, PresenceStatus::Online);

    // What one of them said last may be lost: it says it again, and stays believed.
    presences.hear_lost(&ana, two.clone());
    presences.hear_part(&ana, two.clone(), nodes[2].boot_id, online());
    presences.look(&ana).await;
    let asked = said.take();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].0, Destination::Node(two.clone()));
    assert!(matches!(&asked[0].1, Envelope::PresenceAsked { user_id, .. } if *user_id == ana));
    tokio::time::sleep(2 * STEADY.doubt).await;
    assert_eq!(presences.look(&ana).await.status, PresenceStatus::Online);

    // Neither answers now: the user has gone there, which nobody was told.
    presences.hear_lost(&ana, two);
    presences.hear_lost(&ana, three);
    let gone = tokio::time::timeout(20 * STEADY.doubt, heard.recv()).await;
    assert_eq!(
        gone.unwrap().unwrap().status,
        PresenceStatus::Offline,
        "PO-3"
    );
}
