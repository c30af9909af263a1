//! `parlor send` and `parlor tail`: a client at the command line.

use clap::Args;
use parlor_client::{Client, ClientBuilder, Notice};
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
    fn start(&self) -> anyhow::Result<Client> {
        let builder = ClientBuilder::new(&self.url)
            .token(self.token.clone())
            .rooms(RoomsWanted::Word(RoomsWord::None))
            .attempts_max(5);
        Ok(builder.start()?)
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
            let client = self.connection.start()?;
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
    /// Prints events until the connection is refused or the process is told to stop.
    pub(super) fn run(self) -> anyhow::Result<()> {
        block_on(async {
            let client = self.connection.start()?;
            let subscribe = RoomSubscribe {
                room_id: self.room,
                after: self.after.map(Seq::new),
                mode: None,
            };
            let mut asked = false;
            while let Some(notice) = client.next().await {
                match notice {
                    Notice::Connected(_) if !asked => {
                        asked = true;
                        let reply = client.request::<SubscribedAck>(ClientFrame::RoomSubscribe(
                            subscribe.clone(),
                        ));
                        tokio::spawn(async move {
                            if let Err(error) = reply.await {
                                eprintln!("parlor: {error}");
                                std::process::exit(1);
                            }
                        });
                    }
                    Notice::Event(event) => println!("{}", serde_json::to_string(&event.payload)?),
                    Notice::Gap(gap) => {
                        eprintln!("parlor: {} to {} are not kept", gap.from, gap.to)
                    }
                    Notice::Stopped(reason) => anyhow::bail!("{reason}"),
                    _ => {}
                }
            }
            Ok(())
        })
    }
}
