//! `parlor tail` across a server that is away.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    time::Duration,
};

use parlor_client::{Accounts, ClientBuilder};
use parlor_schema::{
    RoomId,
    frame::{ack::CreatedAck, body::MessageBody},
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use crate::{
    dice::{self, Dice},
    person::room_of,
    process::Site,
};

/// More attempts than `parlor send` makes.
const ATTEMPTS: usize = 7;
const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn tail_waits_for_a_server_that_is_away_and_says_so() {
    let mut dice = Dice::new(dice::seed());
    let site = Site::new(&mut dice, Vec::new());
    let mut server = site.spawn();
    server.ready(&site).await;
    let accounts = Accounts::new(site.url()).unwrap();
    let login = accounts
        .register(&"ana".parse().unwrap(), "correct horse")
        .await
        .unwrap();
    let client = ClientBuilder::new(site.url())
        .token(login.token.as_str())
        .start()
        .unwrap();
    let made: CreatedAck = client
        .append(room_of("tea".into(), Vec::new(), None))
        .await
        .unwrap();
    let room = made.room.room_id;
    client
        .send(room, MessageBody::text("before"))
        .await
        .unwrap();
    client.close().await;
    server.kill(&site);

    let nobody = TcpListener::bind(site.address).await.unwrap();
    let mut tail = Tail::start(&site, &login.token, room);
    for _ in 0..ATTEMPTS {
        drop(
            timeout(WITHIN, nobody.accept())
                .await
                .expect("it tries again")
                .unwrap(),
        );
    }
    let waits = next(&mut tail.said).await;
    assert!(waits.contains("waiting for the server"), "{waits}");
    drop(nobody);
    let mut server = site.spawn();
    server.ready(&site).await;
    assert!(next(&mut tail.printed).await.contains(r#""text":"before""#));
    assert_eq!(next(&mut tail.said).await, "parlor: connected");

    // Across a restart it goes on where it was.
    server.kill(&site);
    let waits = next(&mut tail.said).await;
    assert!(waits.contains("waiting for the server"), "{waits}");
    let mut server = site.spawn();
    server.ready(&site).await;
    let client = ClientBuilder::new(site.url())
        .token(login.token.as_str())
        .start()
        .unwrap();
    client.send(room, MessageBody::text("after")).await.unwrap();
    assert!(next(&mut tail.printed).await.contains(r#""text":"after""#));
    client.close().await;
    assert!(tail.child.try_wait().unwrap().is_none(), "it has ended");
}

/// The command at work.
struct Tail {
    child: Child,
    printed: mpsc::UnboundedReceiver<String>,
    said: mpsc::UnboundedReceiver<String>,
}

impl Tail {
    /// Follows the room from after its first event.
    fn start(site: &Site, token: &str, room: RoomId) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_parlor"))
            .args([
                "tail",
                "--url",
                &site.url(),
                "--token",
                token,
                "--after",
                "1",
            ])
            .arg(room.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            printed: lines(child.stdout.take().unwrap()),
            said: lines(child.stderr.take().unwrap()),
            child,
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // After a failure nothing is to stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines up to the end of the process.
fn lines(from: impl Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn next(lines: &mut mpsc::UnboundedReceiver<String>) -> String {
    let line = timeout(WITHIN, lines.recv()).await;
    line.expect("a line in time").expect("it has not ended")
}
