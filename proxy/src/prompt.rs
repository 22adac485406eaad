//! Acknowledging a workload's answer at once.
//!
//! A server that leaves Nagle's algorithm on (RFC 896) writes a head and then holds back the body's first small
//! piece until the head is acknowledged, and the kernel delays acknowledgements by up to 40 ms. A caller on a
//! new connection does not notice, since the first acknowledgements are not delayed; a proxy that keeps its
//! connections does, on every streamed answer. So while more of an answer is awaited, what has come of it is
//! acknowledged.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::transport::{Socket, write_through};

/// Whether an answer is awaited on a connection; shared by its socket and whoever holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Awaiting(Arc<AtomicBool>);

impl Awaiting {
    /// A request is being sent: its answer is awaited.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The answer is there.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A workload's socket.
#[derive(Debug)]
pub(crate) struct Prompt {
    socket: Socket,
    awaiting: Awaiting,
    /// Whether bytes have come since the last acknowledgement that was asked for.
    unacknowledged: bool,
}

impl Prompt {
    pub(crate) fn new(socket: Socket, awaiting: Awaiting) -> Self {
        Self {
            socket,
            awaiting,
            unacknowledged: false,
        }
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.socket).poll_read(context, buffer);
        if read.is_ready() {
            this.unacknowledged = true;
        } else if this.unacknowledged && this.awaiting.0.load(Ordering::Relaxed) {
            this.unacknowledged = false;
            this.socket.acknowledge();
        }
        read
    }
}

write_through!(Prompt => socket);
