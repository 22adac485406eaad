//! What changes under a sidecar that runs: its files, the streams through it, and what it says of all that.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use pqlane_certs::testing::TestSvid;
use rustls::pki_types::UnixTime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::http::{Client, Hand, Version, Workload, empty, expect_bytes, full, held, next_bytes};
use super::within;
use super::world::{Sidecar, owner_only};

/// Within which a withdrawal is to take effect.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

/// Puts a file in place whole, as careful programs do.
pub(crate) fn replace(path: &Path, text: impl AsRef<[u8]>) {
    let aside = path.with_extension("aside");
    std::fs::write(&aside, text).unwrap();
    std::fs::rename(aside, path).unwrap();
}

/// Replaces a part of a file.
pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    replace(path, text.replacen(from, to, 1));
}

/// Where a configuration that [`super::world`] wrote has its chain and key.
pub(crate) fn svid_files(config: &Path) -> [PathBuf; 2] {
    ["svid.pem", "key.pem"].map(|extension| config.with_extension(extension))
}

/// Puts an SVID in place, the chain first. Both files are written before either is put in place, so that hardly
/// anybody can see the one without the other.
pub(crate) fn replace_svid(config: &Path, svid: &TestSvid) {
    let [chain, key] = svid_files(config);
    let new_chain = chain.with_extension("new-chain");
    let new_key = key.with_extension("new-key");
    std::fs::write(&new_chain, svid.chain_pem()).unwrap();
    std::fs::write(&new_key, svid.key_pem().as_bytes()).unwrap();
    owner_only(&new_key);
    std::fs::rename(new_chain, chain).unwrap();
    std::fs::rename(new_key, key).unwrap();
}

/// The time so many seconds from now.
pub(crate) fn later(seconds: i64) -> UnixTime {
    let at = UnixTime::now().as_secs().saturating_add_signed(seconds);
    UnixTime::since_unix_epoch(Duration::from_secs(at))
}

/// A revocation list as a PEM section.
pub(crate) fn crl_pem(crl: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = String::new();
    for three in crl.chunks(3) {
        let mut group = [0; 4];
        group[1..=three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes(group) as usize;
        for digit in 0..4 {
            let sextet = bits >> (18 - 6 * digit) & 63;
            body.push(match digit <= three.len() {
                true => ALPHABET[sextet].into(),
                false => '=',
            });
        }
        if body.len() % 65 == 64 {
            body.push('\n');
        }
    }
    format!(
        "-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n",
        body.trim_end()
    )
}

/// One number of the metrics at an admin listener; nothing counted yet is 0.
pub(crate) async fn figure(admin: SocketAddr, name: &str) -> u64 {
    let metrics = Client::http1(admin).await.get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_default()
}

async fn reloads(admin: SocketAddr, outcome: &str) -> u64 {
    figure(
        admin,
        &format!("pqlane_reloads_total{{outcome=\"{outcome}\"}}"),
    )
    .await
}

/// Makes a change and waits until it was applied or refused, as expected and no other way.
pub(crate) async fn after_change(admin: SocketAddr, outcome: &str, change: impl FnOnce()) {
    let other = match outcome {
        "applied" => "refused",
        _ => "applied",
    };
    let before = (reloads(admin, outcome).await, reloads(admin, other).await);
    change();
    within(&format!("change {outcome}"), async {
        let mut often = tokio::time::interval(Duration::from_millis(10));
        while reloads(admin, outcome).await == before.0 {
            let others = reloads(admin, other).await;
            assert_eq!(others, before.1, "{other} and not {outcome}");
            often.tick().await;
        }
    })
    .await;
}

impl Sidecar {
    /// Makes a change, which takes effect.
    pub(crate) async fn applies(&self, change: impl FnOnce()) {
        after_change(self.listener("admin"), "applied", change).await;
    }

    /// Makes a change, which is refused.
    pub(crate) async fn refuses(&self, change: impl FnOnce()) {
        after_change(self.listener("admin"), "refused", change).await;
    }

    /// Edits its configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        edit(&self.file, from, to);
    }

    /// What it says to a probe: status and text.
    pub(crate) async fn readiness(&self) -> (u16, String) {
        let answer = Client::http1(self.listener("admin"))
            .await
            .get("/readyz")
            .await;
        let text = String::from_utf8_lossy(&answer.body).trim().to_owned();
        (answer.status.as_u16(), text)
    }

    /// Waits until a probe is answered so.
    pub(crate) async fn until_ready_says(&self, status: u16, text: &str) {
        within(&format!("readiness {status} {text}"), async {
            let mut often = tokio::time::interval(Duration::from_millis(10));
            while self.readiness().await != (status, text.to_owned()) {
                often.tick().await;
            }
        })
        .await;
    }
}

/// A workload that answers `ok`, but below `/sse` a stream of events that the test holds.
pub(crate) async fn workload() -> (Workload, UnboundedReceiver<Hand>) {
    let (hands, opened) = unbounded_channel();
    let workload = Workload::start(Version::Http1, move |request| {
        let hands = hands.clone();
        async move {
            if !request.uri().path().starts_with("/sse") {
                return http::Response::new(full("ok"));
            }
            let (hand, body) = held();
            let _ = hands.send(hand);
            http::Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap()
        }
    })
    .await;
    (workload, opened)
}

/// An open stream of events, from end to end.
pub(crate) struct Stream {
    pub(crate) body: Incoming,
    pub(crate) hand: Hand,
}

impl Stream {
    /// Opens one with [`workload`] behind it all.
    pub(crate) async fn open(
        client: &mut Client,
        path: &str,
        opened: &mut UnboundedReceiver<Hand>,
    ) -> Self {
        let request = client.request("GET", path).body(empty()).unwrap();
        let response = client.send(request).await;
        assert_eq!(response.status(), 200);
        let hand = within("stream at the workload", opened.recv())
            .await
            .unwrap();
        let mut stream = Self {
            body: response.into_body(),
            hand,
        };
        stream.flows().await;
        stream
    }

    /// An event gets through.
    pub(crate) async fn flows(&mut self) {
        self.hand.send("data: x\n\n").await;
        expect_bytes(&mut self.body, "data: x\n\n").await;
    }

    /// It ends as a stream of events should, with a comment that says why, and the workload is rid of it. Gives how
    /// long that took.
    pub(crate) async fn ends(mut self) -> Duration {
        let began = Instant::now();
        let mut words = Vec::new();
        while let Some(bytes) = next_bytes(&mut self.body).await {
            words.extend_from_slice(&bytes.expect("no clean end"));
        }
        let took = began.elapsed();
        let words = String::from_utf8(words).unwrap();
        let said = [": no-longer-allowed\n\n", ": svid-expired\n\n"];
        assert!(said.contains(&words.as_str()), "{words:?}");
        self.hand.closed().await;
        took
    }
}
