//! People on two nodes in shared rooms, who talk at a steady rate whatever happens.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use uuid::Uuid;

use crate::{
    node::Node,
    seen::{Place, Seen, number_of},
    support::Client,
};

/// Bytes of each message's text.
const TEXT_BYTES: usize = 200;
/// People of a room on each node.
const EACH: usize = 2;
/// People of a room.
const ROOM_PEOPLE: usize = 2 * EACH;
/// How long what was sent may take to be everywhere.
const LEVEL_WITHIN: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Shared = Rc<RefCell<Seen>>;

/// Everybody, connected and in their rooms.
pub(crate) struct Crowd {
    people: RefCell<Vec<(Place, Client)>>,
    rooms: Vec<String>,
    tokens: Vec<String>,
}

impl Crowd {
    /// Makes rooms, each with people on both nodes.
    pub(crate) async fn gather(nodes: [&Node; 2], rooms: usize) -> Self {
        let mut crowd = Self {
            people: RefCell::default(),
            rooms: Vec::new(),
            tokens: Vec::new(),
        };
        for number in 0..rooms {
            crowd.room(nodes, number).await;
        }
        crowd
    }

    async fn room(&mut self, nodes: [&Node; 2], number: usize) {
        let names: Vec<String> = (0..ROOM_PEOPLE)
            .map(|at| format!("person{number}x{at}"))
            .collect();
        let mut clients = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let node = nodes[at % 2];
            let token = node.register(name).await;
            clients.push(node.hello(&token, json!({})).await);
            if at == 0 {
                self.tokens.push(token);
            }
        }
        let room = clients[0].room(json!({ "members": names[1..] })).await;
        for client in &mut clients[1..] {
            client
                .wait_for(|frame| {
                    frame["type"] == "room.created" && frame["payload"]["room_id"] == room.as_str()
                })
                .await;
        }
        let people = self.people.get_mut();
        for (at, client) in clients.into_iter().enumerate() {
            let place = Place {
                person: people.len(),
                room: number,
                node: at % 2,
            };
            people.push((place, client));
        }
        self.rooms.push(room);
    }

    /// Counts the people.
    pub(crate) fn len(&self) -> usize {
        self.people.borrow().len()
    }

    /// Has everybody talk, `rate` messages a second in all, each person in its turn.
    pub(crate) fn talk(&self, seen: &Shared, rate: u32) -> Talk {
        let people = std::mem::take(&mut *self.people.borrow_mut());
        let (start, turn) = (Instant::now(), Duration::from_secs(1) / rate);
        let count = u32::try_from(people.len()).unwrap();
        let goes_on = Rc::new(Cell::new(true));
        let mut talk = Talk {
            goes_on: Rc::clone(&goes_on),
            seen: Rc::clone(seen),
            talkers: Vec::new(),
            hearers: Vec::new(),
        };
        for (nth, (place, client)) in (0..).zip(people) {
            if let MaybeTlsStream::Plain(stream) = client.socket.get_ref() {
                stream.set_nodelay(true).unwrap();
            }
            let (sink, stream) = client.socket.split();
            talk.hearers
                .push(tokio::task::spawn_local(hear(stream, place, seen.clone())));
            let talker = Talker {
                sink,
                place,
                room: self.rooms[place.room].clone(),
                seen: Rc::clone(seen),
                goes_on: Rc::clone(&goes_on),
                due: start + turn * nth,
                every: turn * count,
            };
            talk.talkers.push(tokio::task::spawn_local(talker.run()));
        }
        talk
    }

    /// Reads all rooms from their beginning, each on one of the nodes; answers how many messages stand at the position of their ack (BO-1).
    pub(crate) async fn read_back(&self, nodes: [&Node; 2], seen: &Seen) -> usize {
        let mut kept = 0;
        for (number, (room, token)) in self.rooms.iter().zip(&self.tokens).enumerate() {
            let mut client = nodes[number % 2].hello(token, json!({})).await;
            let mut after = 0;
            let mut found = std::collections::BTreeMap::new();
            loop {
                let ask = json!({ "room_id": room, "after": after, "limit": 200 });
                let page = client.ok("history.get", ask).await;
                let events = page["events"].as_array().unwrap();
                let Some(last) = events.last() else { break };
                after = last["payload"]["seq"].as_u64().unwrap();
                for event in events.iter().filter(|event| event["type"] == "message") {
                    let seq = event["payload"]["seq"].as_u64().unwrap();
                    found.insert(seq, number_of(event));
                }
            }
            assert_eq!(found, seen.timeline(number), "BO-1: the timeline of {room}");
            kept += found.len();
        }
        kept
    }
}

/// People who talk.
pub(crate) struct Talk {
    goes_on: Rc<Cell<bool>>,
    seen: Shared,
    talkers: Vec<JoinHandle<SplitSink<Socket, Message>>>,
    hearers: Vec<JoinHandle<()>>,
}

impl Talk {
    /// Has everybody stop, and waits until all is everywhere, or has had its time.
    pub(crate) async fn finish(self) {
        self.goes_on.set(false);
        let mut sinks = Vec::new();
        for talker in self.talkers {
            sinks.push(talker.await.unwrap());
        }
        let began = Instant::now();
        while !self.seen.borrow().is_level(ROOM_PEOPLE) && began.elapsed() < LEVEL_WITHIN {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // What comes twice may come late.
        tokio::time::sleep(Duration::from_secs(2)).await;
        for hearer in self.hearers {
            match hearer.is_finished() {
                // Whose socket ended, or who was told what nobody sent.
                true => hearer.await.unwrap(),
                false => hearer.abort(),
            }
        }
        drop(sinks);
    }
}

async fn hear(mut stream: SplitStream<Socket>, place: Place, seen: Shared) {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                seen.borrow_mut().takes(place, &frame);
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return seen.borrow_mut().ended(),
            Some(Ok(_)) => {}
        }
    }
}

struct Talker {
    sink: SplitSink<Socket, Message>,
    place: Place,
    room: String,
    seen: Shared,
    goes_on: Rc<Cell<bool>>,
    due: Instant,
    every: Duration,
}

impl Talker {
    /// Sends when it is due and not when the one before was answered; gives its half of the socket back, which then stays open.
    async fn run(mut self) -> SplitSink<Socket, Message> {
        loop {
            tokio::time::sleep_until(self.due.into()).await;
            if !self.goes_on.get() {
                return self.sink;
            }
            let msg_id = Uuid::now_v7().to_string();
            let number = self
                .seen
                .borrow_mut()
                .sends(self.place, msg_id.clone(), self.due);
            let text = format!("{number} {}", "x".repeat(TEXT_BYTES));
            let payload = json!({ "room_id": self.room, "body": { "text": &text[..TEXT_BYTES] } });
            let frame = json!({ "type": "message.send", "msg_id": msg_id, "payload": payload });
            // Who is not connected any more is counted where it hears.
            let _ = self.sink.send(Message::text(frame.to_string())).await;
            self.due += self.every;
        }
    }
}
