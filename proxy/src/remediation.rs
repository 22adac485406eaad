//! What one withdrawal cuts, counted, and timed to the end of its last stream.
//!
//! Takes the connections that are cut for one cause. Gives how many there were, with how many streams, and how long
//! it took until the last of these had ended. It never cuts anything itself, and waits no longer than a deadline:
//! who reads nothing can hold up its own end, not the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::record::Line;

/// How long the end of the last stream is waited for. A connection that was cut is closed after this time,
/// whatever its peer does.
const DEADLINE: Duration = Duration::from_secs(1);

/// One withdrawal that takes effect now.
#[derive(Debug)]
pub(crate) struct Remediation {
    began: Instant,
    cut: Cut,
    ended: mpsc::Receiver<Infallible>,
}

/// What counts the connections and streams that one withdrawal cuts.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    counts: Arc<Counts>,
    open: Open,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    streams: AtomicUsize,
}

/// Held by a stream that was cut, or by the connection under it, until it has ended.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    _alive: mpsc::Sender<Infallible>,
}

impl Remediation {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self {
            began: Instant::now(),
            cut: Cut {
                counts: Arc::default(),
                open: Open { _alive: alive },
            },
            ended,
        }
    }

    /// What is given to whatever is cut.
    pub(crate) fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Waits until everything that was cut has ended, or the deadline has passed.
    pub(crate) async fn ended(self) -> Remedied {
        let Self {
            began,
            cut: Cut { counts, open },
            mut ended,
        } = self;
        drop(open);
        let waited = tokio::time::timeout(DEADLINE, ended.recv()).await;
        Remedied {
            connections: counts.connections.load(Ordering::Relaxed),
            streams: counts.streams.load(Ordering::Relaxed),
            delay: began.elapsed(),
            end: match waited {
                Ok(_nothing_is_ever_sent) => End::Streams,
                Err(_elapsed) => End::Deadline,
            },
        }
    }
}

impl Cut {
    /// Counts a connection, with so many streams on it.
    pub(crate) fn connection(&self, streams: usize) {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        self.counts.streams.fetch_add(streams, Ordering::Relaxed);
    }

    /// To be held until a stream has ended.
    pub(crate) fn hold(&self) -> Open {
        self.open.clone()
    }
}

/// What came of a withdrawal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remedied {
    /// Connections that were cut.
    pub(crate) connections: usize,
    /// Streams that were open on them.
    pub(crate) streams: usize,
    /// From the beginning to the end of the last stream, or to the deadline.
    pub(crate) delay: Duration,
    /// What ended the wait.
    pub(crate) end: End,
}

/// What ended the wait for the last stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The deadline; the connections are closed at the same time.
    Deadline,
    /// The end of the last stream.
    Streams,
}

impl End {
    /// The stable label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Streams => "streams-ended",
        }
    }
}

impl Remedied {
    /// The delay in whole microseconds.
    pub(crate) fn delay_us(&self) -> u64 {
        u64::try_from(self.delay.as_micros()).unwrap_or(u64::MAX)
    }

    /// Adds what came of it to a record.
    pub(crate) fn write(&self, line: Line) -> Line {
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        line.number("connections_cut", count(self.connections))
            .number("streams_cut", count(self.streams))
            .number("delay_us", self.delay_us())
            .text("end", self.end.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_delay_ends_with_the_last_stream() {
        let remediation = Remediation::begin();
        remediation.cut().connection(2);
        let (first, last) = (remediation.cut().hold(), remediation.cut().hold());
        crate::task::spawn(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            drop(first);
            tokio::time::sleep(Duration::from_millis(4)).await;
            drop(last);
        });
        let remedied = remediation.ended().await;
        assert_eq!((remedied.connections, remedied.streams), (1, 2));
        assert_eq!(remedied.delay, Duration::from_millis(7));
        assert_eq!(remedied.end, End::Streams);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_holds_up_nobody_for_longer_than_the_deadline() {
        let remediation = Remediation::begin();
        remediation.cut().connection(1);
        let _never_read = remediation.cut().hold();
        let remedied = remediation.ended().await;
        assert_eq!(remedied.delay, DEADLINE);
        assert_eq!(remedied.end, End::Deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_cut_is_done_at_once() {
        let remedied = Remediation::begin().ended().await;
        assert_eq!((remedied.connections, remedied.streams), (0, 0));
        assert_eq!(remedied.delay, Duration::ZERO);
    }
}
