//! What all listeners of a process share, and how each is made from it.

use std::sync::Arc;

use pqlane_certs::clock::Clock;
use pqlane_certs::source::Identity;
use pqlane_certs::spiffe_id::AllowList;
use pqlane_certs::verifier::{ChainCache, PeerVerifier, PeerVerifierConfig};
use pqlane_handshake::KxPolicy;
use pqlane_handshake::provider::provider;
use tokio::sync::Semaphore;

use super::BuildError;
use crate::admin::Admin;
use crate::config::{InboundConfig, ListenAddress, OutboundConfig, PeerConfig, WorkloadAddress};
use crate::drain::Drain;
use crate::headers::UpstreamName;
use crate::inbound::{HostSeen, Inbound};
use crate::lane::{Direction, LaneLog};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::pool::{Address, Connector, LaneConnector, Upstream};
use crate::readiness::Readiness;
use crate::record::Recorder;
use crate::routes::{InboundRoutes, LocalSide, OutboundRoutes, PathRoute};
use crate::session::Sessions;
use crate::tls::{TlsClient, TlsServer, TlsSide};
use crate::transport::HttpVersion;

/// What all listeners share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) kx_policy: KxPolicy,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chain_cache: Arc<ChainCache>,
    pub(super) handshakes: Arc<Semaphore>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) recorder: Recorder,
    pub(super) metrics: Arc<Metrics>,
    pub(super) drain: Drain,
}

impl Shared {
    fn tls_side(&self, allow: AllowList) -> TlsSide {
        let verifier = PeerVerifier::new(PeerVerifierConfig {
            bundles: Arc::clone(self.identity.bundles()),
            allowed: allow,
            denied: Arc::default(),
            algorithms: provider(&self.kx_policy).signature_verification_algorithms,
            clock: Arc::clone(&self.clock),
            cache: Arc::clone(&self.chain_cache),
        });
        TlsSide::new(
            self.kx_policy.clone(),
            Arc::new(verifier),
            &self.limits,
            Arc::clone(&self.handshakes),
        )
    }

    fn lane_log(&self, direction: Direction, name: String) -> LaneLog {
        LaneLog {
            direction,
            name,
            local: self.identity.svid().id().clone(),
            recorder: self.recorder.clone(),
            metrics: Arc::clone(&self.metrics),
            sessions: Arc::clone(&self.sessions),
        }
    }

    pub(super) fn inbound(
        &self,
        config: InboundConfig,
    ) -> Result<(ListenAddress, Arc<Inbound>), BuildError> {
        let InboundConfig {
            name,
            listen,
            workload,
            grpc_workload,
            allow,
            preserve_host,
            paths,
        } = config;
        let routes = InboundRoutes {
            workload: self.workload(&workload, HttpVersion::H1),
            grpc_workload: grpc_workload.map(|grpc| self.workload(&grpc, HttpVersion::H2)),
            paths: paths
                .into_iter()
                .map(|(prefix, allow)| PathRoute { prefix, allow })
                .collect(),
        };
        let inbound = Inbound {
            tls: TlsServer::new(self.tls_side(allow), self.identity.svid())?,
            routes,
            host_seen: match preserve_host {
                true => HostSeen::Callers,
                false => HostSeen::Workloads,
            },
            metrics: self.metrics.listener(&name),
            lane: self.lane_log(Direction::Inbound, name),
            limits: self.limits.clone(),
            drain: self.drain.clone(),
        };
        Ok((listen, Arc::new(inbound)))
    }

    pub(super) fn outbound(
        &self,
        config: OutboundConfig,
    ) -> Result<(ListenAddress, Arc<Outbound>), BuildError> {
        let OutboundConfig {
            name,
            listen,
            default,
            routes,
        } = config;
        let mut by_authority = std::collections::HashMap::new();
        for (authorities, peer) in routes {
            let upstream = self.peer(peer)?;
            for authority in authorities {
                by_authority.insert(authority, Arc::clone(&upstream));
            }
        }
        let outbound = Outbound {
            routes: OutboundRoutes {
                side: match listen {
                    ListenAddress::Tcp(_) => LocalSide::Port,
                    ListenAddress::Unix(_) => LocalSide::Socket,
                },
                default: default.map(|peer| self.peer(peer)).transpose()?,
                by_authority,
            },
            local: self.identity.svid().id().clone(),
            sessions: Arc::clone(&self.sessions),
            recorder: self.recorder.clone(),
            metrics: self.metrics.listener(&name),
            name,
            limits: self.limits.clone(),
            drain: self.drain.clone(),
        };
        Ok((listen, Arc::new(outbound)))
    }

    fn workload(&self, address: &WorkloadAddress, version: HttpVersion) -> Arc<Upstream> {
        let (authority, address) = match address {
            WorkloadAddress::Http(authority) => {
                (authority.clone(), Address::Tcp(authority.to_string()))
            }
            WorkloadAddress::Unix(path) => (
                http::uri::Authority::from_static("localhost"),
                Address::Unix(path.clone()),
            ),
        };
        let name = UpstreamName::new(http::uri::Scheme::HTTP, authority);
        Upstream::new(name, Connector::Plain { address, version }, &self.limits)
    }

    fn peer(&self, config: PeerConfig) -> Result<Arc<Upstream>, BuildError> {
        let PeerConfig {
            label,
            connect,
            server_name,
            authority,
            allow,
        } = config;
        let connector = Connector::Lane(Box::new(LaneConnector {
            address: Address::Tcp(connect.authority().to_string()),
            name: server_name,
            tls: TlsClient::new(self.tls_side(allow), self.identity.svid())?,
            log: self.lane_log(Direction::Outbound, label),
        }));
        let name = UpstreamName::new(http::uri::Scheme::HTTPS, authority);
        Ok(Upstream::new(name, connector, &self.limits))
    }

    pub(super) fn admin(&self) -> Admin {
        Admin {
            readiness: Readiness {
                drain: self.drain.clone(),
                recorder: self.recorder.clone(),
                svid_not_after: self.identity.svid().leaf().not_after(),
                clock: Arc::clone(&self.clock),
            },
            metrics: Arc::clone(&self.metrics),
            limits: self.limits.clone(),
        }
    }
}
