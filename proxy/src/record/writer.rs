//! The thread that writes records, and the bounded queue before it.
//!
//! The queue is one buffer of finished lines. A line is copied into it under a lock and its own memory used
//! again, so that recording allocates nothing and no memory wanders between threads.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{RecordError, Sink};

/// How long a batch may gather: under load one write then carries many records.
const GATHER: Duration = Duration::from_millis(5);
/// Pause between attempts to write to a sink that fails.
const RETRY: Duration = Duration::from_millis(100);
/// Lines that close calls may pass the bound of the queue by this factor before they are lost.
const CLOSING_FACTOR: usize = 8;

/// Lines on their way to the sink.
#[derive(Debug)]
pub(super) struct Queue {
    gathering: Mutex<Batch>,
    arrived: Condvar,
    /// Lines that are queued or being written.
    waiting: AtomicUsize,
    failing: AtomicBool,
    bound: usize,
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: usize,
    flushes: Vec<SyncSender<()>>,
    /// Nobody records any more.
    last: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.lines == 0 && self.flushes.is_empty() && !self.last
    }
}

impl Queue {
    fn gathering(&self) -> MutexGuard<'_, Batch> {
        self.gathering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the batch, and wakes the writer if it waits for one.
    fn add(&self, change: impl FnOnce(&mut Batch)) {
        let mut batch = self.gathering();
        let was_empty = batch.is_empty();
        change(&mut batch);
        drop(batch);
        if was_empty {
            self.arrived.notify_one();
        }
    }

    /// Queues one finished line.
    pub(super) fn push(&self, line: &[u8]) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.add(|batch| {
            batch.bytes.extend_from_slice(line);
            batch.lines += 1;
        });
    }

    /// Has `done` told when everything queued so far is written.
    pub(super) fn flush(&self, done: SyncSender<()>) {
        self.add(|batch| batch.flushes.push(done));
    }

    /// Lets the writer end after what is queued.
    pub(super) fn close(&self) {
        self.add(|batch| batch.last = true);
    }

    /// Whether something new may be opened.
    pub(super) fn takes_new(&self) -> bool {
        !self.failing.load(Ordering::Acquire) && self.waiting.load(Ordering::Relaxed) < self.bound
    }

    /// Whether one more line may be queued at all.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.bound.saturating_mul(CLOSING_FACTOR)
    }

    fn wait(&self) {
        let batch = self.gathering();
        let _batch = self
            .arrived
            .wait_while(batch, |batch| batch.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
    }
}

/// Opens the sink and starts the thread; it ends after [`Queue::close`].
pub(super) fn start(sink: &Sink, bound: usize) -> Result<Arc<Queue>, RecordError> {
    let output: Box<dyn Write + Send> = match sink {
        Sink::File(path) => {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)
                .map_err(|source| RecordError::Open {
                    path: path.clone(),
                    source,
                })?;
            Box::new(file)
        }
        Sink::Stdout => Box::new(io::stdout()),
    };
    let queue = Arc::new(Queue {
        gathering: Mutex::default(),
        arrived: Condvar::new(),
        waiting: AtomicUsize::new(0),
        failing: AtomicBool::new(false),
        bound,
    });
    let to_write = Arc::clone(&queue);
    std::thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || run(&to_write, output))
        .map_err(RecordError::Thread)?;
    Ok(queue)
}

fn run(queue: &Queue, mut output: Box<dyn Write + Send>) {
    let mut batch = Batch::default();
    while !batch.last {
        queue.wait();
        std::thread::sleep(GATHER);
        std::mem::swap(&mut batch, &mut *queue.gathering());
        write_out(&mut output, &batch.bytes, queue);
        queue.waiting.fetch_sub(batch.lines, Ordering::Relaxed);
        batch.bytes.clear();
        batch.lines = 0;
        for flush in batch.flushes.drain(..) {
            // Nobody waits any more: that is fine.
            let _ = flush.send(());
        }
    }
}

/// Writes all of it, however often the sink fails in between; says so while it does.
fn write_out(output: &mut dyn Write, mut bytes: &[u8], queue: &Queue) {
    while !bytes.is_empty() {
        let wrote = output
            .write(bytes)
            .and_then(|count| output.flush().map(|()| count));
        match wrote {
            Ok(count) if count > 0 => {
                bytes = bytes.get(count..).unwrap_or_default();
                if queue.failing.swap(false, Ordering::AcqRel) {
                    tracing::info!("audit records are written again");
                }
            }
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                if !queue.failing.swap(true, Ordering::AcqRel) {
                    let cause = failed.err().map(|error| error.to_string());
                    tracing::error!(cause, "audit records cannot be written");
                }
                std::thread::sleep(RETRY);
            }
        }
    }
}
