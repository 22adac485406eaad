//! Every store of TLS sessions that is in use, so that all can be emptied at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pqlane_handshake::resumption::{ClientTickets, ServerTickets};

/// The stores of all listeners and destinations.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    stores: Mutex<Stores>,
}

#[derive(Debug, Default)]
struct Stores {
    servers: Vec<Weak<ServerTickets>>,
    clients: Vec<Weak<ClientTickets>>,
}

impl Tickets {
    /// Takes note of a store for those who call in.
    pub(super) fn note_server(&self, tickets: &Arc<ServerTickets>) {
        let mut stores = self.stores();
        stores.servers.retain(|known| known.strong_count() > 0);
        stores.servers.push(Arc::downgrade(tickets));
    }

    /// Takes note of a store for one destination.
    pub(super) fn note_client(&self, tickets: &Arc<ClientTickets>) {
        let mut stores = self.stores();
        stores.clients.retain(|known| known.strong_count() > 0);
        stores.clients.push(Arc::downgrade(tickets));
    }

    /// Forgets every session: whoever comes again makes a full handshake.
    pub(crate) fn empty(&self) {
        let stores = self.stores();
        for server in stores.servers.iter().filter_map(Weak::upgrade) {
            server.empty();
        }
        for client in stores.clients.iter().filter_map(Weak::upgrade) {
            client.empty();
        }
    }

    fn stores(&self) -> MutexGuard<'_, Stores> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
