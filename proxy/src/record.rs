//! The audit record: a call is opened before its first byte is forwarded and closed once.
//!
//! Takes what the stages learned; gives JSON lines to one file or to standard output, through a bounded
//! queue and one writer thread. It never holds a body, a token or a query string. When it cannot write, new
//! calls are denied, unless configuration says to go on without.

mod line;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::RequestProgress;
use crate::call::Call;
use crate::deny::{Denial, DenyReason};
use crate::guard::PullCause;
use crate::metrics::{ListenerMetrics, Metrics};
pub(crate) use line::Line;
use writer::Queue;

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Appended to a file, which is made with mode 0600.
    File(PathBuf),
    /// One line each on standard output.
    Stdout,
}

/// What happens to calls while no record can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// They are carried, and the records lost are counted.
    Continue,
    /// They are denied.
    #[default]
    Deny,
}

/// Why no recorder could be started.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be appended to.
    #[error("cannot append audit records to {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No thread for the writer.
    #[error("cannot start the audit writer")]
    Thread(#[source] std::io::Error),
}

/// The one way into the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    on_failure: OnFailure,
    metrics: Arc<Metrics>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Recorder {
    /// Opens the sink and starts the writer.
    ///
    /// # Errors
    /// [`RecordError`] when the sink cannot be opened.
    pub(crate) fn start(
        sink: &Sink,
        on_failure: OnFailure,
        queue_records: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RecordError> {
        Ok(Self(Arc::new(Inner {
            queue: writer::start(sink, queue_records)?,
            on_failure,
            metrics,
        })))
    }

    /// Opens the record of one call.
    ///
    /// # Errors
    /// [`DenyReason::AuditUnavailable`] when the record could not be written and must be.
    pub(crate) fn open_call(
        &self,
        origin: &CallOrigin<'_>,
        call: &Call<'_>,
    ) -> Result<OpenCall, DenyReason> {
        self.admit()?;
        let line = Line::new("call.open")
            .call(origin.connection, origin.sequence)
            .raw(origin.fixed)
            .raw(origin.caller)
            .text("method", call.http_method)
            .text("path", call.path)
            .text("protocol", call.protocol.as_str())
            .text("binding", call.binding.as_str())
            .optional("authority", call.authority)
            .optional("revision", call.revision)
            .optional("operation", call.operation.as_deref())
            .optional("target", call.target.as_deref())
            .optional("task", call.task.as_deref())
            .optional("context", call.context.as_deref());
        let line = match call.batch.as_slice() {
            [] => line,
            calls => line.texts("calls", calls),
        };
        self.append(line);
        origin.metrics.calls_open.inc();
        Ok(OpenCall {
            open: Some(Open {
                recorder: self.clone(),
                connection: origin.connection,
                sequence: origin.sequence,
                started: Instant::now(),
                metrics: Arc::clone(origin.metrics),
                upstream: None,
            }),
            request: Arc::default(),
        })
    }

    /// Whether a new call or connection may go on record now.
    pub(crate) fn admit(&self) -> Result<(), DenyReason> {
        match self.0.on_failure {
            OnFailure::Deny if !self.0.queue.takes_new() => Err(DenyReason::AuditUnavailable),
            OnFailure::Continue | OnFailure::Deny => Ok(()),
        }
    }

    /// Writes one line. Lines that close what was opened always find room; others are lost, and counted,
    /// once the queue is far past its bound.
    pub(crate) fn append(&self, line: Line) {
        match self.0.queue.has_room() {
            true => line.finish(|bytes| self.0.queue.push(bytes)),
            false => {
                self.0.metrics.audit_lost.inc();
            }
        }
    }

    /// Waits until everything recorded so far is written, or the time is up.
    pub(crate) fn flush(&self, within: Duration) -> Flushed {
        let (done, written) = std::sync::mpsc::sync_channel(1);
        self.0.queue.flush(done);
        match written.recv_timeout(within).is_ok() {
            true => Flushed::Written,
            false => Flushed::TimeIsUp,
        }
    }
}

/// What came of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Not all was written in time.
    TimeIsUp,
    /// Everything is written.
    Written,
}

/// What is known of a call before it is read: where it arrived.
pub(crate) struct CallOrigin<'a> {
    pub(crate) connection: u64,
    pub(crate) sequence: u64,
    /// JSON members that are the same for every call of the connection; see [`Line::raw`].
    pub(crate) fixed: &'a str,
    /// Members that are the same for every call of the caller, and may change under the connection.
    pub(crate) caller: &'a str,
    pub(crate) metrics: &'a Arc<ListenerMetrics>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The caller went away, or stopped reading, before the answer's end.
    Cancelled,
    /// Answered to the end.
    Completed,
    /// Ended by us while it was open.
    Cut(PullCause),
    /// The upstream broke off its answer.
    Failed,
}

/// A call on record that is not closed yet. Dropped without being closed, it is recorded as cancelled.
#[derive(Debug)]
pub(crate) struct OpenCall {
    open: Option<Open>,
    request: Arc<RequestProgress>,
}

#[derive(Debug)]
struct Open {
    recorder: Recorder,
    connection: u64,
    sequence: u64,
    started: Instant,
    metrics: Arc<ListenerMetrics>,
    upstream: Option<Arc<str>>,
}

impl OpenCall {
    /// How far the request's body has come; shared with the body.
    pub(crate) fn request(&self) -> &Arc<RequestProgress> {
        &self.request
    }

    /// Notes the connection that carries the call on: JSON members built once per connection.
    pub(crate) fn carried_by(&mut self, upstream: Option<Arc<str>>) {
        if let Some(open) = &mut self.open {
            open.upstream = upstream;
        }
    }

    /// Notes that the answer's head has arrived.
    pub(crate) fn answered(&self) {
        if let Some(open) = &self.open {
            open.metrics
                .answer_seconds
                .observe(open.started.elapsed().as_secs_f64());
        }
    }

    /// Closes the record of a call that was carried.
    pub(crate) fn close(mut self, outcome: Outcome, status: StatusCode, response_bytes: u64) {
        self.close_carried(outcome, Some(status), response_bytes);
    }

    /// Closes the record of a call that was refused.
    pub(crate) fn deny(mut self, denial: &Denial) {
        if let Some(open) = self.open.take() {
            open.metrics.denied(denial.reason);
            let line = open
                .closing_line("denied")
                .text("reason", denial.reason.code())
                .optional("detail", denial.detail.as_deref());
            open.finish(line);
        }
    }

    fn close_carried(&mut self, outcome: Outcome, status: Option<StatusCode>, response_bytes: u64) {
        let Some(open) = self.open.take() else {
            return;
        };
        let (label, counter) = match outcome {
            Outcome::Cancelled => ("cancelled", &open.metrics.calls_cancelled),
            Outcome::Completed => ("completed", &open.metrics.calls_completed),
            Outcome::Cut(_) => ("cut", &open.metrics.calls_cut),
            Outcome::Failed => ("failed", &open.metrics.calls_failed),
        };
        counter.inc();
        let mut line = open.closing_line(label);
        if let Some(status) = status {
            line = line.number("status", status.as_u16().into());
        }
        if let Outcome::Cut(cause) = outcome {
            line = line.text("reason", cause.code());
        }
        line = line
            .number("request_bytes", self.request.bytes())
            .number("response_bytes", response_bytes);
        open.finish(line);
    }
}

impl Open {
    fn closing_line(&self, outcome: &'static str) -> Line {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Line::new("call.close")
            .call(self.connection, self.sequence)
            .text("outcome", outcome)
            .raw(self.upstream.as_deref().unwrap_or_default())
            .number("duration_us", micros)
    }

    fn finish(self, line: Line) {
        self.metrics.calls_open.dec();
        self.recorder.append(line);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.close_carried(Outcome::Cancelled, None, 0);
    }
}

#[cfg(test)]
mod tests;
