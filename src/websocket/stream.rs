//! The bytes under a connection: TCP, or TLS over it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use actix_rt::net::TcpStream;
use actix_tls::accept::rustls_0_23::TlsStream;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection runs over.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Stream {
    /// Waits until there may be something to read, and takes nothing.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx).map(drop),
            // Some may be decrypted already, which the socket knows nothing of.
            Self::Tls(_) => Poll::Ready(()),
        }
    }

    /// Reads what there is.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(&mut ***stream).poll_read(cx, into),
        }
    }

    /// Writes what it takes of `bytes`. The system is asked first: what the runtime knows of the socket lies elsewhere, in no cache, and nearly every
    /// socket has room.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => match send(&*stream, bytes, SendFlags::NOSIGNAL) {
                Ok(written) => Poll::Ready(Ok(written)),
                // It is full, or gone: the runtime finds out which, and waits where there is something to wait for.
                Err(_) => Pin::new(stream).poll_write(cx, bytes),
            },
            Self::Tls(stream) => Pin::new(&mut ***stream).poll_write(cx, bytes),
        }
    }

    /// Writes what it takes of `parts`, in order.
    pub(super) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(&mut ***stream).poll_write_vectored(cx, parts),
        }
    }

    /// Sends on what encryption still holds.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(&mut ***stream).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut ***stream).poll_shutdown(cx),
        }
    }
}
