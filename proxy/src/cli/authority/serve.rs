//! `pqlane authority serve`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use pqlane_certs::authority::serve::{ServeEvent, ServedSvid, Serving};
use pqlane_certs::authority::{Authority, IssueOptions, KeyKind, KeyKindError};
use pqlane_certs::clock::SystemClock;
use pqlane_certs::source::workload_api::ENDPOINT_VARIABLE;
use pqlane_certs::spiffe_id::{SpiffeId, SpiffeIdError};

use super::watched::Watched;
use super::{AuthorityCommandError, duration};
use crate::cli::{Signals, say};

#[derive(Debug, Args)]
#[command(
    after_help = "Every process of the same user gets every SVID: for development.\n\n\
    Example:\n  pqlane authority serve --dir ca --socket /tmp/example.sock --ttl 5m \\\n    \
    --svid spiffe://example.org/mcp/weather \\\n    \
    --svid spiffe://example.org/agent/assistant,hint=assistant,key=ml-dsa-65 \\\n    \
    --federated friends\n\n\
    `cp other/bundle.pem friends/example.com.pem` federates with example.com, and removing the file\n\
    ends that; `pqlane authority revoke` puts an SVID on the CRL. Both are pushed while it serves."
)]
pub(in crate::cli) struct Serve {
    /// Directory that `init` made
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Unix socket to serve on, made with mode 0600
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// SVID to serve, the first one being the default: its ID, then any of `hint=NAME`, `key=KIND` and `ttl=TIME`
    #[arg(
        long = "svid",
        value_name = "ID[,hint=NAME][,key=KIND][,ttl=TIME]",
        required = true
    )]
    svids: Vec<SvidFlag>,
    /// How long an SVID lasts that does not say; it is renewed at half of that
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    ttl: Duration,
    /// Directory of bundles of other domains, DOMAIN.pem each; watched
    #[arg(long, value_name = "DIR")]
    federated: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), AuthorityCommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AuthorityCommandError::Runtime)?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), AuthorityCommandError> {
        let authority = Authority::open(&self.dir, &SystemClock)?;
        let svids = self.svids.into_iter().map(|svid| svid.served(self.ttl));
        let socket =
            std::path::absolute(&self.socket).map_err(|source| AuthorityCommandError::Socket {
                path: self.socket.clone(),
                source,
            })?;
        let signals = Signals::listen();
        let serving =
            Serving::bind(authority, svids.collect(), &socket, Arc::new(SystemClock)).await?;
        let mut watched = Watched::new(serving.control(), self.dir, self.federated);
        watched.look();
        say(format_args!(
            "export {ENDPOINT_VARIABLE}={}",
            serving.endpoint()
        ));
        for (id, serial) in serving.control().serials() {
            tracing::info!("serving {id}, serial {serial}");
        }
        tokio::select! {
            () = serving.run(signals.first(), report) => {}
            () = watched.keep_looking() => {}
        }
        Ok(())
    }
}

/// Logs what happens.
pub(in crate::cli) fn report(event: ServeEvent) {
    match event {
        ServeEvent::Rotated { .. } => tracing::info!("{event}"),
        ServeEvent::ForeignUser { .. } | ServeEvent::NotIssued(_) => tracing::warn!("{event}"),
    }
}

/// What `--svid` says of one SVID.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SvidFlag {
    id: SpiffeId,
    hint: Option<String>,
    key: KeyKind,
    ttl: Option<Duration>,
}

impl SvidFlag {
    fn served(self, ttl: Duration) -> ServedSvid {
        ServedSvid {
            id: self.id,
            hint: self.hint,
            options: IssueOptions {
                ttl: self.ttl.unwrap_or(ttl),
                key: self.key,
            },
        }
    }
}

impl FromStr for SvidFlag {
    type Err = SvidFlagError;

    fn from_str(text: &str) -> Result<Self, SvidFlagError> {
        // A comma is not part of a SPIFFE ID.
        let mut parts = text.split(',');
        let id = parts.next().unwrap_or_default();
        let mut flag = Self {
            id: id.parse().map_err(SvidFlagError::Id)?,
            hint: None,
            key: KeyKind::default(),
            ttl: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("hint", hint)) if !hint.is_empty() => flag.hint = Some(hint.to_owned()),
                Some(("key", kind)) => flag.key = kind.parse().map_err(SvidFlagError::Key)?,
                Some(("ttl", time)) => flag.ttl = Some(duration(time).map_err(SvidFlagError::Ttl)?),
                Some(_) | None => return Err(SvidFlagError::Part(part.to_owned())),
            }
        }
        Ok(flag)
    }
}

/// Why a value of `--svid` cannot be used.
#[derive(Debug, thiserror::Error)]
enum SvidFlagError {
    #[error("{0}")]
    Id(SpiffeIdError),
    #[error("{0}")]
    Key(KeyKindError),
    #[error("{0:?} is not known: hint=NAME, key=KIND and ttl=TIME are accepted after the ID")]
    Part(String),
    #[error("ttl: {0}")]
    Ttl(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svid_takes_a_hint_a_key_and_a_lifetime() {
        let id: SpiffeId = "spiffe://example.org/a".parse().unwrap();
        let hour = Duration::from_secs(3_600);
        let plain: SvidFlag = "spiffe://example.org/a".parse().unwrap();
        let served = plain.served(hour);
        assert_eq!((served.id, served.hint), (id.clone(), None));
        assert_eq!(served.options.ttl, hour);

        let text = "spiffe://example.org/a,key=ml-dsa-65,hint=x,ttl=20s";
        let served = text.parse::<SvidFlag>().unwrap().served(hour);
        assert_eq!((served.id, served.hint.as_deref()), (id, Some("x")));
        assert_eq!(served.options.key, KeyKind::MlDsa65);
        assert_eq!(served.options.ttl, Duration::from_secs(20));
    }

    #[test]
    fn a_part_that_is_not_known_is_named() {
        for (text, named) in [
            ("spiffe://example.org/a,hunt=x", "hunt=x"),
            ("spiffe://example.org/a,hint=", "hint="),
            ("spiffe://example.org/a,", "\"\""),
            ("spiffe://example.org/a,key=rsa", "rsa-2048"),
            ("spiffe://example.org/a,ttl=20", "such as 24h"),
            ("example.org/a", "spiffe://"),
        ] {
            let error = text.parse::<SvidFlag>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
