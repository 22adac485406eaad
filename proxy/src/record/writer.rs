//! The thread that writes records, and what it tells of itself.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::time::Duration;

use super::{RecordError, Sink};

/// How long a batch may gather: under load one write then carries many records.
const GATHER: Duration = Duration::from_millis(4);
/// A batch is written once it is this long.
const BATCH_BYTES: usize = 256 * 1024;
/// Pause between attempts to write to a sink that fails.
const RETRY: Duration = Duration::from_millis(100);
/// Lines that close calls may pass the bound of the queue by this factor before they are lost.
const CLOSING_FACTOR: usize = 8;

/// To the writer.
pub(super) enum Message {
    Flush(SyncSender<()>),
    Line(Vec<u8>),
}

/// Seen by those who record, kept by the writer.
#[derive(Debug)]
pub(super) struct State {
    waiting: AtomicUsize,
    failing: AtomicBool,
    bound: usize,
}

impl State {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            bound,
        }
    }

    /// Whether something new may be opened.
    pub(super) fn takes_new(&self) -> bool {
        !self.failing.load(Ordering::Acquire) && self.waiting.load(Ordering::Relaxed) < self.bound
    }

    /// Whether one more line may be queued at all.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.bound.saturating_mul(CLOSING_FACTOR)
    }

    pub(super) fn queued(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    fn written(&self, lines: usize) {
        self.waiting.fetch_sub(lines, Ordering::Relaxed);
    }
}

/// Opens the sink and starts the thread; it ends when the last sender is gone.
pub(super) fn start(sink: &Sink, state: Arc<State>) -> Result<Sender<Message>, RecordError> {
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
    let (queue, lines) = channel();
    std::thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || run(&lines, output, &state))
        .map_err(RecordError::Thread)?;
    Ok(queue)
}

fn run(messages: &Receiver<Message>, mut output: Box<dyn Write + Send>, state: &State) {
    let mut batch = Batch::default();
    while let Ok(first) = messages.recv() {
        batch.take(first);
        std::thread::sleep(GATHER);
        while batch.bytes.len() < BATCH_BYTES {
            match messages.try_recv() {
                Ok(message) => batch.take(message),
                Err(_none_now) => break,
            }
        }
        write_out(&mut output, &batch.bytes, state);
        state.written(batch.lines);
        batch.done();
    }
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: usize,
    flushes: Vec<SyncSender<()>>,
}

impl Batch {
    fn take(&mut self, message: Message) {
        match message {
            Message::Flush(done) => self.flushes.push(done),
            Message::Line(line) => {
                self.bytes.extend_from_slice(&line);
                self.lines += 1;
            }
        }
    }

    fn done(&mut self) {
        for flush in self.flushes.drain(..) {
            let _ = flush.send(());
        }
        self.bytes.clear();
        self.lines = 0;
    }
}

/// Writes all of it, however often the sink fails in between; says so while it does.
fn write_out(output: &mut dyn Write, mut bytes: &[u8], state: &State) {
    while !bytes.is_empty() {
        let wrote = output
            .write(bytes)
            .and_then(|count| output.flush().map(|()| count));
        match wrote {
            Ok(count) if count > 0 => {
                bytes = bytes.get(count..).unwrap_or_default();
                if state.failing.swap(false, Ordering::AcqRel) {
                    tracing::info!("audit records are written again");
                }
            }
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                if !state.failing.swap(true, Ordering::AcqRel) {
                    let cause = failed.err().map(|error| error.to_string());
                    tracing::error!(cause, "audit records cannot be written");
                }
                std::thread::sleep(RETRY);
            }
        }
    }
}
