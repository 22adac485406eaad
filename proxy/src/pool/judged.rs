//! The lane connections of an upstream, judged by the rules of now, and let go once they are cut.

use std::sync::{Arc, Weak};

use pqlane_certs::bundle::TrustBundles;
use pqlane_certs::revocation::{Denials, DenyEntry};

use super::{Connector, Lane, LaneConnector, Upstream};
use crate::remediation::Cut;

impl Upstream {
    /// Cuts the lane connections whose peer the rules of now refuse.
    pub(crate) fn judge_again(&self) {
        if let Connector::Lane(connector) = &**self.connector.now() {
            for lane in self.lanes_open() {
                connector.judge_again(&lane);
            }
        }
        self.drop_cut();
    }

    /// The same by other trust bundles and another deny-list, where the route itself is gone.
    pub(crate) fn judge_under(&self, bundles: &Arc<TrustBundles>, denied: &Arc<dyn Denials>) {
        if let Connector::Lane(connector) = &**self.connector.now() {
            let side = connector.tls.side().under(bundles, denied);
            for lane in self.lanes_open() {
                connector.judge_by(&side, &lane);
            }
        }
    }

    /// Cuts the lane connections of the peers that an entry of a deny-list names.
    pub(crate) fn cut_off(&self, entry: &DenyEntry, cut: &Cut) {
        if let Connector::Lane(connector) = &**self.connector.now() {
            for lane in self.lanes_open() {
                if entry.names(&lane.peer().identity) {
                    connector.cut_off(&lane, cut);
                }
            }
        }
        self.drop_cut();
    }

    /// Lets go of connections that are cut, and so carry no call again.
    fn drop_cut(&self) {
        let is_cut = |lane: Option<&Arc<Lane>>| lane.is_some_and(|lane| lane.cut().is_some());
        let mut state = self.state();
        let shared = std::mem::take(&mut state.shared);
        let idle = std::mem::take(&mut state.idle);
        let (cut_shared, shared) = shared
            .into_iter()
            .partition::<Vec<_>, _>(|shared| is_cut(shared.lane.as_ref()));
        let (cut_idle, idle) = idle
            .into_iter()
            .partition::<Vec<_>, _>(|idle| is_cut(idle.connection.lane()));
        (state.shared, state.idle) = (shared, idle.into());
        drop(state);
        // What ends here tells the pool, which takes the lock.
        drop((cut_shared, cut_idle));
        self.changed.notify_waiters();
    }

    /// The lane connections that are open.
    fn lanes_open(&self) -> Vec<Arc<Lane>> {
        self.lanes().iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes note of a lane connection that is open. The rules may have changed while it was made: noted first and
    /// judged second, it is seen by a change that comes now, or sees it.
    pub(super) fn opened(&self, lane: &Arc<Lane>, made_by: &LaneConnector) {
        let mut lanes = self.lanes();
        lanes.retain(|lane| lane.strong_count() > 0);
        lanes.push(Arc::downgrade(lane));
        drop(lanes);
        if let Connector::Lane(now) = &**self.connector.now() {
            match std::ptr::eq(&**now, made_by) {
                true => now.judge_denied(lane),
                false => now.judge_again(lane),
            }
        }
    }
}
