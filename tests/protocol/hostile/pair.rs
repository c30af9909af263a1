//! The bystanders of an attack: two people who talk, and are served whatever others do.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::Client;

/// Things said while an attack runs, at least.
const SAID: usize = 50;

/// Two people in a room of their own.
pub(super) struct Pair {
    pia: Client,
    pat: Client,
    room: String,
    next: u64,
}

impl Pair {
    /// Connects them, pia with the first token and pat with the second.
    pub(super) async fn meet(addr: SocketAddr, tokens: [String; 2]) -> Self {
        let [pia, pat] = tokens;
        let (mut pia, mut pat) = (enter(addr, &pia).await, enter(addr, &pat).await);
        let room = pia.room(json!({ "members": ["pat"] })).await;
        pat.expect("room.added").await;
        let mut pair = Self {
            pia,
            pat,
            room,
            next: 2,
        };
        let mut took = Vec::new();
        for _ in 0..SAID {
            took.push(pair.exchange().await);
        }
        print("before", took);
        pair
    }

    /// Says one thing, and waits until it is acknowledged and has arrived; answers how long that took.
    pub(super) async fn exchange(&mut self) -> Duration {
        let began = Instant::now();
        assert_eq!(self.pia.say(&self.room, "hi").await["seq"], self.next);
        for reader in [&mut self.pat, &mut self.pia] {
            assert_eq!(reader.expect("message").await["seq"], self.next);
        }
        self.next += 1;
        began.elapsed()
    }

    /// Attacks, and again until [`SAID`] things were said and heard meanwhile. Who is not served ends the test.
    pub(super) async fn beside(&mut self, mut attack: impl AsyncFnMut()) {
        let (over, took) = (Cell::new(false), RefCell::new(Vec::new()));
        let talk = async {
            while !over.get() {
                let one = self.exchange().await;
                took.borrow_mut().push(one);
            }
        };
        let attacks = async {
            loop {
                attack().await;
                if took.borrow().len() >= SAID {
                    break;
                }
            }
            over.set(true);
        };
        tokio::join!(talk, attacks);
        print("meanwhile", took.take());
    }
}

async fn enter(addr: SocketAddr, token: &str) -> Client {
    let mut client = Client::connect(addr).await;
    let reply = client.ask("hello", json!({ "token": token })).await;
    assert_eq!(reply["type"], "welcome", "{reply}");
    client
}

/// Prints for whoever looks (`--nocapture`); a bound on time has no place in a test.
fn print(when: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{when}: {} said, p50 {:?}, p99 {:?}",
        took.len(),
        at(50),
        at(99)
    );
}
