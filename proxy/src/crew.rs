//! Futures that run together in one task, in the order in which they are woken.
//!
//! A runtime with several threads runs what becomes ready together in any order, and the latest first. Where
//! order is noticed it is kept by running in one task: the streams of one connection, and the connections of
//! one local workload. An MCP client opens its event stream and then calls; a server that sees the call first
//! has nowhere to send what it wants to ask.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, Stream};
use hyper::rt::Executor;

use crate::task;

type Member = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where new members are handed in; hyper's executor for one connection.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<HandedIn>>);

#[derive(Default)]
struct HandedIn {
    members: Vec<Member>,
    /// Set while the crew sleeps.
    sleeping: Option<Waker>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

impl Tasks {
    fn handed_in(&self) -> MutexGuard<'_, HandedIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member.
    pub(crate) fn add(&self, member: impl Future<Output = ()> + Send + 'static) {
        let mut handed_in = self.handed_in();
        handed_in.members.push(Box::pin(member));
        if let Some(sleeping) = handed_in.sleeping.take() {
            sleeping.wake();
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, member: F) {
        self.add(member);
    }
}

/// Whether a crew took in new members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenIn {
    None,
    Some,
}

/// The members that run.
#[derive(Debug)]
pub(crate) struct Crew {
    tasks: Tasks,
    running: FuturesUnordered<Member>,
}

impl Crew {
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self {
            tasks,
            running: FuturesUnordered::new(),
        }
    }

    /// Polls those members that were woken, first come first served.
    pub(crate) fn poll_running(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = Pin::new(&mut self.running).poll_next(context) {}
    }

    /// Takes in those handed in since; with none, the next one wakes the crew.
    pub(crate) fn take_new(&mut self, context: &Context<'_>) -> TakenIn {
        let mut handed_in = self.tasks.handed_in();
        if handed_in.members.is_empty() {
            handed_in.sleeping = Some(context.waker().clone());
            return TakenIn::None;
        }
        handed_in.sleeping = None;
        self.running.extend(handed_in.members.drain(..));
        TakenIn::Some
    }

    /// Whether no member is left.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

impl Future for Crew {
    type Output = ();

    /// Never ready: a crew waits for more members as long as its task lives.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            this.poll_running(context);
            if this.take_new(context) == TakenIn::None {
                return Poll::Pending;
            }
        }
    }
}

/// Members that a crew takes before the next one is started.
const CREW_SIZE: usize = 64;

/// Crews for connections of local workloads. The first with room takes a new one, so that the few connections
/// of one client run together and the many of a large load spread over all threads.
#[derive(Debug, Default)]
pub(crate) struct Crews(Vec<(Tasks, Arc<AtomicUsize>)>);

impl Crews {
    /// Runs a connection. A panic in it ends that connection only.
    pub(crate) fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        let (tasks, members) = self.with_room();
        members.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(members));
        tasks.add(async move {
            let _place = place;
            if AssertUnwindSafe(connection).catch_unwind().await.is_err() {
                tracing::error!("a connection ended in a panic");
            }
        });
    }

    fn with_room(&mut self) -> &(Tasks, Arc<AtomicUsize>) {
        let free = self
            .0
            .iter()
            .position(|(_, members)| members.load(Ordering::Relaxed) < CREW_SIZE);
        let index = free.unwrap_or_else(|| {
            let tasks = Tasks::default();
            task::spawn(Crew::new(tasks.clone()));
            self.0.push((tasks, Arc::default()));
            self.0.len() - 1
        });
        &self.0[index]
    }
}

/// A member's place in its crew.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn members_run_in_the_order_in_which_they_were_handed_in() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut crews = Crews::default();
        let mut done = Vec::new();
        for number in 0..CREW_SIZE {
            let order = Arc::clone(&order);
            let (finish, finished) = tokio::sync::oneshot::channel();
            done.push(finished);
            crews.add(async move {
                order.lock().unwrap().push(number);
                let _ = finish.send(());
            });
        }
        for finished in done {
            finished.await.unwrap();
        }
        let sorted: Vec<_> = (0..CREW_SIZE).collect();
        assert_eq!(*order.lock().unwrap(), sorted);
    }

    #[tokio::test]
    async fn a_panic_ends_its_member_only() {
        let mut crews = Crews::default();
        let (finish, finished) = tokio::sync::oneshot::channel();
        crews.add(async { panic!("expected by this test") });
        crews.add(async move {
            tokio::task::yield_now().await;
            let _ = finish.send("still here");
        });
        assert_eq!(finished.await, Ok("still here"));
    }

    #[tokio::test]
    async fn places_are_given_back_and_full_crews_are_joined_by_another() {
        let mut crews = Crews::default();
        let (stop, stopped) = tokio::sync::watch::channel(());
        for _ in 0..=CREW_SIZE {
            let mut stopped = stopped.clone();
            crews.add(async move {
                let _ = stopped.changed().await;
            });
        }
        assert_eq!(crews.0.len(), 2);
        drop(stop);
        let (finish, finished) = tokio::sync::oneshot::channel();
        while crews.0[0].1.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        crews.add(async move {
            let _ = finish.send(());
        });
        finished.await.unwrap();
        assert_eq!(crews.0.len(), 2);
    }
}
