//! The files that change what a domain serves while it does: bundles of other domains, and serial numbers of
//! revoked certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pqlane_certs::authority::serve::ServingControl;
use pqlane_certs::authority::{Authority, REVOKED_FILE};
use pqlane_certs::source::MAX_FILE_LEN;
use pqlane_certs::spiffe_id::TrustDomain;
use tokio::time::interval;

use crate::tls::with_causes;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// The most files that are looked at in the directory of bundles.
const MAX_FILES: usize = 2_048;

/// Tells one state of a file from the next.
type Stamp = (u64, u64, i64, i64);

/// The files, and what was last seen of them.
pub(super) struct Watched {
    control: ServingControl,
    authority: PathBuf,
    federated: Option<PathBuf>,
    revoked_seen: Option<Stamp>,
    bundles_seen: BTreeMap<TrustDomain, Stamp>,
    // What cannot be used is said once.
    problems: BTreeSet<String>,
}

impl Watched {
    pub(super) fn new(
        control: ServingControl,
        authority: PathBuf,
        federated: Option<PathBuf>,
    ) -> Self {
        Self {
            control,
            authority,
            federated,
            revoked_seen: None,
            bundles_seen: BTreeMap::new(),
            problems: BTreeSet::new(),
        }
    }

    /// Looks every 200 ms and never ends.
    pub(super) async fn keep_looking(mut self) {
        let mut ticks = interval(PERIOD);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Takes up what has changed since the last time.
    pub(super) fn look(&mut self) {
        let before = std::mem::take(&mut self.problems);
        self.look_at_revoked();
        if let Some(dir) = self.federated.clone() {
            self.look_at_bundles(&dir);
        }
        for problem in self.problems.difference(&before) {
            tracing::warn!("{problem}");
        }
    }

    fn look_at_revoked(&mut self) {
        let now = fs::metadata(self.authority.join(REVOKED_FILE)).ok();
        let now = now.as_ref().map(stamp);
        if now == self.revoked_seen {
            return;
        }
        match Authority::revoked_in(&self.authority) {
            Ok(serials) => {
                let count = serials.len();
                match self.control.revoke(serials) {
                    Ok(()) => {
                        self.revoked_seen = now;
                        tracing::info!("{count} serial numbers in {REVOKED_FILE} are revoked");
                    }
                    Err(error) => self.problem(with_causes(&error)),
                }
            }
            Err(error) => self.problem(with_causes(&error)),
        }
    }

    fn look_at_bundles(&mut self, dir: &Path) {
        let names = match bundle_files(dir) {
            Ok(names) => names,
            // What is federated stays: a directory that cannot be read says nothing of its files.
            Err(error) => return self.problem(format_args!("{}: {error}", dir.display())),
        };
        for gone in self
            .bundles_seen
            .keys()
            .filter(|seen| !names.contains_key(*seen))
        {
            self.control.withdraw(gone);
            tracing::info!("no longer federated with {gone}");
        }
        self.bundles_seen.retain(|seen, _| names.contains_key(seen));
        for (trust_domain, path) in names {
            if let Err(error) = self.take_up(&trust_domain, &path) {
                self.problem(format_args!("{}: {error}", path.display()));
            }
        }
    }

    fn take_up(&mut self, trust_domain: &TrustDomain, path: &Path) -> Result<(), String> {
        let now = stamp(&fs::metadata(path).map_err(|error| error.to_string())?);
        if self.bundles_seen.get(trust_domain) == Some(&now) {
            return Ok(());
        }
        let pem = read(path).map_err(|error| error.to_string())?;
        self.control
            .federate(trust_domain.clone(), &pem)
            .map_err(|error| with_causes(&error))?;
        self.bundles_seen.insert(trust_domain.clone(), now);
        tracing::info!("federated with {trust_domain}");
        Ok(())
    }

    fn problem(&mut self, problem: impl fmt::Display) {
        self.problems.insert(problem.to_string());
    }
}

/// The files `DOMAIN.pem` in a directory; others are not ours to judge.
fn bundle_files(dir: &Path) -> io::Result<BTreeMap<TrustDomain, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)?.take(MAX_FILES) {
        let path = entry?.path();
        let is_pem = path.extension().is_some_and(|extension| extension == "pem");
        let name = path.file_stem().and_then(|name| name.to_str());
        if let (true, Some(Ok(trust_domain))) = (is_pem, name.map(str::parse)) {
            found.insert(trust_domain, path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_LEN)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn stamp(file: &Metadata) -> Stamp {
    (file.ino(), file.size(), file.mtime(), file.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use pqlane_certs::authority::serve::{ServedSvid, Serving};
    use pqlane_certs::authority::{CreateOptions, IssueOptions};
    use pqlane_certs::clock::SystemClock;
    use pqlane_certs::source::{Material, Source, WorkloadApiSource};
    use pqlane_certs::testing::{TestDomain, provider};

    use super::*;

    fn domains(material: &Material) -> Vec<String> {
        let names = material.bundles().trust_domains();
        names.map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn files_that_come_and_go_change_what_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let (ca, friends) = (dir.path().join("ca"), dir.path().join("friends"));
        fs::create_dir(&friends).unwrap();
        let options = CreateOptions::default();
        let domain: TrustDomain = "example.org".parse().unwrap();
        let authority = Authority::create_with(domain, &options, &SystemClock).unwrap();
        authority.save(&ca).unwrap();
        let svid = ServedSvid {
            id: "spiffe://example.org/a".parse().unwrap(),
            hint: None,
            options: IssueOptions::default(),
        };
        let socket = dir.path().join("api.sock");
        let serving = Serving::bind(authority, vec![svid], &socket, Arc::new(SystemClock));
        let serving = serving.await.unwrap();
        let control = serving.control();
        let endpoint = serving.endpoint();
        let mut source =
            WorkloadApiSource::new(endpoint, Arc::new(provider()), Arc::new(SystemClock));
        let mut watched = Watched::new(control.clone(), ca.clone(), Some(friends.clone()));
        let story = async {
            watched.look();
            assert_eq!(domains(&source.next().await.unwrap()), ["example.org"]);

            let bundle = TestDomain::new("example.com").bundle_pem();
            fs::write(friends.join("example.com.pem"), bundle).unwrap();
            fs::write(friends.join("example.net.pem"), "no bundle").unwrap();
            watched.look();
            assert_eq!(watched.problems.len(), 1, "{:?}", watched.problems);
            let with = source.next().await.unwrap();
            assert_eq!(domains(&with), ["example.com", "example.org"]);

            let (_, serial) = control.serials().remove(0);
            Authority::revoke_in(&ca, &serial).unwrap();
            watched.look();
            let revoked = source.next().await.unwrap();
            assert_ne!(revoked.bundles().crl_digest(), with.bundles().crl_digest());

            fs::remove_file(friends.join("example.com.pem")).unwrap();
            watched.look();
            assert_eq!(domains(&source.next().await.unwrap()), ["example.org"]);
        };
        tokio::select! {
            () = serving.run(pending(), |_event| {}) => panic!("ended by itself"),
            done = tokio::time::timeout(Duration::from_secs(20), story) => done.unwrap(),
        }
    }
}
