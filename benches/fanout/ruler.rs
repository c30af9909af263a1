//! The rulers: bare loops on one thread that write the server's own frame, renamed, to the same number of sockets.
//!
//! Invariant BR-1: a ruler parses, checks, orders and stores nothing; it counts the bytes of a message and that is all.

use std::{
    cell::RefCell,
    io::ErrorKind,
    net::SocketAddr,
    sync::Arc,
    task::{Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
};
use uuid::Uuid;

use super::crowd::Shape;
use crate::board::{TEXT_BYTES, message, rename};

/// Frames joined at most into one write.
const CORK_FRAMES: usize = 256;
/// Bytes that a publisher's socket is read by.
const READ_BYTES: usize = 4096;

thread_local! {
    static CORK: RefCell<(Vec<Bytes>, Vec<u8>)> = RefCell::default();
}

/// How a bare loop writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ruler {
    /// Each message to each socket of its room, one by one.
    OneByOne,
    /// Into a channel per socket; its task joins what is in it into one write.
    Corked,
}

impl Ruler {
    /// Starts a thread for the sockets of `shape`, room by room; it ends when their publishers leave.
    pub(crate) fn start(self, shape: Shape, frame: Vec<u8>) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                self.serve(listener, shape, frame).await;
            });
        });
        addr
    }

    async fn serve(self, listener: TcpListener, shape: Shape, frame: Vec<u8>) {
        let mut tasks = JoinSet::new();
        let mut rooms = Vec::with_capacity(shape.rooms);
        for room in 0..shape.rooms {
            let (mut publishers, mut sockets) = (Vec::new(), Vec::new());
            for member in 0..shape.members {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (read, write) = stream.into_split();
                sockets.push(write);
                if member < shape.publishers {
                    let name = room * shape.publishers + member;
                    publishers.push(Publisher::new(name, read, frame.clone()));
                }
            }
            rooms.push((publishers, sockets));
        }
        for (publishers, sockets) in rooms {
            match self {
                Self::OneByOne => {
                    let sockets = Arc::new(sockets);
                    for publisher in publishers {
                        tasks.spawn(one_by_one(publisher, sockets.clone()));
                    }
                }
                Self::Corked => {
                    let queue = |socket| {
                        let (queue, queued) = mpsc::unbounded_channel();
                        tasks.spawn(drain(queued, socket));
                        queue
                    };
                    let queues: Arc<Vec<_>> = Arc::new(sockets.into_iter().map(queue).collect());
                    for publisher in publishers {
                        tasks.spawn(into_queues(publisher, queues.clone()));
                    }
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// A socket from which messages come.
struct Publisher {
    name: usize,
    read: OwnedReadHalf,
    buffer: Vec<u8>,
    held: usize,
    message: usize,
    said: u64,
    frame: Vec<u8>,
}

impl Publisher {
    fn new(name: usize, read: OwnedReadHalf, frame: Vec<u8>) -> Self {
        Self {
            name,
            read,
            buffer: vec![0; READ_BYTES],
            held: 0,
            message: message(&Uuid::nil().to_string(), 0, 0, TEXT_BYTES).len(),
            said: 0,
            frame,
        }
    }

    /// Waits for a message and leaves its frame in `frame`; answers whether there was one.
    async fn next(&mut self) -> bool {
        while self.held < self.message {
            match self.read.read(&mut self.buffer).await {
                Ok(0) => return false,
                Ok(read) => self.held += read,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}"),
            }
        }
        self.held -= self.message;
        rename(&mut self.frame, self.name, self.said);
        self.said += 1;
        true
    }
}

async fn one_by_one(mut publisher: Publisher, sockets: Arc<Vec<OwnedWriteHalf>>) {
    while publisher.next().await {
        for socket in &*sockets {
            write(socket, &publisher.frame).await;
        }
    }
}

async fn write(socket: &OwnedWriteHalf, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.writable().await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn into_queues(mut publisher: Publisher, queues: Arc<Vec<mpsc::UnboundedSender<Bytes>>>) {
    while publisher.next().await {
        let frame = Bytes::copy_from_slice(&publisher.frame);
        for queue in &*queues {
            // A socket that has gone is the client's end.
            let _ = queue.send(frame.clone());
        }
    }
}

/// Writes what is queued, joined, until there are no publishers.
async fn drain(mut queued: mpsc::UnboundedReceiver<Bytes>, mut socket: OwnedWriteHalf) {
    loop {
        let rest = std::future::poll_fn(|cx| {
            CORK.with_borrow_mut(|(frames, cork)| {
                frames.clear();
                let taken = ready!(queued.poll_recv_many(cx, frames, CORK_FRAMES));
                cork.clear();
                for frame in &*frames {
                    cork.extend_from_slice(frame);
                }
                let written = match socket.try_write(cork) {
                    Ok(written) => written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(_) => return Poll::Ready(None),
                };
                Poll::Ready((taken > 0).then(|| cork[written..].to_vec()))
            })
        })
        .await;
        let Some(rest) = rest else { return };
        if socket.write_all(&rest).await.is_err() {
            return;
        }
    }
}
