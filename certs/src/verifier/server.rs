//! The verifier as rustls clients call it: the peer is the TLS server.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{PeerError, PeerVerifier, PresentedChain, Role};

impl ServerCertVerifier for PeerVerifier {
    /// The server name is ignored: X509-SVID §2 puts the identity into the URI SAN, and the
    /// allow-list names the SPIFFE IDs that are expected. So are the stapled OCSP response, which
    /// X509-SVID does not use, and `now`, since the verifier has its own clock.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = PresentedChain::new(end_entity, intermediates)?;
        self.verify_chain(&chain, Role::Server, self.config.clock.now())?;
        Ok(ServerCertVerified::assertion())
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
