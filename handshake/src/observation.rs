//! What only the inside of a handshake can see.
//!
//! rustls tells neither which signature schemes were used nor what exactly a verifier refused, and its
//! verifiers and signers are shared by all connections of a configuration. So they are wrapped, and leave
//! what they saw in the [`Observation`] of the handshake that is being driven on this thread by
//! [`Observation::during`]. rustls calls them synchronously, so two handshakes never share one.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureAlgorithm, SignatureScheme,
};

thread_local! {
    static CURRENT: RefCell<Observation> = RefCell::new(Observation::default());
}

/// Whether a handshake may take part in resumption: resume a session, and leave a ticket behind.
///
/// A server's handshake gets no ticket unless someone who knows its ClientHello says so.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum TicketRule {
    /// Post-quantum, and with no need of a HelloRetryRequest.
    Give,
    /// Anything else, and whatever nobody has looked at.
    #[default]
    Withhold,
}

/// What the verifier, the signer and the ticket store of one handshake saw, and what that store may do.
#[derive(Debug, Default, Clone)]
pub struct Observation {
    /// Scheme of the CertificateVerify that this side sent (RFC 9846 §4.5.3).
    pub local_scheme: Option<SignatureScheme>,
    /// Scheme of the CertificateVerify that the peer sent and that verified.
    pub peer_scheme: Option<SignatureScheme>,
    /// The verifier's own error, before it was turned into the alert the peer is told.
    pub refusal: Option<Error>,
    /// When the full handshake was made at the beginning of the session that this server resumed.
    /// A signature of the peer that verifies takes it away again: then a ticket was offered but not used.
    pub resumed_from: Option<UnixTime>,
    /// What a server's ticket store may do for this handshake; set before the ClientHello is answered.
    pub tickets: TicketRule,
}

impl Observation {
    /// Runs one step of a handshake; what its verifier and signer see lands in `self`.
    pub fn during<R>(&mut self, step: impl FnOnce() -> R) -> R {
        let _restore = Installed::install(self);
        step()
    }
}

/// Swaps an observation with the thread's current one, and back on drop (also when a step panics).
struct Installed<'a>(&'a mut Observation);

impl<'a> Installed<'a> {
    fn install(observation: &'a mut Observation) -> Self {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, observation));
        Self(observation)
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

/// Lets `look` read and write the observation of the handshake that is being driven on this thread.
pub(crate) fn note<R>(look: impl FnOnce(&mut Observation) -> R) -> R {
    CURRENT.with_borrow_mut(look)
}

/// Chooses what a peer is told when its certificate is refused: the error rustls turns into an alert.
pub type AlertFor = fn(&Error) -> Error;

/// A verifier whose verdicts are observed.
#[derive(Debug)]
pub(crate) struct Observed<V: ?Sized> {
    pub(crate) alert_for: AlertFor,
    pub(crate) inner: Arc<V>,
}

impl<V: ?Sized> Observed<V> {
    fn verdict<T>(&self, verdict: Result<T, Error>) -> Result<T, Error> {
        verdict.map_err(|refusal| {
            let told = (self.alert_for)(&refusal);
            note(|seen| seen.refusal = Some(refusal));
            told
        })
    }

    fn signature<T>(
        &self,
        dss: &DigitallySignedStruct,
        verdict: Result<T, Error>,
    ) -> Result<T, Error> {
        let verdict = self.verdict(verdict)?;
        note(|seen| {
            seen.peer_scheme = Some(dss.scheme);
            seen.resumed_from = None;
        });
        Ok(verdict)
    }
}

impl ServerCertVerifier for Observed<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verdict(self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(dss, self.inner.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl ClientCertVerifier for Observed<dyn ClientCertVerifier> {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verdict(
            self.inner
                .verify_client_cert(end_entity, intermediates, now),
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(dss, self.inner.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The same certificate chain, with a signing key whose use is observed.
pub(crate) fn observed_key(identity: &CertifiedKey) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey {
        cert: identity.cert.clone(),
        key: Arc::new(ObservedKey(Arc::clone(&identity.key))),
        ocsp: None,
    })
}

#[derive(Debug)]
struct ObservedKey(Arc<dyn SigningKey>);

impl SigningKey for ObservedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.0.choose_scheme(offered)?;
        Some(Box::new(ObservedSigner(signer)))
    }

    fn public_key(&self) -> Option<rustls::pki_types::SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct ObservedSigner(Box<dyn Signer>);

impl Signer for ObservedSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.sign(message)?;
        note(|seen| seen.local_scheme = Some(self.0.scheme()));
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}
