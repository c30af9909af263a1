//! A TCP proxy between one client and the server that cuts after a number of bytes, and knows where in a WebSocket frame that was.
//!
//! Invariant CU-1: what comes before the cut has been handed to the other side's socket when the connection goes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::oneshot,
};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// How a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a reset, which takes with it what is not sent yet.
    Reset,
    /// By an end of the stream, as if that were all there is.
    End,
}

/// What was cut in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The handshake of HTTP.
    Handshake,
    /// A frame.
    Frame,
    /// Nothing: it hit between two frames.
    Between,
}

/// A cut to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Bytes that still pass, of all connections from now on.
    pub(crate) after: u64,
    /// Which bytes count.
    pub(crate) direction: Direction,
    /// How.
    pub(crate) ending: Ending,
}

type Plan = Arc<Mutex<Option<(Cut, oneshot::Sender<Hit>)>>>;

/// The proxy; it ends with the runtime.
pub(crate) struct Cutter {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    plan: Plan,
}

impl Cutter {
    /// Starts one that everything goes through.
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Plan::default();
        tokio::spawn(accept(listener, to, plan.clone()));
        Self { address, plan }
    }

    /// Plans a cut, and waits until it has hit.
    pub(crate) async fn cut(&self, cut: Cut) -> Hit {
        let (hit, told) = oneshot::channel();
        *locked(&self.plan) = Some((cut, hit));
        told.await.expect("invariant: a plan stays until it hits")
    }
}

fn locked(plan: &Plan) -> MutexGuard<'_, Option<(Cut, oneshot::Sender<Hit>)>> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, to: SocketAddr, plan: Plan) {
    loop {
        // It fails for connections that are gone again.
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connection(client, to, plan.clone()));
        }
    }
}

async fn connection(mut client: TcpStream, to: SocketAddr, plan: Plan) {
    let mut server = TcpStream::connect(to).await.unwrap();
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ending = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::select! {
            ending = carry(client_read, server_write, Direction::Up, &plan) => ending,
            ending = carry(server_read, client_write, Direction::Down, &plan) => ending,
        }
    };
    if ending == Ending::Reset {
        for stream in [&client, &server] {
            // One that is gone already needs none.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Carries one direction up to its end or the cut.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    plan: &Plan,
) -> Ending {
    let mut buffer = vec![0; 65_536];
    let mut place = FramePlace::default();
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return Ending::End;
        };
        let cut = due(plan, direction, read as u64);
        let passing = cut.as_ref().map_or(read, |(cut, _)| {
            usize::try_from(cut.after).expect("invariant: within the buffer")
        });
        place.pass(&buffer[..passing]);
        let written = to.write_all(&buffer[..passing]).await;
        if let Some((cut, hit)) = cut {
            // The test waits for it, unless it has failed.
            let _ = hit.send(place.hit());
            return cut.ending;
        }
        if written.is_err() {
            return Ending::End;
        }
    }
}

/// Takes the plan if it hits within the next bytes, and counts them otherwise.
fn due(plan: &Plan, direction: Direction, bytes: u64) -> Option<(Cut, oneshot::Sender<Hit>)> {
    let mut plan = locked(plan);
    let (cut, _) = plan.as_mut()?;
    if cut.direction != direction {
        return None;
    }
    if cut.after > bytes {
        cut.after -= bytes;
        return None;
    }
    plan.take()
}

/// How far one direction of a connection has come: in its handshake, in a frame, or between two.
///
/// Source: RFC 6455, section 5.2.
#[derive(Default)]
struct FramePlace {
    is_upgraded: bool,
    /// The last four bytes of the handshake.
    tail: u32,
    head: Vec<u8>,
    payload_left: u64,
}

impl FramePlace {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.is_upgraded {
                self.tail = self.tail << 8 | u32::from(*byte);
                self.is_upgraded = self.tail == u32::from_be_bytes(*b"\r\n\r\n");
            } else if self.payload_left > 0 {
                self.payload_left -= 1;
            } else {
                self.head.push(*byte);
                if let Some(length) = payload_length(&self.head) {
                    self.payload_left = length;
                    self.head.clear();
                }
            }
        }
    }

    fn hit(&self) -> Hit {
        if !self.is_upgraded {
            Hit::Handshake
        } else if self.payload_left > 0 || !self.head.is_empty() {
            Hit::Frame
        } else {
            Hit::Between
        }
    }
}

/// Returns the length of the payload once the head of a frame is whole.
fn payload_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (wide, short) = match second & 0x7f {
        126 => (2, None),
        127 => (8, None),
        length => (0, Some(u64::from(length))),
    };
    if head.len() < 2 + wide + mask {
        return None;
    }
    let long = head[2..2 + wide].iter();
    Some(short.unwrap_or_else(|| long.fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
}

#[test]
fn a_place_in_a_frame_is_known() {
    let mut place = FramePlace::default();
    place.pass(b"HTTP/1.1 101\r\n");
    assert_eq!(place.hit(), Hit::Handshake);
    place.pass(b"\r\n");
    assert_eq!(place.hit(), Hit::Between);
    // Short and bare; then masked and with a longer length, byte by byte.
    place.pass(&[0x81, 2, b'h']);
    assert_eq!(place.hit(), Hit::Frame);
    place.pass(b"i");
    assert_eq!(place.hit(), Hit::Between);
    let long: Vec<u8> = [0x81, 0x80 | 126, 0, 200, 1, 2, 3, 4]
        .into_iter()
        .chain([b'x'; 200])
        .collect();
    for byte in &long[..207] {
        place.pass(&[*byte]);
        assert_eq!(place.hit(), Hit::Frame);
    }
    place.pass(&long[207..]);
    assert_eq!(place.hit(), Hit::Between);
    place.pass(&[0x8a, 0]);
    assert_eq!(place.hit(), Hit::Between);
}
