//! `parlor send` and `parlor tail`: a client at the command line.

use std::io::{ErrorKind, Write};

use clap::Args;
use parlor_client::{Client, ClientBuilder, Notice, Pending, PhaseName, RequestError};
use parlor_schema::{
    RoomId, Seq,
    frame::{
        ClientFrame,
        ack::SubscribedAck,
        body::MessageBody,
        client::RoomSubscribe,
        hello::{RoomsWanted, RoomsWord},
    },
};

/// Where to connect, and as whom.
#[derive(Debug, Args)]
struct Connection {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The access token.
    #[arg(long, env = "PARLOR_TOKEN", hide_env_values = true)]
    token: String,
}

impl Connection {
    fn builder(&self) -> ClientBuilder {
        ClientBuilder::new(&self.url)
            .token(self.token.clone())
            .rooms(RoomsWanted::Word(RoomsWord::None))
    }
}

/// Sends one message, and says where it stands when it is durable.
#[derive(Debug, Args)]
pub(super) struct SendCommand {
    #[command(flatten)]
    connection: Connection,
    /// The room.
    room: RoomId,
    /// The text.
    text: String,
}

/// Follows a room; each event is a line of JSON.
#[derive(Debug, Args)]
pub(super) struct TailCommand {
    #[command(flatten)]
    connection: Connection,
    /// The room.
    room: RoomId,
    /// Start after this position; absent: with the next event.
    #[arg(long)]
    after: Option<u64>,
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

impl SendCommand {
    /// Sends, and prints the position.
    pub(super) fn run(self) -> anyhow::Result<()> {
        block_on(async {
            let client = self.connection.builder().attempts_max(5).start()?;
            let notices = client.clone();
            tokio::spawn(async move { while notices.next().await.is_some() {} });
            let ack = client.send(self.room, MessageBody::text(self.text)).await?;
            println!("{}", ack.seq);
            client.close().await;
            Ok(())
        })
    }
}

impl TailCommand {
    /// Prints events until the server refuses or the process is told to stop; while nobody answers, it waits.
    pub(super) fn run(self) -> anyhow::Result<()> {
        block_on(async {
            let client = self.connection.builder().start()?;
            let (mut asked, mut is_subscribed) = (None, false);
            let (mut phase, mut waiting) = (client.phase(), Waiting::No);
            loop {
                tokio::select! {
                    biased;
                    // Before the notices: a lost connection fails this first, and the next one asks again.
                    reply = answer(&mut asked) => {
                        asked = None;
                        match reply {
                            Ok(_) => is_subscribed = true,
                            Err(RequestError::Disconnected) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                    notice = client.next() => match notice {
                        None => return Ok(()),
                        Some(Notice::Connected(_)) if !is_subscribed => {
                            asked = Some(client.request(self.subscribe()));
                        }
                        Some(notice) => if print(notice)? == Reader::Gone { return Ok(()) },
                    },
                    Some(next) = client.phase_after(phase) => {
                        phase = next;
                        waiting.told(&client, phase);
                    }
                }
            }
        })
    }

    fn subscribe(&self) -> ClientFrame {
        ClientFrame::RoomSubscribe(RoomSubscribe {
            room_id: self.room,
            after: self.after.map(Seq::new),
            mode: None,
        })
    }
}

/// Whether somebody reads what is printed.
#[derive(PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

/// Prints what a notice says, if it says something.
fn print(notice: Notice) -> anyhow::Result<Reader> {
    match notice {
        Notice::Event(event) => {
            let line = serde_json::to_string(&event.payload)?;
            match writeln!(std::io::stdout(), "{line}") {
                // `head` has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Reader::Gone),
                written => written?,
            }
        }
        Notice::Gap(gap) => eprintln!("parlor: {} to {} are not kept", gap.from, gap.to),
        Notice::Stopped(reason) => anyhow::bail!("{reason}"),
        _ => {}
    }
    Ok(Reader::There)
}

async fn answer(asked: &mut Option<Pending<SubscribedAck>>) -> Result<SubscribedAck, RequestError> {
    match asked {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// Whether somebody at the terminal was told that there is no connection.
enum Waiting {
    No,
    Said,
}

impl Waiting {
    /// Says it once, and once more when it is over.
    fn told(&mut self, client: &Client, phase: PhaseName) {
        match (&self, phase) {
            (Self::No, PhaseName::Backoff) => {
                let why = client.last_failure().unwrap_or_default();
                eprintln!("parlor: no connection ({why}); waiting for the server, Ctrl-C ends it");
                *self = Self::Said;
            }
            (Self::Said, PhaseName::Live) => {
                eprintln!("parlor: connected");
                *self = Self::No;
            }
            _ => {}
        }
    }
}
