//! A connection as HTTP has it: what it is answered waits for its step, so that many that are answered at once delay nobody who is here.
//!
//! All of its headers may be late in the same moment, or all wait for the same thing. A connection has one request, so that one step is enough: what comes behind the
//! first bytes of an answer, as events do for hours, is not paced.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use parlor_actors::pace::Step;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A connection whose first write waits for a step of its thread.
pub struct Paced {
    stream: Stream,
    step: Step,
}

impl Paced {
    /// Has the first write of a connection wait.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            step: Step::New,
        }
    }

    /// Waits for the step before there is anything to write, because what is to be written takes its time.
    pub async fn step(&mut self) {
        poll_fn(|cx| self.step.poll(cx)).await;
    }
}

impl From<Paced> for Stream {
    fn from(paced: Paced) -> Self {
        paced.stream
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.poll_read(cx, into)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.step.poll(cx));
        self.stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.step.poll(cx));
        self.stream.poll_write_all(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::task::Waker;

    use actix_rt::net::{TcpListener, TcpStream};
    use tokio::task::yield_now;

    use super::*;

    /// Makes a connection; answers the other end too, so that it stays.
    async fn connection(listener: &TcpListener) -> (Paced, TcpStream) {
        let far = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (near, _) = listener.accept().await.unwrap();
        near.writable().await.unwrap();
        (Paced::new(Stream::from(near)), far)
    }

    #[actix::test]
    async fn first_answers_take_turns_and_what_follows_them_does_not_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(connection(&listener).await);
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let mut written = |bytes: &[u8]| -> usize {
            all.iter_mut()
                .map(|(paced, _)| Pin::new(paced).poll_write(cx, bytes))
                .filter(|answer| matches!(answer, Poll::Ready(Ok(_))))
                .count()
        };
        // Whoever had a step in this turn, there is at most one.
        let (mut before, mut turns) = (written(b"a"), 1);
        while before < 8 {
            yield_now().await;
            let now = written(b"a");
            assert!(now <= before + 2, "{before} to {now}");
            (turns, before) = (turns + 1, now);
        }
        assert!(turns >= 4, "{turns}");
        assert_eq!(written(b"b"), 8);
    }
}
