//! A TCP proxy whose connections can be made to swallow everything, as a peer does that is gone without a word.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    generation: Arc<watch::Sender<u64>>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let generation = Arc::new(watch::Sender::new(0));
        let now = Arc::clone(&generation);
        tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let Ok(outer) = TcpStream::connect(("127.0.0.1", to)).await else {
                    continue;
                };
                let born = *now.borrow();
                let ((from, back), (other, there)) = (inner.into_split(), outer.into_split());
                tokio::spawn(carry(from, there, now.subscribe(), born));
                tokio::spawn(carry(other, back, now.subscribe(), born));
            }
        });
        Self { port, generation }
    }

    /// Makes every connection of this moment swallow what comes, and stay open; later ones work.
    pub(crate) fn swallow(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    now: watch::Receiver<u64>,
    born: u64,
) {
    let mut buffer = vec![0; 65536];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if *now.borrow() == born && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
