//! Noticing that files have changed.
//!
//! Takes paths, gives a future that is ready once what they lead to has changed and then stayed the same for one
//! more look, so that a set of files is not read while it is being written. It looks at signatures, again and
//! again: that works where notifications do not come, as when a ConfigMap's symlink is swapped, on bind mounts and
//! on network file systems. It never reads a file, and a file that is missing is a state like any other.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The shortest time between two looks. File systems stamp changes with the kernel's tick of up to 10 ms: two
/// changes within one tick can leave the same stamp, but not with a look between them that counts.
const SHORTEST: Duration = Duration::from_millis(20);

/// What one path leads to. Two that are equal mean that nobody wrote in between.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    /// The path itself, which may be a link.
    link: Stamp,
    /// What stands at its end.
    file: Stamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    There {
        device: u64,
        inode: u64,
        len: u64,
        /// Seconds and nanoseconds since the epoch.
        modified: (i64, i64),
        /// The same for the inode; no program can set it back.
        changed: (i64, i64),
    },
    /// Not to be found, or not to be looked at.
    Away(io::ErrorKind),
}

impl From<io::Result<Metadata>> for Stamp {
    fn from(found: io::Result<Metadata>) -> Self {
        match found {
            Ok(there) => Self::There {
                device: there.dev(),
                inode: there.ino(),
                len: there.len(),
                modified: (there.mtime(), there.mtime_nsec()),
                changed: (there.ctime(), there.ctime_nsec()),
            },
            Err(error) => Self::Away(error.kind()),
        }
    }
}

impl Signature {
    /// Blocks for as long as the file system does.
    fn of(path: &Path) -> Self {
        Self {
            link: fs::symlink_metadata(path).into(),
            file: fs::metadata(path).into(),
        }
    }
}

/// What all paths lead to, in their order.
type Look = Vec<Signature>;

fn look_at(paths: &[PathBuf]) -> Look {
    paths.iter().map(|path| Signature::of(path)).collect()
}

/// What was seen last, and what of it has been told.
#[derive(Debug)]
struct Seen {
    /// What the files were when they were told to have changed, or at the beginning.
    told: Look,
    /// Something else, seen once.
    unsettled: Option<Look>,
}

impl Seen {
    /// Takes one more look. True if it is different from what was told and the same as the look before.
    fn has_settled(&mut self, look: Look) -> bool {
        if look == self.told {
            self.unsettled = None;
        } else if self.unsettled.as_ref() == Some(&look) {
            self.unsettled = None;
            self.told = look;
            return true;
        } else {
            self.unsettled = Some(look);
        }
        false
    }
}

/// Watches some files.
#[derive(Debug)]
pub(crate) struct FileWatch {
    paths: Vec<PathBuf>,
    every: Duration,
    seen: Seen,
    next: Instant,
    /// A look under way. A file system that hangs holds up one thread, not one for every call.
    looking: Option<JoinHandle<Look>>,
}

impl FileWatch {
    /// Begins to watch, and looks once, at once; a change from then on is told, so call it before the files are
    /// read. `every` is the time between two looks, at least 20 ms; a change is told after one to two of them.
    pub(crate) fn new(paths: Vec<PathBuf>, every: Duration) -> Self {
        let every = every.max(SHORTEST);
        Self {
            seen: Seen {
                told: look_at(&paths),
                unsettled: None,
            },
            paths,
            every,
            next: Instant::now() + every,
            looking: None,
        }
    }

    /// Watches these paths from now on. What was known of those among them that were watched before stays known,
    /// so no change of theirs is lost; the others are looked at now.
    ///
    /// # Cancel safety
    /// If it is dropped before it is ready, the paths are those of before.
    pub(crate) async fn set_paths(&mut self, paths: Vec<PathBuf>) {
        let new: Vec<PathBuf> = paths
            .iter()
            .filter(|path| !self.paths.contains(path))
            .cloned()
            .collect();
        let to_look_at = new.clone();
        // A look that fails leaves no signature, and that is told as a change: the files are read once more.
        let look = tokio::task::spawn_blocking(move || look_at(&to_look_at))
            .await
            .unwrap_or_default();
        let before = self.paths.iter().zip(&self.seen.told);
        let known: Vec<(&PathBuf, &Signature)> = before.chain(new.iter().zip(&look)).collect();
        let told = paths
            .iter()
            .filter_map(|path| known.iter().find(|(known, _)| *known == path))
            .map(|(_, signature)| (*signature).clone())
            .collect();
        self.seen = Seen {
            told,
            unsettled: None,
        };
        self.paths = paths;
        // A look under way is at the paths of before.
        self.looking = None;
    }

    /// Waits until something changed and then stayed the same for one more look. What changes afterwards, also
    /// while the files are being read, is told by the next call.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped before it is ready, and looks keep their times.
    pub(crate) async fn changed(&mut self) {
        loop {
            let looking = match &mut self.looking {
                Some(looking) => looking,
                None => {
                    tokio::time::sleep_until(self.next).await;
                    let paths = self.paths.clone();
                    let look = tokio::task::spawn_blocking(move || look_at(&paths));
                    self.looking.insert(look)
                }
            };
            let look = looking.await;
            self.looking = None;
            self.next = Instant::now() + self.every;
            // A look that was not taken, because the runtime is stopping, says nothing.
            if let Ok(look) = look
                && self.seen.has_settled(look)
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use futures_util::FutureExt;
    use tempfile::TempDir;

    use super::*;

    /// Files whose looks are taken by hand.
    struct ByHand {
        directory: TempDir,
        paths: Vec<PathBuf>,
        seen: Seen,
    }

    impl ByHand {
        fn watching(names: &[&str], prepare: impl FnOnce(&Path)) -> Self {
            let directory = tempfile::tempdir().unwrap();
            prepare(directory.path());
            let paths: Vec<_> = names.iter().map(|n| directory.path().join(n)).collect();
            let seen = Seen {
                told: look_at(&paths),
                unsettled: None,
            };
            Self {
                directory,
                paths,
                seen,
            }
        }

        fn look(&mut self) -> bool {
            self.seen.has_settled(look_at(&self.paths))
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.directory.path().join(name), text).unwrap();
        }

        fn replace(&self, name: &str, text: &str) {
            self.write("new", text);
            let path = self.directory.path();
            fs::rename(path.join("new"), path.join(name)).unwrap();
        }
    }

    #[test]
    fn a_change_is_told_once_and_only_after_a_second_look() {
        let mut files = ByHand::watching(&["a"], |at| fs::write(at.join("a"), "1").unwrap());
        assert!(!files.look());
        files.replace("a", "2");
        assert!(!files.look());
        assert!(files.look());
        assert!(!files.look());
    }

    #[test]
    fn a_set_that_is_still_being_written_is_not_told() {
        let mut files = ByHand::watching(&["key", "svid"], |_| {});
        files.write("key", "-----BEGIN");
        assert!(!files.look());
        files.write("key", "-----BEGIN PRIVATE KEY-----");
        assert!(!files.look());
        files.write("svid", "-----BEGIN CERTIFICATE-----");
        assert!(!files.look());
        assert!(files.look());
    }

    #[test]
    fn a_file_of_the_same_length_and_modification_time_is_another_file() {
        let mut files = ByHand::watching(&["a"], |at| fs::write(at.join("a"), "1").unwrap());
        let path = files.paths[0].clone();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        files.replace("a", "2");
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        assert!(!files.look());
        assert!(files.look());
    }

    #[test]
    fn files_that_come_and_go_are_told() {
        let mut files = ByHand::watching(&["a"], |_| {});
        files.write("a", "1");
        assert!(!files.look());
        assert!(files.look());
        fs::remove_file(&files.paths[0]).unwrap();
        assert!(!files.look());
        assert!(files.look());
    }

    #[test]
    fn the_swap_of_a_config_map_is_told() {
        let mut files = ByHand::watching(&["lane.toml"], |at| {
            for version in ["..v1", "..v2"] {
                fs::create_dir(at.join(version)).unwrap();
                fs::write(at.join(version).join("lane.toml"), version).unwrap();
            }
            symlink("..v1", at.join("..data")).unwrap();
            symlink("..data/lane.toml", at.join("lane.toml")).unwrap();
        });
        let at = files.directory.path();
        symlink("..v2", at.join("..data_tmp")).unwrap();
        fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
        assert!(!files.look());
        assert!(files.look());
        assert_eq!(fs::read_to_string(&files.paths[0]).unwrap(), "..v2");
    }

    /// Two looks of the shortest kind take 40 ms; the wait is bounded by the test's own patience.
    async fn told(watch: &mut FileWatch) -> bool {
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_change_between_two_waits_is_told_by_the_second() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut watch = FileWatch::new(vec![path.clone()], SHORTEST);
        fs::write(&path, "1").unwrap();
        assert!(told(&mut watch).await);
        fs::write(&path, "22").unwrap();
        assert!(told(&mut watch).await);
    }

    #[tokio::test]
    async fn waits_that_are_dropped_again_and_again_still_lead_to_the_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut watch = FileWatch::new(vec![path.clone()], SHORTEST);
        fs::write(&path, "1").unwrap();
        let dropping = async {
            let mut dropped: u64 = 0;
            while watch.changed().now_or_never().is_none() {
                dropped += 1;
                tokio::task::yield_now().await;
            }
            dropped
        };
        let patience = Duration::from_secs(20);
        let dropped = tokio::time::timeout(patience, dropping).await.unwrap();
        assert!(dropped > 2);
    }

    #[tokio::test]
    async fn new_paths_are_watched_and_no_change_of_the_old_ones_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut watch = FileWatch::new(vec![at("old")], SHORTEST);
        fs::write(at("old"), "1").unwrap();
        watch.set_paths(vec![at("new"), at("old")]).await;
        assert!(told(&mut watch).await);
        fs::write(at("new"), "1").unwrap();
        assert!(told(&mut watch).await);
        watch.set_paths(vec![at("old")]).await;
        fs::write(at("new"), "22").unwrap();
        for _ in 0..3 {
            assert!(!watch.seen.has_settled(look_at(&watch.paths)));
        }
    }
}
