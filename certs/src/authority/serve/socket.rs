//! A Unix socket for its owner alone.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

/// How long accepting rests after an error, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// A bound socket, whose file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    file: Metadata,
}

impl Socket {
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path).await?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file: fs::symlink_metadata(path)?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The user whose socket this is, which is the one this process runs as.
    pub(super) fn owner(&self) -> u32 {
        self.file.uid()
    }

    /// The next connection, and the user at its other end.
    ///
    /// # Cancel safety
    /// No connection is lost: one is accepted only if this ends.
    pub(super) async fn accept(&self) -> (UnixStream, u32) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _unnamed)) => match stream.peer_cred() {
                    Ok(peer) => return (stream, peer.uid()),
                    // It is gone already.
                    Err(_unknown) => {}
                },
                Err(_transient) => sleep(REST).await,
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another process may have put its own in our place.
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.file.dev(), self.file.ino()));
        if ours {
            // A file that is left behind is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket at which nobody listens. Anything else at that place is left for `bind` to refuse.
async fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Err(gone) if gone.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) | Err(_) => Ok(()),
    }
}
