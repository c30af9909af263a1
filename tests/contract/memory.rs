//! The memory store, and the adapters of a node that is alone.

use std::sync::{Arc, Mutex};

use parlor_cluster::{MemoryBus, MemoryStore, SingleMembership, SystemClock};
use parlor_schema::{
    BootId, NodeId,
    envelope::{Destination, Envelope},
    port::{Bus as _, Clock as _, Inbound, Membership as _, NodeInfo},
};

use crate::{make, rooms, timeline, users};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_store_is_a_timeline() {
    timeline::suite(MemoryStore::new()).await.unwrap();
}

#[tokio::test]
async fn memory_store_is_a_room_directory() {
    rooms::suite(&*MemoryStore::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_store_is_a_user_directory() {
    users::suite(MemoryStore::new()).await.unwrap();
}

#[tokio::test]
async fn the_bus_of_one_node_brings_back_what_is_for_it() {
    let own: NodeId = "one".parse().unwrap();
    let bus = MemoryBus::new(own.clone());
    let envelope = Envelope::UserRevoked {
        user_id: make::name("ana"),
    };
    let early = bus.publish(Destination::All, envelope.clone()).await;
    assert!(early.is_err(), "an envelope went nowhere");
    let got = Arc::new(Mutex::new(Vec::new()));
    let inbox = Arc::clone(&got);
    bus.attach(Arc::new(move |inbound| {
        inbox.lock().unwrap().push(inbound);
    }));
    bus.publish(Destination::All, envelope.clone())
        .await
        .unwrap();
    bus.publish(Destination::Node(own), envelope.clone())
        .await
        .unwrap();
    let two = Destination::Node("two".parse().unwrap());
    assert!(bus.publish(two, envelope.clone()).await.is_err());
    let inbound = Inbound::Envelope(envelope);
    assert_eq!(*got.lock().unwrap(), [inbound.clone(), inbound]);
}

#[test]
fn a_node_that_is_alone_sees_itself() {
    let own = NodeInfo {
        node_id: "one".parse().unwrap(),
        boot_id: BootId::from(make::fresh()),
        internal_address: None,
    };
    let membership = SingleMembership::new(own.clone());
    assert_eq!(membership.own(), own);
    assert_eq!(membership.view().nodes, [own]);
}

#[test]
fn the_clock_runs() {
    let clock = SystemClock::new();
    assert!(clock.now() > make::at(1_700_000_000_000));
    assert!(clock.monotonic_ms() <= clock.monotonic_ms());
}
