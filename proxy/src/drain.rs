//! Stopping, in two steps with a deadline.
//!
//! First readiness is gone, nothing new is accepted and connections finish what they carry. At the deadline
//! what is left is cut.

use tokio::sync::watch;

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not stopping.
    Running,
    /// Finishing what is open; nothing new.
    Draining,
    /// The deadline has passed.
    Over,
}

/// Decides the phase.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Phase>);

/// Sees the phase.
#[derive(Debug, Clone)]
pub(crate) struct Drain(watch::Receiver<Phase>);

/// A new pair, running.
pub(crate) fn channel() -> (Stop, Drain) {
    let (stop, drain) = watch::channel(Phase::Running);
    (Stop(stop), Drain(drain))
}

impl Stop {
    /// Whether anybody still looks at the phase.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Moves on to a phase; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }
}

impl Drain {
    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits for a phase later than `seen`. With the process's stop gone, everything is over.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn after(&mut self, seen: Phase) -> Phase {
        let reached = self
            .0
            .wait_for(|phase| *phase > seen)
            .await
            .map(|phase| *phase);
        match reached {
            Ok(phase) => phase,
            Err(_gone) if seen == Phase::Over => std::future::pending().await,
            Err(_gone) => Phase::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_move_on() {
        let (stop, mut drain) = channel();
        stop.enter(Phase::Draining);
        assert_eq!(drain.after(Phase::Running).await, Phase::Draining);
        stop.enter(Phase::Over);
        stop.enter(Phase::Draining);
        assert_eq!(drain.phase(), Phase::Over);
        drop(stop);
        assert_eq!(drain.after(Phase::Draining).await, Phase::Over);
    }
}
