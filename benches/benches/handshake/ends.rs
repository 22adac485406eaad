//! Both ends of a connection in memory, and the handshakes between them.

use std::hint::black_box;
use std::sync::Arc;

use pqlane_certs::clock::SystemClock;
use pqlane_certs::svid::X509Svid;
use pqlane_certs::testing::{TestDomain, allow, bundles, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, Role};
use pqlane_handshake::client_config::{client_config, with_tickets};
use pqlane_handshake::kx::Group;
use pqlane_handshake::observation::{Observation, TicketRule};
use pqlane_handshake::provider::with_groups;
use pqlane_handshake::resumption::{
    ClientAttempt, ClientTickets, DEFAULT_CLIENT_TICKETS, ServerTickets,
};
use pqlane_handshake::server_config::server_config;
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use rustls::{ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection};

/// What lanes speak.
const ALPN: [&[u8]; 1] = [b"h2"];
/// Sessions that the server holds.
const SESSIONS: usize = 64;

/// A trust domain and its two ends.
pub(crate) struct Fixture {
    domain: TestDomain,
    client: X509Svid,
    server: X509Svid,
}

impl Fixture {
    /// Two SVIDs of one trust domain.
    pub(crate) fn new(domain: TestDomain, client: X509Svid, server: X509Svid) -> Self {
        Self {
            domain,
            client,
            server,
        }
    }

    /// Both ends with this group and no other, and with verifiers that have met nobody yet.
    pub(crate) fn ends(&self, group: &'static Group) -> Ends {
        self.ends_with(group, None)
    }

    /// The same with a server that gives a ticket in each handshake.
    pub(crate) fn resuming_ends(&self, group: &'static Group) -> Ends {
        let tickets = ServerTickets::new(SESSIONS, Arc::new(DefaultTimeProvider));
        self.ends_with(group, Some(Arc::new(tickets)))
    }

    fn ends_with(&self, group: &'static Group, tickets: Option<Arc<ServerTickets>>) -> Ends {
        let provider = with_groups(&[group]);
        let roots = bundles(&[&self.domain]);
        let verifier = |peer: &X509Svid| {
            let allowed = allow(&[peer.id().as_str()]);
            let clock = Arc::new(SystemClock);
            let config = verifier_config(Arc::clone(&roots), allowed, clock);
            Arc::new(PeerVerifier::new(config))
        };
        let (at_client, at_server) = (verifier(&self.server), verifier(&self.client));
        let client = client_config(
            Arc::clone(&provider),
            at_client.clone(),
            Error::clone,
            self.client.certified_key(),
            &ALPN,
        );
        let rule = match tickets {
            None => TicketRule::Withhold,
            Some(_) => TicketRule::Give,
        };
        let server = server_config(
            Arc::clone(&provider),
            at_server.clone(),
            Error::clone,
            self.server.certified_key(),
            &ALPN,
            tickets,
        );
        Ends {
            client: Arc::new(client.expect("client configuration")),
            server: Arc::new(server.expect("server configuration")),
            at_client,
            at_server,
            rule,
            tickets: ClientTickets::new(DEFAULT_CLIENT_TICKETS, Arc::new(DefaultTimeProvider)),
            group,
        }
    }
}

/// The configurations of both ends, the verifiers in them, and the client's tickets.
pub(crate) struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    at_client: Arc<PeerVerifier>,
    at_server: Arc<PeerVerifier>,
    rule: TicketRule,
    tickets: Arc<ClientTickets>,
    group: &'static Group,
}

impl Ends {
    /// Runs one full handshake to its end, until both sides know their peer.
    pub(crate) fn shake_hands(&self) -> (Connection, Connection) {
        self.connect(&self.client, None)
    }

    /// The same with a ticket, if there is one; the server gives another.
    pub(crate) fn resume(&self) -> (Connection, Connection) {
        // As in a lane, each connection has its own view of the tickets.
        let attempt = self.tickets.attempt();
        let config = Arc::new(with_tickets(&self.client, Arc::clone(&attempt)));
        self.connect(&config, Some(attempt))
    }

    /// The first thing that a client says.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut client = connection_to_be(&self.client);
        client.write_tls(&mut wire).expect("a Vec takes everything");
        wire
    }

    fn connect(
        &self,
        config: &Arc<ClientConfig>,
        mut attempt: Option<Arc<ClientAttempt>>,
    ) -> (Connection, Connection) {
        let mut client = connection_to_be(config);
        let server = ServerConnection::new(Arc::clone(&self.server)).expect("server");
        let mut server = Connection::from(server);
        let mut seen = Observation {
            tickets: self.rule,
            ..Observation::default()
        };
        let mut wire = Vec::with_capacity(32 * 1024);
        while client.is_handshaking() || server.is_handshaking() {
            seen.during(|| deliver(&mut client, &mut server, &mut wire));
            deliver(&mut server, &mut client, &mut wire);
            // Before the ticket, which comes after the client's last message.
            if !client.is_handshaking()
                && let Some(attempt) = attempt.take()
            {
                let kind = client.handshake_kind().expect("the handshake is over");
                attempt.finished(kind, self.group);
            }
        }
        identify(&self.at_client, &client, Role::Server);
        identify(&self.at_server, &server, Role::Client);
        (client, server)
    }
}

fn connection_to_be(config: &Arc<ClientConfig>) -> Connection {
    let name = ServerName::try_from("peer.invalid").expect("server name");
    let client = ClientConnection::new(Arc::clone(config), name);
    Connection::from(client.expect("client"))
}

/// Takes what one end has to say to the other.
fn deliver(from: &mut Connection, to: &mut Connection, wire: &mut Vec<u8>) {
    wire.clear();
    while from.wants_write() {
        from.write_tls(wire).expect("a Vec takes everything");
    }
    let mut unread = wire.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread).expect("a slice can be read");
        to.process_new_packets().expect("the peer is in order");
    }
}

fn identify(verifier: &PeerVerifier, end: &Connection, role: Role) {
    let chain = end.peer_certificates().expect("a certificate");
    black_box(verifier.identify(chain, role).expect("the peer is allowed"));
}
