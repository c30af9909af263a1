//! A bot that answers each question once, however often it, the server or the network fails.
//!
//! ```text
//! PARLOR_PASSWORD=… cargo run --release --example bot -- http://127.0.0.1:8080 tea-bot ROOM
//! ```
//!
//! It makes its account when there is none, joins the room, and answers `!ping` and `!echo …`. What it keeps is in `tea-bot.state.json`.
//!
//! Invariants:
//! - An answer goes out under the id of the event it answers. Whoever asks once is answered once: a second answer has the same `msg_id`, and the
//!   server stores one.
//! - A position is kept together with the outbox, after the answer is in it. Killed in between, the bot hears the question again.
//! - Notices are taken without waiting for acknowledgements, which are only read while there is room for notices.
//!
//! Deliberately absent: reading back by `history.get` what a `gap` leaves out; the bot says that it did not hear it.

use std::{collections::BTreeMap, error::Error, fs, io, path::PathBuf};

use futures_util::FutureExt;
use parlor_client::{
    AccountError, Accounts, Client, ClientBuilder, Entry, EventFrame, Login, Notice,
};
use parlor_schema::{
    MsgId, RoomId, Seq, UserId,
    frame::{
        ClientFrame,
        ack::SeqAck,
        body::MessageBody,
        client::{MessageSend, RoomOnly},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the bot has to know when it is started again.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    positions: BTreeMap<RoomId, Seq>,
    outbox: Vec<Entry>,
}

/// The file of what is kept.
struct Store(PathBuf);

impl Store {
    fn load(&self) -> Outcome<Kept> {
        match fs::read(&self.0) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the file in place at once, so that a crash leaves the old one or the new one.
    fn save(&self, client: &Client) -> Outcome<()> {
        let kept = Kept {
            positions: client.positions(),
            outbox: client.outbox(),
        };
        let beside = self.0.with_extension("new");
        fs::write(&beside, serde_json::to_vec(&kept)?)?;
        Ok(fs::rename(&beside, &self.0)?)
    }
}

/// What the bot says to a text; nothing to most. The same text is always answered the same: under one `msg_id` there is one payload.
fn answer(text: &str) -> Option<String> {
    match text.trim().split_once(' ') {
        None if text.trim() == "!ping" => Some("pong".to_owned()),
        Some(("!echo", rest)) => Some(rest.trim().to_owned()),
        _ => None,
    }
}

/// Puts the answer to an event into the outbox, if there is one to give.
fn respond(client: &Client, me: &UserId, event: &EventFrame) -> Outcome<()> {
    // Its own answers come back as events too.
    if event.kind != "message" || event.sender == *me {
        return Ok(());
    }
    let Some(text) = event.text().and_then(answer) else {
        return Ok(());
    };
    let frame = ClientFrame::MessageSend(MessageSend {
        room_id: event.room_id,
        body: MessageBody::text(text).into(),
        reply_to: Some(event.seq),
        thread: None,
        mentions: None,
        attachments: None,
        expires_in_ms: None,
    });
    let pending = client.append_as::<Value>(MsgId::new(event.id.uuid()), frame);
    match pending.now_or_never() {
        // Answered already: the outbox is full. Started again, the bot goes on before this event.
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes notices until the client ends.
async fn attend(client: &Client, me: &UserId, store: &Store) -> Outcome<()> {
    while let Some(notice) = client.next().await {
        match notice {
            Notice::Connected(_) => println!("{me} is online"),
            Notice::Disconnected { reason, .. } => println!("{me} lost its connection: {reason}"),
            Notice::Stopped(reason) => return Err(reason.into()),
            Notice::Event(event) => respond(client, me, &event)?,
            Notice::Gap(gap) => println!("{me} did not hear {} to {}", gap.from, gap.to),
            _ => continue,
        }
        store.save(client)?;
    }
    Ok(())
}

/// Logs in, with a new account where there is none.
async fn log_in(accounts: &Accounts, me: &UserId, password: &str) -> Outcome<Login> {
    match accounts.register(me, password).await {
        Err(AccountError::Refused { status: 409, .. }) => Ok(accounts.login(me, password).await?),
        other => Ok(other?),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, me, room] = arguments.as_slice() else {
        return Err("usage: bot URL USER ROOM".into());
    };
    let (me, room_id): (UserId, RoomId) = (me.parse()?, room.parse()?);
    #[expect(clippy::disallowed_methods, reason = "an example has no settings")]
    let password = std::env::var("PARLOR_PASSWORD").map_err(|_| "PARLOR_PASSWORD has to be set")?;

    let accounts = Accounts::new(url)?;
    let login = log_in(&accounts, &me, &password).await?;
    let store = Store(format!("{me}.state.json").into());
    let kept = store.load()?;
    let client = ClientBuilder::new(url)
        .token_source(accounts.tokens(login))
        .device_name("bot")
        .positions(kept.positions)
        .restore_outbox(kept.outbox)
        .start()?;

    // Who is in already joins again without effect.
    let join = client.append::<SeqAck>(ClientFrame::RoomJoin(RoomOnly { room_id }));
    let joined = async {
        join.await?;
        println!("{me} is in the room");
        Ok(())
    };
    tokio::try_join!(joined, attend(&client, &me, &store))?;
    Ok(())
}
