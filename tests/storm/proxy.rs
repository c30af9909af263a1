//! A TCP proxy between one node and one server, which can cut, stall and delay what goes through it.
//!
//! Owns its listener and its connections. Invariants:
//! - PX-1: bytes arrive as they were sent and in order, or the connection is reset: nothing is left out of one that goes on.
//! - PX-2: what came while it stalls is delivered late, when it goes on, unless it is cut before: so does a network that heals.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// What becomes of what goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives.
    Open,
    /// Connections are reset, and new ones too.
    Cut,
    /// Both sides may write and nothing arrives, new connections included: half open.
    Stalled,
    /// Each piece arrives so much later, on the way there and on the way back.
    Slow(Duration),
}

/// A proxy; it ends with the runtime.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
}

impl Proxy {
    /// Starts one that everything goes through.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let way = Arc::new(watch::Sender::new(Way::Open));
        tokio::spawn(accept(listener, to, way.clone()));
        Self { address, way }
    }

    /// Has what goes through go another way from now on.
    pub(crate) fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, way: Arc<watch::Sender<Way>>) {
    loop {
        // It fails for connections that are gone again.
        if let Ok((inner, _)) = listener.accept().await {
            tokio::spawn(connection(inner, to, way.subscribe()));
        }
    }
}

async fn connection(mut inner: TcpStream, to: SocketAddr, mut way: watch::Receiver<Way>) {
    let now = way.wait_for(|way| *way != Way::Stalled).await;
    if now.map_or(Way::Cut, |way| *way) == Way::Cut {
        return reset(&inner);
    }
    let Ok(mut outer) = TcpStream::connect(to).await else {
        return reset(&inner);
    };
    let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
    let is_whole = {
        let (inner_read, inner_write) = inner.split();
        let (outer_read, outer_write) = outer.split();
        let both = async {
            tokio::join!(
                carry(inner_read, outer_write, way.clone()),
                carry(outer_read, inner_write, way.clone())
            )
        };
        let mut cut = way.clone();
        tokio::select! {
            (there, back) = both => there && back,
            _ = cut.wait_for(|way| *way == Way::Cut) => false,
        }
    };
    if !is_whole {
        reset(&inner);
        reset(&outer);
    }
}

/// Carries one direction to its end; answers whether all of it arrived.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut way: watch::Receiver<Way>,
) -> bool {
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(read) = from.read(&mut buffer).await else {
            return false;
        };
        if way.wait_for(|way| *way != Way::Stalled).await.is_err() {
            return false;
        }
        let now = *way.borrow();
        if let Way::Slow(late) = now {
            sleep(late).await;
        }
        if read == 0 {
            return to.shutdown().await.is_ok();
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return false;
        }
    }
}

/// Has the connection end in a reset when it is dropped.
fn reset(stream: &TcpStream) {
    // One that is gone already needs none.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(100);

    async fn pair() -> (Proxy, TcpStream, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap());
        let client = TcpStream::connect(proxy.address).await.unwrap();
        let (there, _) = server.accept().await.unwrap();
        (proxy, client, there)
    }

    async fn hears(stream: &mut TcpStream, text: &str) {
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, text.as_bytes());
    }

    #[tokio::test]
    async fn a_stall_delays_and_a_cut_resets() {
        let (proxy, mut client, mut server) = pair().await;
        client.write_all(b"one").await.unwrap();
        hears(&mut server, "one").await;
        proxy.turn(Way::Stalled);
        client.write_all(b"two").await.unwrap();
        let mut byte = [0];
        let nothing = timeout(MOMENT, server.read(&mut byte)).await;
        assert!(nothing.is_err(), "it arrived");
        proxy.turn(Way::Open);
        hears(&mut server, "two").await;
        proxy.turn(Way::Slow(MOMENT));
        let sent = std::time::Instant::now();
        server.write_all(b"back").await.unwrap();
        hears(&mut client, "back").await;
        assert!(sent.elapsed() >= MOMENT);
        proxy.turn(Way::Cut);
        assert!(client.read(&mut byte).await.is_err(), "no reset");
        assert!(server.read(&mut byte).await.is_err(), "no reset");
        let mut again = TcpStream::connect(proxy.address).await.unwrap();
        assert!(again.read(&mut byte).await.is_err(), "no reset");
    }
}
