//! `pqlane authority`.

pub(super) mod serve;
mod watched;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use pqlane_certs::authority::serve::ServeError;
use pqlane_certs::authority::{
    self, AuthorityError, AuthorityFileError, CreateOptions, IssueOptions, KeyKind,
    RevokedFileError, Serial,
};
use pqlane_certs::clock::SystemClock;
use pqlane_certs::spiffe_id::{SpiffeId, TrustDomain};

use super::say;

#[derive(Debug, Subcommand)]
pub(super) enum Authority {
    /// Makes a trust domain: DIR/ca.pem, DIR/ca.key and DIR/bundle.pem
    Init(Init),
    /// Issues an SVID: PREFIX.svid.pem and PREFIX.key.pem
    Issue(Issue),
    /// Puts a certificate on the revocation lists of the domain, which `serve` pushes
    Revoke(Revoke),
    /// Serves the SPIFFE Workload API: SVIDs that are renewed, CRLs, federated bundles
    Serve(serve::Serve),
}

#[derive(Debug, Args)]
#[command(
    after_help = "For development. In production identities come from SPIRE or another SPIFFE provider.\n\n\
    Examples:\n  pqlane authority init --dir ca --trust-domain example.org\n  \
    pqlane authority init --dir ca --trust-domain example.org --ca-key ml-dsa-65 --intermediate"
)]
pub(super) struct Init {
    /// Directory for the domain's files; made if missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Name of the domain
    #[arg(long, value_name = "DOMAIN")]
    trust_domain: TrustDomain,
    /// How long its CA lasts: a number with s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = duration)]
    ttl: Duration,
    /// Key of the CA: ecdsa-p256, ecdsa-p384, rsa-2048, ed25519, ml-dsa-44, ml-dsa-65 or ml-dsa-87
    #[arg(long, value_name = "KIND", default_value = "ecdsa-p256")]
    ca_key: KeyKind,
    /// Issue through an intermediate CA, with a key of the same kind or of this one
    #[arg(long, value_name = "KIND", num_args = 0..=1, require_equals = true)]
    intermediate: Option<Option<KeyKind>>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    pqlane authority issue --dir ca --id spiffe://example.org/mcp/weather --out weather")]
pub(super) struct Issue {
    /// Directory that `init` made
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// SPIFFE ID in the domain
    #[arg(long, value_name = "ID")]
    id: SpiffeId,
    /// Beginning of the two files' names
    #[arg(long, value_name = "PREFIX")]
    out: PathBuf,
    /// How long it lasts: a number with s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    ttl: Duration,
    /// Key: ecdsa-p256, ecdsa-p384, rsa-2048, ed25519, ml-dsa-44, ml-dsa-65 or ml-dsa-87
    #[arg(long, value_name = "KIND", default_value = "ecdsa-p256")]
    key: KeyKind,
}

#[derive(Debug, Args)]
#[command(
    after_help = "`serve` says the serial number of each SVID; `openssl x509 -serial` prints that of a file.\n\n\
    Example:\n  pqlane authority revoke --dir ca --serial 4c0d5f2b9e"
)]
pub(super) struct Revoke {
    /// Directory that `init` made
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Serial number of the certificate, in hexadecimal
    #[arg(long, value_name = "HEX")]
    serial: Serial,
}

/// Why the authority could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityCommandError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    File(#[from] AuthorityFileError),
    #[error("cannot make {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Revoked(#[from] RevokedFileError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("{}: not a path that can be made absolute", path.display())]
    Socket { path: PathBuf, source: io::Error },
}

impl Authority {
    pub(super) fn run(self) -> Result<(), AuthorityCommandError> {
        match self {
            Self::Init(init) => init.run(),
            Self::Issue(issue) => issue.run(),
            Self::Revoke(revoke) => revoke.run(),
            Self::Serve(serve) => serve.run(),
        }
    }
}

impl Init {
    fn run(self) -> Result<(), AuthorityCommandError> {
        let options = CreateOptions {
            ttl: self.ttl,
            key: self.ca_key,
            intermediate: self.intermediate.map(|kind| kind.unwrap_or(self.ca_key)),
        };
        let authority =
            authority::Authority::create_with(self.trust_domain, &options, &SystemClock)?;
        std::fs::create_dir_all(&self.dir).map_err(|source| AuthorityCommandError::Directory {
            path: self.dir.clone(),
            source,
        })?;
        authority.save(&self.dir)?;
        say(format_args!(
            "trust domain {} in {}",
            authority.trust_domain(),
            self.dir.display()
        ));
        Ok(())
    }
}

impl Issue {
    fn run(self) -> Result<(), AuthorityCommandError> {
        let authority = authority::Authority::open(&self.dir, &SystemClock)?;
        let options = IssueOptions {
            ttl: self.ttl,
            key: self.key,
        };
        authority
            .issue(&self.id, &options, &SystemClock)?
            .save(&self.out)?;
        let out = self.out.display();
        say(format_args!("{} in {out}.svid.pem, {out}.key.pem", self.id));
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> Result<(), AuthorityCommandError> {
        // So that no list is begun in a directory that is not an authority's.
        authority::Authority::open(&self.dir, &SystemClock)?;
        authority::Authority::revoke_in(&self.dir, &self.serial)?;
        let dir = self.dir.display();
        say(format_args!("{} is revoked in {dir}", self.serial));
        Ok(())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let accepted = "accepted is a number above 0 with s, m, h or d, such as 24h";
    let unit = text.chars().last().ok_or(accepted)?;
    let seconds_each: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(accepted.to_owned()),
    };
    let count: u64 = text
        .trim_end_matches(unit)
        .parse()
        .map_err(|_not_a_number| accepted)?;
    match count.checked_mul(seconds_each) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(accepted.to_owned()),
    }
}
