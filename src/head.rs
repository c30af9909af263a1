//! A connection until the head of its request is whole.
//!
//! HTTP has a deadline for it too, but a thousand connections that were opened together are late together, and would be answered in one turn of the loop. Those who
//! are late here are turned away one in a turn, and until then hold the bytes that came and nothing else of HTTP's.
//!
//! Invariants:
//! - HD-1: who is late is turned away at the pace of the thread.
//! - HD-2: what came is handed on as it came, but for empty lines before it; with a byte that no head has, at once: it is HTTP's to judge.
//! - HD-3: nobody is read twice in a turn, and who sends much waits for a step.
//!
//! Deliberately absent: what a head means, and the head of a second request (a connection has one).

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use actix_web::http::header::HttpDate;
use bytes::{Buf, Bytes, BytesMut};
use parlor_actors::pace;
use parlor_schema::port::Clock;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    task::yield_now,
    time::timeout,
};

/// Time for the head.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a head and of empty lines before it. HTTP answers 431 to a head of as many.
const BYTES_MAX: usize = 128 * 1024;
/// Bytes taken with one read.
const READ_BYTES: usize = 4096;
/// Time for one who is turned away to take the answer and to stop: what it says behind an end would have the system throw the answer away.
const LINGER: Duration = Duration::from_secs(1);

/// A connection of which the head of a request was read.
pub struct Headed<S> {
    stream: S,
    /// What HTTP did not take yet.
    read: Bytes,
}

/// Reads the head of a request.
///
/// # Errors
/// The client went away, or was late and is turned away.
pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    clock: &dyn Clock,
) -> io::Result<Headed<S>> {
    let mut head = BytesMut::new();
    if let Ok(read) = timeout(WITHIN, fill(&mut stream, &mut head)).await {
        read?;
        let read = head.freeze();
        return Ok(Headed { stream, read });
    }
    pace::step().await;
    let _gone_or_not = timeout(LINGER, turn_away(&mut stream, clock)).await;
    // The system's work for an end is no less than that for the answer.
    pace::step().await;
    Err(io::ErrorKind::TimedOut.into())
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), head: &mut BytesMut) -> io::Result<()> {
    let mut taken = 0;
    loop {
        let seen = head.len();
        let count = more(stream, head).await?;
        taken += count;
        let before = empty_lines(head);
        head.advance(before);
        if taken >= BYTES_MAX || is_over(head, seen.saturating_sub(before)) {
            return Ok(());
        }
        others_first(count).await;
    }
}

/// Reads once; answers how many bytes.
async fn more(stream: &mut (impl AsyncRead + Unpin), into: &mut BytesMut) -> io::Result<usize> {
    let count = poll_fn(|cx| poll_more(Pin::new(stream), into, cx)).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(count)
}

/// Lets others go first behind a read of `count` bytes; behind one of all there was room for, those too who wait for a step (HD-3).
async fn others_first(count: usize) {
    if count == READ_BYTES {
        pace::step().await;
    } else {
        yield_now().await;
    }
}

/// Reads once. The room for it is the stack's, so that who waits has none.
fn poll_more(
    stream: Pin<&mut impl AsyncRead>,
    into: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = [MaybeUninit::uninit(); READ_BYTES];
    let mut room = ReadBuf::uninit(&mut room);
    ready!(stream.poll_read(cx, &mut room))?;
    into.extend_from_slice(room.filled());
    Poll::Ready(Ok(room.filled().len()))
}

/// Returns the length of the empty lines that `head` begins with: they mean nothing (RFC 9112 section 2.2).
fn empty_lines(head: &[u8]) -> usize {
    let mut rest = head;
    while let Some(next) = rest
        .strip_prefix(b"\n")
        .or_else(|| rest.strip_prefix(b"\r\n"))
    {
        rest = next;
    }
    head.len() - rest.len()
}

/// Tells whether an empty line, or what no head contains, stands in `head`, of which `seen` bytes were looked at before.
fn is_over(head: &[u8], seen: usize) -> bool {
    let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\r' | b'\n' | b'\t');
    let lines = &head[seen.saturating_sub(2)..];
    lines.windows(2).any(|two| two == b"\n\n")
        || lines.windows(3).any(|three| three == b"\n\r\n")
        || !head[seen..].iter().all(is_text)
}

async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    clock: &dyn Clock,
) -> io::Result<()> {
    let since = Duration::from_millis(clock.now().millis().try_into().unwrap_or_default());
    let date = HttpDate::from(SystemTime::UNIX_EPOCH + since);
    let answer = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\ndate: {date}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = BytesMut::new();
    loop {
        let count = more(stream, &mut unread).await?;
        unread.clear();
        others_first(count).await;
    }
}

impl<S> Headed<S> {
    /// Returns the connection, and what of it nobody took yet.
    #[must_use]
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.read)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Headed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.read.len().min(into.remaining());
        into.put_slice(&self.read[..count]);
        self.read.advance(count);
        if self.read.is_empty() {
            // It would else keep the whole of it.
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Headed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{io::Read, pin::pin, task::Waker};

    use actix_rt::net::{TcpListener, TcpStream};
    use futures_util::future::join_all;
    use parlor_cluster::SystemClock;
    use tokio::{
        io::AsyncReadExt,
        time::{advance, pause},
    };

    use super::*;

    /// Reads a head that comes in `pieces`; answers what was handed on, where it was.
    async fn headed(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let (mut far, near) = tokio::io::duplex(64 * 1024);
        let clock = SystemClock::new();
        let writing = async {
            for piece in pieces {
                far.write_all(piece).await.unwrap();
                yield_now().await;
            }
            far.shutdown().await.unwrap();
        };
        let (headed, ()) = tokio::join!(read(near, &*clock), writing);
        let mut all = Vec::new();
        headed?.read_to_end(&mut all).await?;
        Ok(all)
    }

    #[actix::test]
    async fn a_head_is_handed_on_as_it_came_however_it_was_cut() {
        let said = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nand more";
        for at in 0..said.len() {
            let (one, two) = said.split_at(at);
            assert_eq!(headed(&[one, two]).await.unwrap(), said, "cut at {at}");
        }
        let bytes: Vec<_> = said.chunks(1).collect();
        assert_eq!(headed(&bytes).await.unwrap(), said);
        let bare = b"GET / HTTP/1.1\nHost: x\n\n";
        assert_eq!(headed(&[b"\r", b"\n\r\n\n", bare]).await.unwrap(), bare);
        let odd = b"\rGET / HTTP/1.1\n\n";
        assert_eq!(headed(&[odd]).await.unwrap(), odd);
        let kind = headed(&[b"GET / HTTP/1.1\r\n"]).await.unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::UnexpectedEof);
    }

    #[actix::test]
    async fn what_no_head_is_or_too_long_goes_on_at_once() {
        let clock = SystemClock::new();
        let long = vec![b'a'; BYTES_MAX];
        let empty = vec![b'\n'; BYTES_MAX];
        for (said, handed_on) in [
            (&b"\x16\x03\x01"[..], &b"\x16\x03\x01"[..]),
            (&long, &long),
            (&empty, b""),
        ] {
            let (mut far, near) = tokio::io::duplex(BYTES_MAX);
            far.write_all(said).await.unwrap();
            let (_, read) = read(near, &*clock).await.unwrap().into_parts();
            assert_eq!(read, handed_on);
        }
    }

    #[actix::test]
    async fn those_who_are_late_are_turned_away_one_after_the_other() {
        const LATE: usize = 16;
        let clock = SystemClock::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..LATE {
            let mut one = std::net::TcpStream::connect(address).unwrap();
            io::Write::write_all(&mut one, b"G").unwrap();
            one.set_nonblocking(true).unwrap();
            far.push(one);
            let (stream, _): (TcpStream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            near.push(Box::pin(read(stream, &*clock)));
        }
        pause();
        let mut all = pin!(join_all(near));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(all.as_mut().poll(cx).is_pending());
        advance(WITHIN + Duration::from_millis(2)).await;
        let (mut answered, mut turns) = (0, 0);
        while answered < LATE {
            assert!(all.as_mut().poll(cx).is_pending());
            let more = far.iter_mut().filter_map(|one| {
                let mut said = [0; 12];
                one.read(&mut said).ok().map(|_| said)
            });
            answered += more.filter(|said| said == b"HTTP/1.1 408").count();
            turns += 1;
            yield_now().await;
        }
        assert!(turns >= LATE / 2, "HD-1: all in {turns} turns");
    }
}
