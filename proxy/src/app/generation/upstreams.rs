//! Upstreams: those in use are renewed, others are made.

use std::sync::Arc;

use pqlane_certs::svid::X509Svid;

use super::Builder;
use crate::app::BuildError;
use crate::app::shared::PoolKey;
use crate::config::{OutboundConfig, PeerConfig, WorkloadAddress};
use crate::headers::UpstreamName;
use crate::lane::Direction;
use crate::pool::{Address, Connector, LaneConnector, LaneKey, Upstream};
use crate::tls::TlsClient;
use crate::transport::HttpVersion;

impl Builder<'_> {
    pub(super) fn workload(
        &mut self,
        listener: &str,
        address: &WorkloadAddress,
        version: HttpVersion,
    ) -> Arc<Upstream> {
        let (authority, address) = match address {
            WorkloadAddress::Http(authority) => {
                (authority.clone(), Address::Tcp(authority.to_string()))
            }
            WorkloadAddress::Unix(path) => (
                http::uri::Authority::from_static("localhost"),
                Address::Unix(path.clone()),
            ),
        };
        let key = PoolKey {
            listener: listener.to_owned(),
            agent: 0,
            local: None,
            label: format!("workload {version:?}"),
            name: UpstreamName::new(http::uri::Scheme::HTTP, authority),
            address: address.clone(),
        };
        self.upstream(key, Connector::Plain { address, version })
    }

    pub(super) fn peer(
        &mut self,
        (listener, agent): (&OutboundConfig, usize),
        own: &X509Svid,
        peer: &PeerConfig,
    ) -> Result<Arc<Upstream>, BuildError> {
        let PeerConfig {
            label,
            connect,
            server_name,
            authority,
            allow,
            kx,
        } = peer;
        let side = self.tls_side(own.clone(), kx, allow, &self.shared.handshakes_out)?;
        let address = Address::Tcp(connect.authority().to_string());
        let bundles = self.ingredients.material.bundles();
        let connector = Connector::Lane(Box::new(LaneConnector {
            address: address.clone(),
            name: server_name.clone(),
            tls: TlsClient::new(side, self.ingredients.config.resumption)?,
            log: self
                .shared
                .lane_log(Direction::Outbound, label.clone(), own, self.epoch),
            key: LaneKey {
                local: own.id().clone(),
                leaf: own.leaf().thumbprint(),
                authority: authority.clone(),
                allowed: allow.clone(),
                kx: kx.clone(),
                bundles: bundles.digest(),
            },
        }));
        let key = PoolKey {
            listener: listener.name.clone(),
            agent,
            local: Some(own.id().clone()),
            label: label.clone(),
            name: UpstreamName::new(http::uri::Scheme::HTTPS, authority.clone()),
            address,
        };
        Ok(self.upstream(key, connector))
    }

    /// The upstream of this key: the one in use, to be renewed, or a new one.
    fn upstream(&mut self, key: PoolKey, connector: Connector) -> Arc<Upstream> {
        let upstream = match self.shared.pools.find(&key) {
            Some(upstream) => {
                self.renewed.push((Arc::clone(&upstream), connector));
                upstream
            }
            None => Upstream::new(key.name.clone(), connector, &self.ingredients.config.limits),
        };
        self.pools.push((key, Arc::clone(&upstream)));
        upstream
    }
}
