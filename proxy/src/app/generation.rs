//! Everything that configuration, identity and deny-list decide together, built whole before any of it is used.

mod sessions;
mod upstreams;

use std::collections::HashMap;
use std::sync::Arc;

use pqlane_certs::bundle::TrustBundles;
use pqlane_certs::revocation::{Denials, DenyList};
use pqlane_certs::source::Material;
use pqlane_certs::spiffe_id::{AllowList, SpiffeId};
use pqlane_certs::svid::X509Svid;
use pqlane_certs::verifier::{PeerVerifier, PeerVerifierConfig};
use pqlane_handshake::provider::{SignatureProfile, provider_for};
use pqlane_handshake::{KxPolicy, Requirement};
use rustls::SignatureScheme;
use tokio::sync::Semaphore;

use super::BuildError;
use super::shared::{PoolKey, Shared};
use crate::config::{Callers, Choice, Config, InboundConfig, OutboundConfig};
use crate::gather::GrpcTo;
use crate::guard::PullCause;
use crate::identity::chosen;
use crate::inbound::{HostSeen, Inbound};
use crate::lane::Direction;
use crate::limits::Limits;
use crate::outbound::{Agent, AgentCallers, Outbound};
use crate::peer_policy::PeerPolicies;
use crate::pool::{Connector, Upstream};
use crate::routes::{InboundRoutes, LocalSide, OutboundRoutes, PathRoute};
use crate::seal::Keyring;
use crate::session::Session;
use crate::tls::{TlsServer, TlsSide};
use crate::transport::HttpVersion;

/// What a generation is built from.
#[derive(Debug, Clone)]
pub(super) struct Ingredients {
    pub(super) config: Config,
    pub(super) material: Arc<Material>,
    pub(super) denied: Arc<DenyList>,
    pub(super) keyring: Arc<Keyring>,
    /// SVIDs in use: where the material has none of a description any more, the one there is goes on.
    pub(super) known: Vec<(Choice, X509Svid)>,
}

/// All listeners as they are to be from now on.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) inbound: HashMap<String, Arc<Inbound>>,
    pub(super) outbound: HashMap<String, Arc<Outbound>>,
    pools: Vec<(PoolKey, Arc<Upstream>)>,
    /// How upstreams that are in use already make their connections from now on.
    renewed: Vec<(Arc<Upstream>, Connector)>,
    own: Vec<(SpiffeId, u64)>,
    known: Vec<(Choice, X509Svid)>,
    bundles: Arc<TrustBundles>,
    denied: Arc<dyn Denials>,
    limits: Limits,
}

impl Generation {
    /// Builds everything; nothing in use is touched.
    pub(super) fn build(
        shared: &Shared,
        ingredients: &Ingredients,
        epoch: u64,
    ) -> Result<Self, BuildError> {
        let mut builder = Builder {
            shared,
            ingredients,
            epoch,
            denied: shared.denied(&ingredients.denied),
            pools: Vec::new(),
            renewed: Vec::new(),
            own: Vec::new(),
            known: Vec::new(),
        };
        let config = &ingredients.config;
        let mut inbound = HashMap::new();
        for listener in &config.inbound {
            inbound.insert(listener.name.clone(), Arc::new(builder.inbound(listener)?));
        }
        let mut outbound = HashMap::new();
        for listener in &config.outbound {
            outbound.insert(listener.name.clone(), Arc::new(builder.outbound(listener)?));
        }
        Ok(Self {
            inbound,
            outbound,
            pools: builder.pools,
            renewed: builder.renewed,
            own: builder.own,
            known: builder.known,
            bundles: Arc::clone(ingredients.material.bundles()),
            denied: builder.denied,
            limits: config.limits.clone(),
        })
    }

    /// The SVIDs that it uses.
    pub(super) fn known(&self) -> &[(Choice, X509Svid)] {
        &self.known
    }

    /// Puts into use what is not a listener: own SVIDs, upstreams. Afterwards every connection is judged by the
    /// rules of now.
    pub(super) fn take_effect(self, shared: &Shared) {
        shared.own_svids(&self.own);
        shared.pools.keep(self.pools);
        for (upstream, connector) in self.renewed {
            upstream.renew(connector, &self.limits);
        }
        shared.pools.judge_finishing(&self.bundles, &self.denied);
        for session in shared.sessions.all() {
            match listener_of(&session, &self.inbound) {
                // A peer that fails is cut; there is nothing else to do with the verdict.
                Some(inbound) => drop(inbound.still_welcome(&session)),
                None => judge_finishing(&session, &self.bundles, &self.denied),
            }
        }
    }
}

/// Judges a connection of a listener that is gone and only finishes: by its own rules, and by whom we trust and deny
/// now.
fn judge_finishing(session: &Session, bundles: &Arc<TrustBundles>, denied: &Arc<dyn Denials>) {
    let Some(peer) = session.peer() else {
        return;
    };
    let side = peer.rules().under(bundles, denied);
    if let Err(denial) = side.judge_again(&peer.lane)
        && session.pull(PullCause::NoLongerAllowed)
    {
        peer.log.cut(&peer.lane, &denial);
    }
}

fn listener_of<'a>(
    session: &Session,
    inbound: &'a HashMap<String, Arc<Inbound>>,
) -> Option<&'a Arc<Inbound>> {
    inbound.get(&*session.peer()?.listener)
}

struct Builder<'a> {
    shared: &'a Shared,
    ingredients: &'a Ingredients,
    epoch: u64,
    denied: Arc<dyn Denials>,
    pools: Vec<(PoolKey, Arc<Upstream>)>,
    renewed: Vec<(Arc<Upstream>, Connector)>,
    own: Vec<(SpiffeId, u64)>,
    known: Vec<(Choice, X509Svid)>,
}

impl Builder<'_> {
    /// The SVID that a listener or agent uses.
    fn svid(&mut self, choice: &Choice) -> Result<X509Svid, BuildError> {
        let known = || {
            let mut known = self.ingredients.known.iter();
            let (_, svid) = known.find(|(known, _)| known == choice)?;
            tracing::error!("{choice} is given no more; the one there is serves until it expires");
            Some(svid)
        };
        let svid = chosen(&self.ingredients.material, choice)
            .or_else(known)
            .ok_or_else(|| BuildError::NoSuchIdentity(choice.to_string()))?
            .clone();
        if !self.known.iter().any(|(known, _)| known == choice) {
            self.known.push((choice.clone(), svid.clone()));
        }
        let own = (svid.id().clone(), svid.leaf().not_after().as_secs());
        if !self.own.contains(&own) {
            self.own.push(own);
        }
        Ok(svid)
    }

    fn tls_side(
        &self,
        own: X509Svid,
        policies: &PeerPolicies,
        allowed: &AllowList,
        in_flight: &Arc<Semaphore>,
    ) -> Result<TlsSide, BuildError> {
        let cnsa = |policy: &KxPolicy| policy.requirement() == Requirement::Cnsa;
        if policies.all().any(cnsa)
            && own
                .certified_key()
                .key
                .choose_scheme(&[SignatureScheme::ML_DSA_87])
                .is_none()
        {
            return Err(BuildError::NotCnsa(own.id().clone()));
        }
        for policy in policies.all() {
            policy.prove_available()?;
        }
        let shared = self.shared;
        let verifier = |profile| {
            PeerVerifier::new(PeerVerifierConfig {
                bundles: Arc::clone(self.ingredients.material.bundles()),
                allowed: allowed.clone(),
                denied: Arc::clone(&self.denied),
                algorithms: provider_for(&[], profile).signature_verification_algorithms,
                clock: Arc::clone(&shared.clock),
                cache: Arc::clone(&shared.chains),
            })
        };
        Ok(TlsSide {
            own,
            policies: policies.clone(),
            verifier: Arc::new(verifier(policies.profile())),
            cnsa_verifier: Arc::new(verifier(SignatureProfile::Cnsa)),
            ratchet: Arc::clone(&shared.ratchet),
            proofs: Arc::clone(&shared.proofs),
            tickets: Arc::clone(&shared.tickets),
            clock: Arc::clone(&shared.clock),
            limits: self.ingredients.config.limits.clone(),
            in_flight: Arc::clone(in_flight),
        })
    }

    fn inbound(&mut self, listener: &InboundConfig) -> Result<Inbound, BuildError> {
        let InboundConfig {
            name,
            listen: _bound_elsewhere,
            identity,
            kx,
            workload,
            grpc_workload,
            session_ids,
            allow,
            authorities,
            preserve_host,
            paths,
        } = listener;
        let own = self.svid(identity)?;
        let lane = self
            .shared
            .lane_log(Direction::Inbound, name.clone(), &own, self.epoch);
        let side = self.tls_side(own, kx, allow, &self.shared.handshakes_in)?;
        let shared = self.shared;
        let routes = InboundRoutes {
            authorities: authorities.clone(),
            grpc_to: match grpc_workload {
                Some(grpc) if grpc != workload => GrpcTo::ItsOwn,
                Some(_) | None => GrpcTo::TheSame,
            },
            workload: self.workload(name, workload, HttpVersion::H1),
            grpc_workload: grpc_workload
                .as_ref()
                .map(|grpc| self.workload(name, grpc, HttpVersion::H2)),
            paths: paths
                .iter()
                .map(|(prefix, allow)| PathRoute {
                    prefix: prefix.clone(),
                    allow: allow.clone(),
                })
                .collect(),
        };
        Ok(Inbound {
            epoch: self.epoch,
            tls: TlsServer::new(side, self.ingredients.config.resumption)?,
            mcp_sessions: self.sessions(name, &lane.local, &routes.workload, session_ids)?,
            routes,
            host_seen: match preserve_host {
                true => HostSeen::Callers,
                false => HostSeen::Workloads,
            },
            lane: Arc::new(lane),
            refusals: Arc::clone(&shared.refusals),
            metrics: shared.metrics.listener(name),
            limits: self.ingredients.config.limits.clone(),
            room: shared.room.clone(),
        })
    }

    fn outbound(&mut self, listener: &OutboundConfig) -> Result<Outbound, BuildError> {
        let shared = self.shared;
        let agents = match &listener.callers {
            Callers::Port(choice) => vec![(choice, AgentCallers::Anybody)],
            Callers::Socket(choice, uid) => {
                let uid = uid.unwrap_or_else(crate::caller::own_uid);
                vec![(choice, AgentCallers::User(uid))]
            }
            Callers::Processes(processes) => processes
                .iter()
                .map(|(rule, choice)| (choice, AgentCallers::Process(rule.clone())))
                .collect(),
        };
        Ok(Outbound {
            epoch: self.epoch,
            agents: agents
                .into_iter()
                .enumerate()
                .map(|(place, (choice, callers))| self.agent(listener, place, choice, callers))
                .collect::<Result<_, _>>()?,
            name: listener.name.clone(),
            sessions: Arc::clone(&shared.sessions),
            recorder: shared.recorder.clone(),
            metrics: shared.metrics.listener(&listener.name),
            limits: self.ingredients.config.limits.clone(),
            room: shared.room.clone(),
        })
    }

    fn agent(
        &mut self,
        listener: &OutboundConfig,
        place: usize,
        choice: &Choice,
        callers: AgentCallers,
    ) -> Result<Agent, BuildError> {
        let own = self.svid(choice)?;
        let mut by_authority = HashMap::new();
        for (authorities, peer) in &listener.routes {
            let upstream = self.peer((listener, place), &own, peer)?;
            for authority in authorities {
                by_authority.insert(authority.clone(), Arc::clone(&upstream));
            }
        }
        let default = match &listener.default {
            Some(peer) => Some(self.peer((listener, place), &own, peer)?),
            None => None,
        };
        let routes = OutboundRoutes {
            side: match callers {
                AgentCallers::Anybody => LocalSide::Port,
                AgentCallers::Process(_) | AgentCallers::User(_) => LocalSide::Socket,
            },
            default,
            by_authority,
        };
        Ok(Agent::new(own.id(), callers, routes))
    }
}
