use super::*;

async fn pulled(slot: &CallSlot) -> PullCause {
    std::future::poll_fn(|context| slot.guard().poll_pulled(context)).await
}

fn sessions(limits: Limits) -> Arc<Sessions> {
    Arc::new(Sessions::new(&limits))
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

#[test]
fn a_peer_is_held_to_its_connections_and_forgotten_after_the_last() {
    let sessions = sessions(Limits {
        connections_per_peer: 2,
        ..Limits::default()
    });
    let peer = id("spiffe://example.org/a");
    let first = sessions.place(&peer).unwrap();
    let second = sessions.place(&peer).unwrap();
    assert_eq!(sessions.place(&peer).err(), Some(DenyReason::TooMany));
    assert!(sessions.place(&id("spiffe://example.org/b")).is_ok());
    drop(first);
    let third = sessions.place(&peer).unwrap();
    drop((second, third));
    assert!(!lock(&sessions.peers).contains_key(&peer));
}

#[test]
fn a_connection_that_ended_is_forgotten() {
    let sessions = sessions(Limits::default());
    let one = sessions.open_local(1, String::new());
    let two = sessions.open_local(2, String::new());
    assert_eq!(sessions.all().len(), 2);
    drop((one, two));
    assert!(lock(&sessions.live).all.is_empty());
}

#[test]
fn calls_are_bounded_and_their_places_given_back() {
    let sessions = sessions(Limits {
        calls_per_peer: 1,
        ..Limits::default()
    });
    let session = sessions.open_local(1, String::new());
    let slot = session.register().unwrap();
    assert_eq!(session.register().err(), Some(DenyReason::TooMany));
    drop(slot);
    assert!(session.register().is_ok());
}

#[tokio::test]
async fn pulling_all_ends_calls_on_every_connection() {
    let sessions = sessions(Limits::default());
    let one = sessions.open_local(1, String::new());
    let two = sessions.open_local(2, String::new());
    let (first, second) = (one.register().unwrap(), two.register().unwrap());
    sessions.pull_all(PullCause::DrainDeadline);
    assert_eq!(pulled(&first).await, PullCause::DrainDeadline);
    assert_eq!(pulled(&second).await, PullCause::DrainDeadline);
}
