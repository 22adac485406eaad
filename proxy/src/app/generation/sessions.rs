//! MCP sessions of an inbound listener: the keys that seal their ids, the backends that hold them.

use std::sync::Arc;

use pqlane_certs::spiffe_id::SpiffeId;

use super::Builder;
use crate::app::BuildError;
use crate::config::SessionIds;
use crate::mcp_session::McpSessions;
use crate::pool::Upstream;
use crate::seal::{Purpose, Scope};
use crate::transport::HttpVersion;

impl Builder<'_> {
    /// Sessions whose ids leave sealed, if they do.
    pub(super) fn sessions(
        &mut self,
        listener: &str,
        local: &SpiffeId,
        workload: &Arc<Upstream>,
        session_ids: &SessionIds,
    ) -> Result<Option<Arc<McpSessions>>, BuildError> {
        let SessionIds::Seal(further) = session_ids else {
            return Ok(None);
        };
        let sealer = self.ingredients.keyring.sealer(&Scope {
            purpose: Purpose::McpSession,
            own: local,
            route: listener,
        })?;
        let further = further
            .iter()
            .map(|(name, address)| {
                let upstream = self.workload(listener, address, HttpVersion::H1);
                (name.clone(), upstream)
            })
            .collect();
        Ok(Some(Arc::new(McpSessions::new(
            sealer,
            Arc::clone(workload),
            further,
            Arc::clone(&self.shared.clock),
            self.ingredients.config.limits.sealed_id_max_age,
        ))))
    }
}
