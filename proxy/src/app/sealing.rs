//! Where the keys come from that ids are sealed with.

use std::sync::Arc;

use super::shared::Shared;
use crate::config::{Config, SessionIds};
use crate::seal::{KeyFileError, Keyring};

/// Name of the file in the state directory that holds the key made there.
pub(crate) const SEALING_KEYS_FILE: &str = "sealing.keys";

/// The keys of the file that is configured, or of the one in the state directory, which is made if need be, or
/// those that end with the process. Nothing is read or made where nothing is sealed.
pub(super) fn load_keyring(config: &Config, shared: &Shared) -> Result<Arc<Keyring>, KeyFileError> {
    let read = match (&config.sealing_keys, &config.state_dir) {
        _ if !seals(config) => None,
        (Some(path), _) => Some(Keyring::read(path)?),
        (None, Some(directory)) => Some(Keyring::read_or_make(&directory.join(SEALING_KEYS_FILE))?),
        (None, None) => None,
    };
    Ok(read.map_or_else(|| Arc::clone(&shared.passing_keyring), Arc::new))
}

/// Tells the operator what will be lost.
pub(super) fn warn_of(config: &Config) {
    if seals(config) && config.sealing_keys.is_none() && config.state_dir.is_none() {
        tracing::warn!(
            "MCP sessions end with this process, and no replica shares them: name [sealing] keys or a state_dir"
        );
    }
}

fn seals(config: &Config) -> bool {
    let mut listeners = config.inbound.iter();
    listeners.any(|listener| matches!(listener.session_ids, SessionIds::Seal(_)))
}
