//! A listening socket with bounds: so many connections, and none that is silent for ever.
//!
//! Not here: what is answered. Invariant: at most `HTTP_CONNECTIONS_MAX` connections are open, and each
//! is closed after some time (`HTTP_IDLE_TIMEOUT`) without a byte from the other side.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the port of the process is opened here")]

use std::future::Future as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::error::CoreError;
use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_PORTS_TRIED};

/// Takes `address`, or with `next_free` the first free port from it on. Port 0 lets the system choose.
pub(super) fn bind(address: SocketAddr, next_free: bool) -> Result<TcpListener, CoreError> {
    let tries = if next_free { HTTP_PORTS_TRIED } else { 1 };
    let mut last = None;
    for port in (0..tries).map_while(|n| address.port().checked_add(n)) {
        match TcpListener::bind(SocketAddr::new(address.ip(), port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => {
                last = Some(error);
                break;
            }
        }
    }
    let why = last.map_or_else(|| "there is no such port".to_owned(), |error| error.to_string());
    let help = if next_free {
        format!("and {} ports after it were tried too; set `http.listen` to another", tries - 1)
    } else {
        "set `http.listen` to another, or `http.port.next.free`".to_owned()
    };
    Err(CoreError::config(format!("cannot listen on {address}: {why}; {help}")))
}

/// See the file's head.
pub(super) struct Bounded {
    listener: tokio::net::TcpListener,
    permits: Arc<Semaphore>,
    idle: Duration,
}

impl Bounded {
    pub(super) fn new(listener: tokio::net::TcpListener, idle: Duration) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX)), idle }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // ORDER: first the permit, then the connection: what cannot be served stays in the system's
            // queue instead of in our memory.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                std::future::pending::<()>().await;
                continue;
            };
            let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
            let deadline = Box::pin(sleep(self.idle));
            return (Connection { stream, deadline, idle: self.idle, _permit: permit }, peer);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when the other side is silent too long.
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    idle: Duration,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                this.deadline.as_mut().reset(Instant::now() + this.idle);
                Poll::Ready(read)
            }
            Poll::Pending => this
                .deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the other side is silent"))),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use axum::serve::Listener as _;

    use super::*;

    #[tokio::test]
    async fn no_more_connections_than_the_bound_are_taken_in() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(listener, Duration::from_secs(60));
        let mut open = Vec::new();
        for _ in 0..HTTP_CONNECTIONS_MAX {
            let client = std::net::TcpStream::connect(address).unwrap();
            open.push((client, bounded.accept().await));
        }
        let _one_more = std::net::TcpStream::connect(address).unwrap();
        let mut next = pin!(bounded.accept());
        let waits = poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await;
        assert!(waits, "one more than the bound was taken in");
        open.pop();
        next.await;
    }
}
