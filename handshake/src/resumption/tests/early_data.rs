//! 0-RTT, which nobody gets.

use std::io::{Read, Write};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use super::*;

/// Makes every ticket say that the server allows early data.
#[derive(Debug)]
struct Eager(Arc<ClientAttempt>);

impl ClientSessionStore for Eager {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(name)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut value = self.0.take_tls13_ticket(name)?;
        value._private_set_max_early_data_size(1024);
        Some(value)
    }
}

#[test]
fn early_data_is_refused() {
    let ends = Ends::hybrid();
    ends.connect();
    // Our own client has none to send, and the server's ticket allows none.
    let (mut own, attempt) = ends.open(TicketRule::Give);
    assert!(own.client.early_data().is_none());
    finish(&mut own, &attempt);
    assert_eq!(kind(&own), HandshakeKind::Resumed);

    // A client that sends some all the same is resumed, and the bytes go nowhere.
    let attempt = ends.at_client.attempt();
    let mut client = with_tickets(&ends.client, Arc::clone(&attempt));
    client.resumption = Resumption::store(Arc::new(Eager(Arc::clone(&attempt))));
    client.enable_early_data = true;
    let mut pair = Pair::open(client, Arc::clone(&ends.server), TicketRule::Give);
    let mut early = pair.client.early_data().unwrap();
    early.write_all(b"POST /mcp").unwrap();
    finish(&mut pair, &attempt);
    assert_eq!(kind(&pair), HandshakeKind::Resumed);
    assert!(!pair.client.is_early_data_accepted());
    assert!(pair.server.early_data().is_none());
    let nothing = pair.server.reader().read(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}
