//! Who was refused before it was authenticated, for the inventory of what cannot come along yet.
//!
//! Takes refusals of handshakes; gives a table by listener and source address. Whoever was refused has proved no
//! identity, so nothing here is ever held against a SPIFFE ID, and nothing here refuses anybody.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pqlane_certs::clock::{Clock, Rfc3339};
use rustls::pki_types::UnixTime;
use serde::Serialize;

use crate::deny::DenyReason;

/// The most group names that are kept of one hello, and the longest of them in bytes.
const MAX_GROUPS: usize = 32;
const MAX_GROUP_LEN: usize = 32;

/// Refusals by listener and source address. Bounded: the address that was refused longest ago makes room.
#[derive(Debug)]
pub(crate) struct Refusals {
    clock: Arc<dyn Clock>,
    capacity: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<Source, Row>,
    /// The rows by the number of their last refusal, which is unique.
    by_recency: BTreeMap<u64, Source>,
    /// Number of the last refusal.
    last: u64,
    evicted: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Source {
    listener: Arc<str>,
    /// The whole of an IPv4 address, the first 64 bits of an IPv6 address.
    network: IpAddr,
}

#[derive(Debug)]
struct Row {
    number: u64,
    /// Few reasons occur for one source: a list is quicker than a map.
    reasons: Vec<(DenyReason, u64)>,
    first_seen: UnixTime,
    last_seen: UnixTime,
    groups_offered: Vec<String>,
}

/// The table at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RefusalSnapshot {
    /// Most recently refused first.
    pub(crate) sources: Vec<RefusedSource>,
    /// How many rows have made room for others since the start.
    pub(crate) evicted: u64,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RefusedSource {
    /// Name of the listener.
    pub(crate) listener: String,
    /// An IPv4 address, or an IPv6 network such as `2001:db8::/64`.
    pub(crate) address: String,
    /// Refusals by the code of their reason.
    pub(crate) refusals: BTreeMap<&'static str, u64>,
    /// RFC 3339, UTC.
    pub(crate) first_seen: String,
    /// RFC 3339, UTC.
    pub(crate) last_seen: String,
    /// Registry names in the order of the last hello that was read; empty if none ever was.
    pub(crate) groups_offered: Vec<String>,
}

impl Refusals {
    /// An empty table for at most `capacity` sources; at least one is kept.
    pub(crate) fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            capacity: capacity.max(1),
            table: Mutex::default(),
        }
    }

    /// Counts one refusal. `offered` are the names of the groups in the hello; if it is empty, those of the
    /// hello before are kept.
    pub(crate) fn note(
        &self,
        listener: &Arc<str>,
        address: IpAddr,
        reason: DenyReason,
        offered: &[String],
    ) {
        let now = self.clock.now();
        let source = Source {
            listener: Arc::clone(listener),
            network: network_of(address),
        };
        let mut table = self.table();
        table.last += 1;
        let number = table.last;
        let before = match table.rows.get_mut(&source) {
            Some(row) => {
                row.note(reason, now, offered);
                std::mem::replace(&mut row.number, number)
            }
            None => {
                if table.rows.len() >= self.capacity {
                    table.evict();
                }
                let mut row = Row {
                    number,
                    reasons: Vec::new(),
                    first_seen: now,
                    last_seen: now,
                    groups_offered: Vec::new(),
                };
                row.note(reason, now, offered);
                table.rows.insert(source.clone(), row);
                number
            }
        };
        // A row that was there moves its source from the old number to the new one.
        let source = table.by_recency.remove(&before).unwrap_or(source);
        table.by_recency.insert(number, source);
    }

    /// What has been counted.
    pub(crate) fn snapshot(&self) -> RefusalSnapshot {
        let table = self.table();
        let recent_first = table.by_recency.values().rev();
        RefusalSnapshot {
            sources: recent_first
                .filter_map(|source| table.rows.get(source).map(|row| row.shown(source)))
                .collect(),
            evicted: table.evicted,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn evict(&mut self) {
        if let Some((_, source)) = self.by_recency.pop_first() {
            self.rows.remove(&source);
            self.evicted += 1;
        }
    }
}

impl Row {
    fn note(&mut self, reason: DenyReason, now: UnixTime, offered: &[String]) {
        self.last_seen = now;
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
        let kept = || offered.iter().take(MAX_GROUPS).map(|name| cut(name));
        // Most sources offer the same every time.
        if !offered.is_empty() && !kept().eq(self.groups_offered.iter().map(String::as_str)) {
            self.groups_offered = kept().map(str::to_owned).collect();
        }
    }

    fn shown(&self, source: &Source) -> RefusedSource {
        RefusedSource {
            listener: source.listener.to_string(),
            address: match source.network {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(network) => format!("{network}/64"),
            },
            refusals: self
                .reasons
                .iter()
                .map(|(reason, count)| (reason.code(), *count))
                .collect(),
            first_seen: Rfc3339(self.first_seen).to_string(),
            last_seen: Rfc3339(self.last_seen).to_string(),
            groups_offered: self.groups_offered.clone(),
        }
    }
}

/// An IPv4 address, also one mapped into IPv6 (RFC 4291 §2.5.5.2), as it is; of an IPv6 address the network that
/// one host may choose its addresses from (RFC 4291 §2.5.4).
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAX_GROUP_LEN);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.split_at(end).0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pqlane_certs::clock::FixedClock;

    use super::*;

    struct Bench {
        refusals: Refusals,
        clock: Arc<FixedClock>,
        listener: Arc<str>,
    }

    impl Bench {
        fn with_capacity(capacity: usize) -> Self {
            let start = UnixTime::since_unix_epoch(Duration::from_secs(1_795_253_400));
            let clock = Arc::new(FixedClock::new(start));
            Self {
                refusals: Refusals::new(capacity, clock.clone()),
                clock,
                listener: "mcp".into(),
            }
        }

        fn note(&self, address: &str, reason: DenyReason, offered: &[&str]) {
            let offered: Vec<String> = offered.iter().map(|&name| name.to_owned()).collect();
            let address = address.parse().unwrap();
            self.refusals
                .note(&self.listener, address, reason, &offered);
            self.clock.advance(Duration::from_secs(1));
        }

        fn addresses(&self) -> Vec<String> {
            let sources = self.refusals.snapshot().sources;
            sources.into_iter().map(|source| source.address).collect()
        }
    }

    #[test]
    fn refusals_of_one_address_are_counted_by_reason() {
        let bench = Bench::with_capacity(8);
        bench.note("192.0.2.1", DenyReason::NoHybridGroup, &["x25519"]);
        bench.note("192.0.2.1", DenyReason::TlsVersion, &[]);
        let last = ["x25519", "secp256r1"];
        bench.note("192.0.2.1", DenyReason::NoHybridGroup, &last);
        let json = serde_json::to_value(bench.refusals.snapshot()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "sources": [{
                    "listener": "mcp",
                    "address": "192.0.2.1",
                    "refusals": { "no-hybrid-group": 2, "tls-version": 1 },
                    "first_seen": "2026-11-21T09:30:00Z",
                    "last_seen": "2026-11-21T09:30:02Z",
                    "groups_offered": ["x25519", "secp256r1"],
                }],
                "evicted": 0,
            })
        );
    }

    #[test]
    fn a_refusal_without_a_hello_keeps_the_groups_of_the_one_before() {
        let bench = Bench::with_capacity(8);
        bench.note("192.0.2.1", DenyReason::NoHybridGroup, &["x25519"]);
        bench.note("192.0.2.1", DenyReason::HandshakeTimeout, &[]);
        let snapshot = bench.refusals.snapshot();
        assert_eq!(snapshot.sources[0].groups_offered, ["x25519"]);
    }

    #[test]
    fn listeners_are_counted_apart() {
        let bench = Bench::with_capacity(8);
        bench.note("192.0.2.1", DenyReason::NoHybridGroup, &[]);
        let other = Arc::from("a2a");
        let address = "192.0.2.1".parse().unwrap();
        let reason = DenyReason::NoHybridGroup;
        bench.refusals.note(&other, address, reason, &[]);
        let sources = bench.refusals.snapshot().sources;
        let listeners: Vec<_> = sources.iter().map(|row| row.listener.as_str()).collect();
        assert_eq!(listeners, ["a2a", "mcp"]);
        assert!(
            sources
                .iter()
                .all(|row| row.refusals["no-hybrid-group"] == 1)
        );
    }

    #[test]
    fn one_ipv6_host_cannot_fill_the_table_with_addresses_of_its_network() {
        let bench = Bench::with_capacity(8);
        for host in 1..100 {
            let address = format!("2001:db8:0:7:{host:x}::{host:x}");
            bench.note(&address, DenyReason::NoHybridGroup, &[]);
        }
        let snapshot = bench.refusals.snapshot();
        assert_eq!(bench.addresses(), ["2001:db8:0:7::/64"]);
        assert_eq!(snapshot.sources[0].refusals["no-hybrid-group"], 99);
    }

    #[test]
    fn an_ipv4_address_is_the_same_when_mapped_into_ipv6() {
        let bench = Bench::with_capacity(8);
        bench.note("192.0.2.1", DenyReason::TlsVersion, &[]);
        bench.note("::ffff:192.0.2.1", DenyReason::TlsVersion, &[]);
        assert_eq!(bench.addresses(), ["192.0.2.1"]);
    }

    #[test]
    fn the_address_refused_longest_ago_makes_room() {
        let bench = Bench::with_capacity(2);
        bench.note("192.0.2.1", DenyReason::TlsVersion, &[]);
        bench.note("192.0.2.2", DenyReason::TlsVersion, &[]);
        bench.note("192.0.2.1", DenyReason::TlsVersion, &[]);
        bench.note("192.0.2.3", DenyReason::TlsVersion, &[]);
        assert_eq!(bench.addresses(), ["192.0.2.3", "192.0.2.1"]);
        assert_eq!(bench.refusals.snapshot().evicted, 1);
        let table = bench.refusals.table();
        assert_eq!(table.rows.len(), table.by_recency.len());
    }

    #[test]
    fn what_is_kept_of_a_hello_is_bounded() {
        let bench = Bench::with_capacity(2);
        let long = "é".repeat(40);
        let offered = vec![long.as_str(); 1_000];
        bench.note("192.0.2.1", DenyReason::NoHybridGroup, &offered);
        let groups = &bench.refusals.snapshot().sources[0].groups_offered;
        assert_eq!(groups.len(), MAX_GROUPS);
        assert_eq!(groups[0], "é".repeat(MAX_GROUP_LEN / 2));
    }
}
