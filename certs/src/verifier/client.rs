//! The verifier as rustls servers call it: the peer is the TLS client.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{PeerError, PeerVerifier, PresentedChain, Role};

impl ClientCertVerifier for PeerVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    /// Empty: a peer has one SVID, and the names of our roots are nobody's business before it has
    /// shown it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// `now` is ignored: the verifier has its own clock.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = PresentedChain::new(end_entity, intermediates)?;
        self.verify_chain(&chain, Role::Client, self.config.clock.now())?;
        Ok(ClientCertVerified::assertion())
    }

    /// Refuses: TLS 1.2 is never offered.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerError::Tls12.into())
    }

    /// The proof of possession, and then the deny-list and the allow-list.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.verify_possession(message, cert, dss)?)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.supported_schemes()
    }
}
