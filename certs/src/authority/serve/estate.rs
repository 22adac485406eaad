//! What is served: SVIDs, CRLs and federated bundles, and the messages made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use tokio::sync::watch;

use super::{ServeError, ServeEvent, ServedSvid};
use crate::authority::issue::Issued;
use crate::authority::{Authority, AuthorityError, MAX_REVOKED, Serial};
use crate::bundle::TrustBundle;
use crate::clock::Clock;
use crate::leaf;
use crate::source::{MAX_BUNDLES, MAX_SVIDS};
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::workload_api::{SvidMessage, X509BundlesResponse, X509SvidResponse, encode};

/// How long a CRL is valid; it is signed anew at half of that.
const CRL_TTL: Duration = Duration::from_secs(3_600);
/// How long to wait after something could not be issued.
const RETRY: Duration = Duration::from_secs(5);

/// The authority with all that it serves.
pub(super) struct Estate {
    authority: Authority,
    clock: Arc<dyn Clock>,
    served: Mutex<Served>,
    published: watch::Sender<Published>,
}

/// What every stream shows. The messages hold keys and are not wiped: this is for development.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Published {
    /// None when there are no SVIDs.
    pub(super) svids: Option<Bytes>,
    pub(super) bundles: Bytes,
}

#[derive(Default)]
struct Served {
    svids: Vec<Current>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    crl_number: u64,
    // When the CRLs are signed anew, in seconds.
    crls_due: u64,
    revoked: BTreeMap<Serial, UnixTime>,
    // DER certificates one after another.
    federated: BTreeMap<TrustDomain, Vec<u8>>,
}

/// An SVID as it was last issued.
struct Current {
    order: ServedSvid,
    issued: Issued,
    serial: Serial,
    // When it is renewed, in seconds.
    due: u64,
}

impl Estate {
    pub(super) fn new(
        authority: Authority,
        orders: Vec<ServedSvid>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        if orders.len() > MAX_SVIDS {
            return Err(ServeError::TooManySvids);
        }
        let mut hints = BTreeSet::new();
        let mut all = orders.iter().filter_map(|order| order.hint.clone());
        if let Some(hint) = all.find(|hint| !hints.insert(hint.clone())) {
            return Err(ServeError::HintTwice { hint });
        }
        let issued: Result<Vec<Current>, AuthorityError> = orders
            .into_iter()
            .map(|order| issue(&authority, order, &*clock))
            .collect();
        let estate = Self {
            served: Mutex::new(Served {
                svids: issued?,
                ..Served::default()
            }),
            authority,
            clock,
            published: watch::Sender::default(),
        };
        let mut served = estate.served();
        estate.sign_crls(&mut served)?;
        estate.publish(&served);
        drop(served);
        Ok(estate)
    }

    /// What is served, now and after each change.
    pub(super) fn watch(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    pub(super) fn serials(&self) -> Vec<(SpiffeId, Serial)> {
        let served = self.served();
        let all = served.svids.iter();
        all.map(|svid| (svid.order.id.clone(), svid.serial.clone()))
            .collect()
    }

    pub(super) fn rotate(&self) -> Result<(), AuthorityError> {
        let mut served = self.served();
        let orders = served.svids.iter().map(|svid| svid.order.clone());
        let renewed: Result<Vec<Current>, AuthorityError> = orders
            .map(|order| issue(&self.authority, order, &*self.clock))
            .collect();
        let renewed = renewed?;
        self.sign_crls(&mut served)?;
        served.svids = renewed;
        self.publish(&served);
        Ok(())
    }

    /// Renews what has reached half of its lifetime.
    pub(super) fn renew_what_is_due(&self) -> Vec<ServeEvent> {
        let now = self.clock.now().as_secs();
        let mut events = Vec::new();
        let mut served = self.served();
        for svid in served.svids.iter_mut().filter(|svid| svid.due <= now) {
            match issue(&self.authority, svid.order.clone(), &*self.clock) {
                Ok(renewed) => {
                    *svid = renewed;
                    events.push(svid.rotated());
                }
                Err(error) => {
                    svid.due = now.saturating_add(RETRY.as_secs());
                    events.push(ServeEvent::NotIssued(error));
                }
            }
        }
        let crls_were_due = served.crls_due <= now;
        if crls_were_due && let Err(error) = self.sign_crls(&mut served) {
            served.crls_due = now.saturating_add(RETRY.as_secs());
            events.push(ServeEvent::NotIssued(error));
        }
        if crls_were_due || !events.is_empty() {
            self.publish(&served);
        }
        events
    }

    pub(super) fn revoke(&self, serials: Vec<Serial>) -> Result<(), ServeError> {
        let now = self.clock.now();
        let mut served = self.served();
        let before = served.revoked.clone();
        for serial in serials {
            served.revoked.entry(serial).or_insert(now);
        }
        if served.revoked.len() == before.len() {
            return Ok(());
        }
        let listed = match served.revoked.len() > MAX_REVOKED {
            true => Err(ServeError::TooManyRevoked),
            false => self.sign_crls(&mut served).map_err(ServeError::from),
        };
        match listed {
            Ok(()) => self.publish(&served),
            Err(_) => served.revoked = before,
        }
        listed
    }

    pub(super) fn federate(
        &self,
        trust_domain: TrustDomain,
        bundle_pem: &[u8],
    ) -> Result<(), ServeError> {
        if trust_domain == *self.authority.trust_domain() {
            return Err(ServeError::OwnTrustDomain { trust_domain });
        }
        TrustBundle::from_pem(trust_domain.clone(), bundle_pem).map_err(|source| {
            ServeError::Bundle {
                trust_domain: trust_domain.clone(),
                source,
            }
        })?;
        let roots = CertificateDer::pem_slice_iter(bundle_pem).flatten();
        let bundle = roots.flat_map(|root| root.to_vec()).collect();
        let mut served = self.served();
        // Our own is one of them.
        if served.federated.len() + 1 >= MAX_BUNDLES
            && !served.federated.contains_key(&trust_domain)
        {
            return Err(ServeError::TooManyBundles);
        }
        served.federated.insert(trust_domain, bundle);
        self.publish(&served);
        Ok(())
    }

    pub(super) fn withdraw(&self, trust_domain: &TrustDomain) {
        let mut served = self.served();
        served.federated.remove(trust_domain);
        self.publish(&served);
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        // Nothing in here panics half-way.
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign_crls(&self, served: &mut Served) -> Result<(), AuthorityError> {
        let now = self.clock.now();
        // The number grows over restarts too. Spec: RFC 5280 §5.2.3.
        let number = now.as_secs().max(served.crl_number.saturating_add(1));
        served.crls = self
            .authority
            .sign_crls(&served.revoked, number, now, CRL_TTL)?;
        served.crl_number = number;
        served.crls_due = half_of(now, CRL_TTL);
        Ok(())
    }

    /// Makes the messages; streams hear of it only if they differ from what they were.
    fn publish(&self, served: &Served) {
        let own = self.authority.root.certificate.to_vec();
        let name = |trust_domain: &TrustDomain| trust_domain.id().to_string();
        let crl: Vec<Vec<u8>> = served.crls.iter().map(|crl| crl.to_vec()).collect();
        let federated_bundles: BTreeMap<String, Vec<u8>> = served
            .federated
            .iter()
            .map(|(trust_domain, bundle)| (name(trust_domain), bundle.clone()))
            .collect();
        let mut bundles = federated_bundles.clone();
        bundles.insert(name(self.authority.trust_domain()), own.clone());
        let svids: Vec<SvidMessage> = served.svids.iter().map(|svid| svid.message(&own)).collect();
        let svids = (!svids.is_empty()).then(|| X509SvidResponse {
            svids,
            crl: crl.clone(),
            federated_bundles,
        });
        let published = Published {
            svids: svids.as_ref().map(encode),
            bundles: encode(&X509BundlesResponse { crl, bundles }),
        };
        self.published.send_if_modified(|before| {
            let changed = *before != published;
            *before = published;
            changed
        });
    }
}

impl Current {
    fn message(&self, bundle: &[u8]) -> SvidMessage {
        SvidMessage {
            spiffe_id: self.order.id.to_string(),
            x509_svid: self
                .issued
                .chain
                .iter()
                .flat_map(|one| one.to_vec())
                .collect(),
            x509_svid_key: self.issued.key.serialize_der(),
            bundle: bundle.to_vec(),
            hint: self.order.hint.clone().unwrap_or_default(),
        }
    }

    fn rotated(&self) -> ServeEvent {
        ServeEvent::Rotated {
            id: self.order.id.clone(),
            hint: self.order.hint.clone(),
            serial: self.serial.clone(),
            not_after: self.issued.validity.not_after,
        }
    }
}

fn issue(
    authority: &Authority,
    order: ServedSvid,
    clock: &dyn Clock,
) -> Result<Current, AuthorityError> {
    let now = clock.now();
    let issued = authority.issue_der(&order.id, &order.options, clock)?;
    let serial = serial_of(&issued)?;
    Ok(Current {
        // A lifetime that the CA cuts short is what counts.
        due: half_of(now, remaining(&issued, now)),
        order,
        issued,
        serial,
    })
}

fn remaining(issued: &Issued, now: UnixTime) -> Duration {
    let until = issued.validity.not_after.as_secs();
    Duration::from_secs(until.saturating_sub(now.as_secs()))
}

/// Half of `ttl` from now, at least a second.
fn half_of(now: UnixTime, ttl: Duration) -> u64 {
    now.as_secs().saturating_add((ttl.as_secs() / 2).max(1))
}

fn serial_of(issued: &Issued) -> Result<Serial, AuthorityError> {
    let unreadable = || AuthorityError::Generate(rcgen::Error::CouldNotParseCertificate);
    let leaf = issued.chain.first().ok_or_else(unreadable)?;
    let parsed = leaf::parse_certificate(leaf).map_err(AuthorityError::Certificate)?;
    Serial::from_bytes(parsed.raw_serial()).map_err(|_zero| unreadable())
}
