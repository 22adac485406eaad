//! A SPIFFE Workload API for sidecars of a test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pqlane_certs::authority::serve::{ServedSvid, Serving, ServingControl};
use pqlane_certs::authority::{Authority, AuthorityPem, IssueOptions};
use pqlane_certs::clock::SystemClock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::within;
use super::world::World;

/// A CA and what its API serves, whether it runs or not.
pub(crate) struct Domain {
    name: &'static str,
    ca: AuthorityPem,
    socket: PathBuf,
}

impl Domain {
    pub(crate) fn new(world: &World, name: &'static str) -> Self {
        let authority = Authority::create(
            name.parse().unwrap(),
            Duration::from_secs(86_400),
            &SystemClock,
        );
        Self {
            name,
            ca: authority.unwrap().to_pem(),
            socket: world.path(&format!("{name}.sock")),
        }
    }

    fn authority(&self) -> Authority {
        let AuthorityPem {
            certificate_pem,
            key_pem,
            ..
        } = &self.ca;
        let name = self.name.parse().unwrap();
        Authority::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes(), name).unwrap()
    }

    pub(crate) fn bundle_pem(&self) -> String {
        self.authority().bundle_pem()
    }

    /// An SVID with this path that lives for so many seconds.
    pub(crate) fn svid(&self, path: &str, seconds: u64) -> ServedSvid {
        ServedSvid {
            id: format!("spiffe://{}{path}", self.name).parse().unwrap(),
            hint: Some(path.rsplit('/').next().unwrap().to_owned()),
            options: IssueOptions {
                ttl: Duration::from_secs(seconds),
                ..IssueOptions::default()
            },
        }
    }

    /// What `SPIFFE_ENDPOINT_SOCKET` would say.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The table `[identity]` of whoever has this path here.
    pub(crate) fn identity(&self, path: &str) -> String {
        format!(
            "[identity]\nworkload_api = \"{}\"\nspiffe_id = \"spiffe://{}{path}\"\n",
            self.endpoint(),
            self.name
        )
    }

    /// Serves these from now on.
    pub(crate) async fn serve(&self, svids: Vec<ServedSvid>) -> Api {
        let clock = Arc::new(SystemClock);
        let serving = Serving::bind(self.authority(), svids, &self.socket, clock);
        let serving = serving.await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Api {
            control: serving.control(),
            stop,
            running: tokio::spawn(async move {
                let stopped = async {
                    let _ = stopped.await;
                };
                serving.run(stopped, |_event| {}).await;
            }),
        }
    }
}

/// An API that runs.
pub(crate) struct Api {
    pub(crate) control: ServingControl,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Api {
    /// Ends it; every stream of it breaks off.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        within("end of the API", self.running).await.unwrap();
    }
}
