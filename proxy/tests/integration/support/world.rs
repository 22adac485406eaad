//! A trust domain on disk, and sidecars that run in this process.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pqlane::app::{App, Ended};
use pqlane::config::Config;
use pqlane_certs::authority::KeyKind;
use pqlane_certs::testing::{TestDomain, TestSvid};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::http::Client;
use super::records::Records;
use super::tls::Peer;
use super::within;

/// The calling workload's path in `example.org`.
pub(crate) const AGENT: &str = "/agent/alice";
/// The called workload's path in `example.org`.
pub(crate) const MCP: &str = "/mcp/weather";

/// The full SPIFFE ID of a path in `example.org`.
pub(crate) fn id(path: &str) -> String {
    format!("spiffe://example.org{path}")
}

/// The trust domain `example.org`, with a directory for its files.
pub(crate) struct World {
    directory: TempDir,
    pub(crate) domain: TestDomain,
    files: AtomicUsize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_key(KeyKind::EcdsaP256)
    }

    /// The same with a CA key of this kind.
    pub(crate) fn with_key(kind: KeyKind) -> Self {
        Self::of(TestDomain::with_key("example.org", kind))
    }

    /// The same with a CA of the test's own.
    pub(crate) fn of(domain: TestDomain) -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
            domain,
            files: AtomicUsize::new(0),
        };
        world.write("bundle.pem", &world.domain.bundle_pem());
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A good SVID of this domain.
    pub(crate) fn svid(&self, path: &str) -> TestSvid {
        self.domain.leaf(path).issue()
    }

    /// A good SVID of this domain with a key of this kind.
    pub(crate) fn svid_of(&self, path: &str, kind: KeyKind) -> TestSvid {
        self.domain.leaf(path).key(kind).issue()
    }

    /// The agent without its sidecar: a TLS end that speaks for itself.
    pub(crate) fn agent(&self) -> Peer {
        Peer::new(self, &self.svid(AGENT))
    }

    /// A sidecar to be, with a good SVID of this path.
    pub(crate) fn sidecar(&self, path: &str) -> Setup<'_> {
        self.sidecar_with(&self.svid(path))
    }

    /// A sidecar to be, with this SVID.
    pub(crate) fn sidecar_with(&self, svid: &TestSvid) -> Setup<'_> {
        Setup::new(self, svid)
    }

    /// A sidecar to be whose identity and trust are in these lines alone.
    pub(crate) fn sidecar_that_is(&self, lines: &str) -> Setup<'_> {
        Setup::bare(self, lines)
    }

    /// A sidecar in front of a workload on this machine, which lets in the agents of the domain.
    pub(crate) async fn ingress(&self, workload: SocketAddr) -> Sidecar {
        self.sidecar(MCP).towards_workload(workload).start().await
    }

    /// An egress to one peer of the domain.
    pub(crate) async fn egress(&self, peer: SocketAddr) -> Sidecar {
        self.sidecar(AGENT).towards_peer(peer).start().await
    }

    /// A number that no other file of this world has.
    fn next(&self) -> usize {
        self.files.fetch_add(1, Ordering::Relaxed)
    }
}

/// A configuration in the making.
pub(crate) struct Setup<'w> {
    world: &'w World,
    number: usize,
    top: String,
    trust: String,
    audit: String,
    limits: String,
    listeners: String,
}

impl<'w> Setup<'w> {
    fn new(world: &'w World, svid: &TestSvid) -> Self {
        let number = world.next();
        let chain = world.write(&format!("{number}.svid.pem"), &svid.chain_pem());
        let key = world.path(&format!("{number}.key.pem"));
        std::fs::write(&key, svid.key_pem().as_bytes()).unwrap();
        owner_only(&key);
        Self {
            number,
            trust: "\"example.org\" = \"bundle.pem\"\n".to_owned(),
            ..Self::bare(
                world,
                &format!("[identity]\nsvid = {chain:?}\nkey = {key:?}\n"),
            )
        }
        .recorded()
    }

    fn bare(world: &'w World, top: &str) -> Self {
        Self {
            world,
            number: world.next(),
            top: format!("{top}\n"),
            trust: String::new(),
            audit: String::new(),
            limits: String::new(),
            listeners: String::new(),
        }
        .recorded()
    }

    fn recorded(self) -> Self {
        let audit = self.world.path(&format!("{}.audit.jsonl", self.number));
        self.audit(&format!("to = {audit:?}"))
    }

    /// Another trust domain whose workloads are known.
    pub(crate) fn trust(mut self, domain: &TestDomain) -> Self {
        let name = domain.trust_domain();
        let file = format!("{name}.pem");
        self.world.write(&file, &domain.bundle_pem());
        writeln!(self.trust, "\"{name}\" = \"{file}\"").unwrap();
        self
    }

    /// A line of the table `[limits]`.
    pub(crate) fn limit(mut self, line: &str) -> Self {
        writeln!(self.limits, "{line}").unwrap();
        self
    }

    /// The table `[audit]`, instead of a file of its own.
    pub(crate) fn audit(mut self, lines: &str) -> Self {
        self.audit = format!("{lines}\n");
        self
    }

    /// Lines of one `[[inbound]]`, or several.
    pub(crate) fn inbound(mut self, lines: &str) -> Self {
        write!(self.listeners, "[[inbound]]\n{lines}\n").unwrap();
        self
    }

    /// Lines of one `[[outbound]]`.
    pub(crate) fn outbound(mut self, lines: &str) -> Self {
        write!(self.listeners, "[[outbound]]\n{lines}\n").unwrap();
        self
    }

    /// Further tables, before the listeners.
    pub(crate) fn table(mut self, lines: &str) -> Self {
        writeln!(self.top, "{lines}").unwrap();
        self
    }

    /// A field of no table.
    pub(crate) fn field(mut self, line: &str) -> Self {
        self.top.insert_str(0, &format!("{line}\n"));
        self
    }

    /// An admin listener on a port of its own.
    pub(crate) fn admin(self) -> Self {
        self.table("[admin]\nlisten = \"127.0.0.1:0\"")
    }

    /// An inbound listener for the domain's agents in front of a workload.
    pub(crate) fn towards_workload(self, workload: SocketAddr) -> Self {
        self.towards_workload_with(workload, "")
    }

    /// The same with further lines.
    pub(crate) fn towards_workload_with(self, workload: SocketAddr, lines: &str) -> Self {
        self.inbound(&format!(
            "listen = \"127.0.0.1:0\"\nworkload = \"http://{workload}\"\n\
             allow = [\"spiffe://example.org/agent/*\"]\n{lines}"
        ))
    }

    /// An outbound listener to the domain's MCP server.
    pub(crate) fn towards_peer(self, peer: SocketAddr) -> Self {
        self.towards_peer_with(peer, "")
    }

    /// The same with further lines.
    pub(crate) fn towards_peer_with(self, peer: SocketAddr, lines: &str) -> Self {
        self.outbound(&format!(
            "listen = \"127.0.0.1:0\"\nconnect = \"{peer}\"\npeers = [\"{}\"]\n{lines}",
            id(MCP)
        ))
    }

    /// The file, as `pqlane run -c` takes it.
    pub(crate) fn file(&self) -> PathBuf {
        let Self {
            top,
            trust,
            audit,
            limits,
            listeners,
            ..
        } = self;
        let text =
            format!("{top}\n[trust]\n{trust}\n[audit]\n{audit}\n[limits]\n{limits}\n{listeners}");
        self.world.write(&format!("{}.toml", self.number), &text)
    }

    /// Where the records of this sidecar go.
    pub(crate) fn records(&self) -> Records {
        Records::of(self.world.path(&format!("{}.audit.jsonl", self.number)))
    }

    /// Builds, binds and runs it.
    pub(crate) async fn start(self) -> Sidecar {
        let file = self.file();
        let config = Config::read(&file).unwrap_or_else(|error| panic!("{error}"));
        let bound = App::build(config).unwrap().bind().await.unwrap();
        let addresses = bound
            .addresses()
            .iter()
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(bound.run(async {
            let _ = stopped.await;
        }));
        Sidecar {
            addresses,
            records: self.records(),
            file,
            stop: Some(stop),
            running,
        }
    }
}

pub(crate) fn owner_only(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// One running process of pqlane, inside this one.
pub(crate) struct Sidecar {
    addresses: Vec<(String, String)>,
    pub(crate) records: Records,
    /// Its configuration.
    pub(crate) file: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Ended>,
}

impl Sidecar {
    /// Where its first listener is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].1.parse().unwrap()
    }

    /// Where the listener of this name is.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        let found = self.addresses.iter().find(|(own, _)| own == name);
        found.unwrap().1.parse().unwrap()
    }

    /// A figure on its admin listener, by name and labels; 0 while there is none.
    pub(crate) async fn figure(&self, name: &str) -> u64 {
        let mut admin = Client::http1(self.listener("admin")).await;
        let metrics = admin.get("/metrics").await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until so many changes have been taken in since it started.
    pub(crate) async fn has_reloaded(&self, times: u64) {
        let applied = "pqlane_reloads_total{outcome=\"applied\"}";
        within("change to be applied", async {
            let mut often = tokio::time::interval(Duration::from_millis(10));
            while self.figure(applied).await < times {
                often.tick().await;
            }
        })
        .await;
    }

    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// How it ended.
    pub(crate) async fn ended(self) -> Ended {
        within("end", self.running).await.unwrap()
    }
}
