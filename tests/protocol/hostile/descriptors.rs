//! A process without descriptors to spare: it lives, does not spin, serves who is in, and takes who comes once it can.

use std::time::Duration;

use tokio::net::TcpStream;

use super::{Child, pair::Pair};
use crate::support::{WITHIN, raw::Raw};

const DESCRIPTORS: usize = 64;
/// More than there are descriptors.
const CONNECTS: usize = 200;
/// How long the process is looked at.
const LOOK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_server_without_descriptors_lives_on_and_does_not_spin() {
    let server = Child::with_descriptors(DESCRIPTORS).await;
    let tokens = ["pia", "pat"].map(|user| server.token(user));
    let mut pair = Pair::meet(server.addr, tokens).await;
    let mut flood = Vec::new();
    for _ in 0..CONNECTS {
        flood.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let full = async {
        while server.descriptors() < DESCRIPTORS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, full)
        .await
        .expect("all are used");
    let before = server.busy();
    tokio::time::sleep(LOOK).await;
    let busy = server.busy() - before;
    println!(
        "{busy:?} of processor time in {LOOK:?}, {} descriptors",
        server.descriptors()
    );
    assert!(busy < LOOK / 2, "{busy:?} of {LOOK:?}");
    pair.beside(async || tokio::task::yield_now().await).await;
    drop(flood);
    let mut late = Raw::connect(server.addr, &[]).await;
    late.hello(&server.token("late")).await;
}
