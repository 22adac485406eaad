//! Who connected on a Unix socket.
//!
//! Takes an accepted connection; gives the credentials that the kernel recorded when the peer called
//! `connect(2)`, and on Linux the executable of that very process. It never looks at what the caller sent.
//!
//! What it shows: that process, or one that it handed its socket to, is at the other end. A process id alone shows
//! nothing, since it can be given to another process; so the kernel is asked for a pidfd, which cannot.
//! What it does not show: that the process runs only the code of its executable. Whoever has the same uid may start
//! that executable, be traced into it, or replace itself by it after connecting. Agents that must be kept apart
//! from each other need a uid or a socket each.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::net::UnixStream;

/// How sure we are which local agent calls, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Assurance {
    /// By the TCP port that it chose to call: any local process may.
    Asserted,
    /// By the credentials and the executable of its process.
    AttestedProcess,
    /// By the Unix socket that is its alone, its uid checked.
    Listener,
}

impl Assurance {
    /// The stable name, in records and policy.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Asserted => "asserted",
            Self::AttestedProcess => "attested-process",
            Self::Listener => "listener",
        }
    }
}

/// The process that connected.
#[derive(Debug)]
pub(crate) struct Caller {
    uid: u32,
    pid: Option<u32>,
    #[cfg(target_os = "linux")]
    process: Process,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uid {}", self.uid)?;
        match (self.pid, self.executable()) {
            (Some(pid), Ok(path)) => write!(f, ", process {pid}: {}", path.display()),
            (Some(pid), Err(_)) => write!(f, ", process {pid}"),
            (None, _) => Ok(()),
        }
    }
}

/// The user that this process runs as, as callers' users are told.
pub(crate) fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

impl Caller {
    /// Reads who connected (`SO_PEERCRED`, and `SO_PEERPIDFD` where there is one: Linux 6.5).
    ///
    /// # Errors
    /// When the credentials cannot be read. That there is no pidfd is told by [`Caller::executable`].
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        // 0 is a process that our own pid namespace does not show.
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        Ok(Self {
            uid: credentials.uid(),
            pid: pid.filter(|&pid| pid != 0),
            #[cfg(target_os = "linux")]
            process: Process::of(stream),
        })
    }

    /// Effective user id when it connected, in our user namespace.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Path of the executable that the process runs now, as seen from our root; ` (deleted)` is appended if the
    /// file is no longer there. Reads `/proc`, which must show the caller's process, and which lets us read this
    /// of processes with our own uid, or with `CAP_SYS_PTRACE`.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where there is no pidfd; [`io::ErrorKind::NotFound`] when the process has
    /// ended or cannot be seen; [`io::ErrorKind::PermissionDenied`] when it may not be looked at.
    pub(crate) fn executable(&self) -> io::Result<PathBuf> {
        self.running().map(|running| running.path)
    }

    #[cfg(target_os = "linux")]
    fn running(&self) -> io::Result<linux::Running> {
        let Some(pid) = self.pid else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the caller's process is in another pid namespace",
            ));
        };
        self.process.running(pid)
    }

    #[cfg(not(target_os = "linux"))]
    fn running(&self) -> io::Result<elsewhere::Running> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the executable of a caller is known on Linux only",
        ))
    }
}

/// Which processes are one agent. A rule that names nothing matches nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessRule {
    /// Effective user id.
    pub(crate) uid: Option<u32>,
    /// The executable, by a path that leads to the very file: a file at the same path in another container does
    /// not match, and neither does one that was deleted or replaced since the process started.
    pub(crate) executable: Option<PathBuf>,
}

impl ProcessRule {
    /// Whether everything that the rule names is so. What cannot be found out is not so. Reads `/proc` if the
    /// rule names an executable.
    pub(crate) fn matches(&self, caller: &Caller) -> bool {
        let uid_matches = self.uid.is_none_or(|uid| uid == caller.uid);
        match &self.executable {
            Some(path) => uid_matches && runs(caller, path),
            None => uid_matches && self.uid.is_some(),
        }
    }
}

fn runs(caller: &Caller, path: &Path) -> bool {
    match caller.running() {
        Ok(running) => running.is_file(path),
        Err(error) => {
            tracing::debug!(uid = caller.uid, pid = caller.pid, %error, "a caller's executable is not known");
            false
        }
    }
}

#[cfg(target_os = "linux")]
use linux::Process;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, Metadata};
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use nix::errno::Errno;
    use nix::sys::socket::{getsockopt, sockopt};
    use tokio::net::UnixStream;

    /// What the kernel appends to the path of an executable without a name (`proc_pid_exe(5)`).
    const DELETED: &[u8] = b" (deleted)";

    /// A process that cannot be taken for another.
    #[derive(Debug)]
    pub(super) enum Process {
        Pinned(OwnedFd),
        Unknown(Errno),
    }

    /// What a process ran at one moment.
    #[derive(Debug)]
    pub(super) struct Running {
        pub(super) path: PathBuf,
        file: Metadata,
    }

    impl Process {
        pub(super) fn of(stream: &UnixStream) -> Self {
            match getsockopt(stream, sockopt::PeerPidfd) {
                Ok(pidfd) => Self::Pinned(pidfd),
                Err(errno) => Self::Unknown(errno),
            }
        }

        /// What runs as `pid`, if that is this process before and after the look: then it was during it, since
        /// a pid is not given away as long as its process is there.
        pub(super) fn running(&self, pid: u32) -> io::Result<Running> {
            let pidfd = match self {
                Self::Pinned(pidfd) => pidfd,
                Self::Unknown(Errno::ENOPROTOOPT) => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        "this kernel does not tell which process connected: Linux 6.5 or later does",
                    ));
                }
                // The process ended before its connection was accepted (Linux before 6.16).
                Self::Unknown(Errno::ESRCH | Errno::EINVAL) => return Err(gone()),
                Self::Unknown(errno) => return Err((*errno).into()),
            };
            prove(pidfd, pid)?;
            let link = PathBuf::from(format!("/proc/{pid}/exe"));
            let path = fs::read_link(&link)?;
            let file = fs::metadata(&link)?;
            prove(pidfd, pid)?;
            Ok(Running { path, file })
        }
    }

    impl Running {
        /// Whether `path` leads to the file that ran. Another `exec` between the looks at the name and at the file
        /// can only make this false, or true of a file that the process did run.
        pub(super) fn is_file(&self, path: &Path) -> bool {
            let is_deleted = self.path.as_os_str().as_bytes().ends_with(DELETED);
            let is_same =
                |there: Metadata| (there.dev(), there.ino()) == (self.file.dev(), self.file.ino());
            !is_deleted && fs::metadata(path).is_ok_and(is_same)
        }
    }

    /// Shows that the process of the pidfd has this pid and has not ended (`proc_pid_fdinfo(5)`: -1 if it has, 0
    /// if our `/proc` does not show it).
    fn prove(pidfd: &OwnedFd, pid: u32) -> io::Result<()> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
        match pid_of(&info) {
            Some(named) if named == i64::from(pid) && named > 0 => Ok(()),
            _ => Err(gone()),
        }
    }

    pub(super) fn pid_of(fdinfo: &str) -> Option<i64> {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        line.trim().parse().ok()
    }

    fn gone() -> io::Error {
        io::Error::new(
            io::ErrorKind::NotFound,
            "the caller's process has ended, or is not in our pid namespace",
        )
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::convert::Infallible;
    use std::path::{Path, PathBuf};

    /// What a process runs: never known.
    #[derive(Debug)]
    pub(super) struct Running {
        pub(super) path: PathBuf,
        _never: Infallible,
    }

    impl Running {
        pub(super) fn is_file(&self, _path: &Path) -> bool {
            match self._never {}
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
