//! Trusted certificates when the proxy itself speaks TLS: its authorities are valid for the proxy only. No I/O.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier as SystemVerifier;

/// Why TLS cannot be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrustError {
    /// The bundle of the proxy holds no certificate, or one that cannot be read.
    ProxyBundle,
    /// The bundle of ZITADEL holds no certificate, or one that cannot be read.
    Bundle,
    /// There is no bundle and there are no system roots.
    System,
}

/// Uses the verifier of the proxy for the proxy's name, and ZITADEL's for every other name.
#[derive(Debug)]
struct ByName {
    proxy: ServerName<'static>,
    of_proxy: Arc<dyn ServerCertVerifier>,
    of_zitadel: Arc<dyn ServerCertVerifier>,
}

/// The TLS configuration for both. Each bundle (PEM) replaces the system's roots for its own side.
pub(super) fn config(
    proxy_host: &str,
    proxy_pem: Option<&[u8]>,
    zitadel_pem: Option<&[u8]>,
) -> Result<ClientConfig, TrustError> {
    let provider = CryptoProvider::get_default()
        .map_or_else(|| Arc::new(aws_lc_rs::default_provider()), Arc::clone);
    let host = proxy_host.trim_start_matches('[').trim_end_matches(']');
    let verifier = ByName {
        proxy: ServerName::try_from(host.to_owned()).map_err(|_| TrustError::System)?,
        of_proxy: verifier(proxy_pem, &provider, TrustError::ProxyBundle)?,
        of_zitadel: verifier(zitadel_pem, &provider, TrustError::Bundle)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TrustError::System)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(
    pem: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
    unusable: TrustError,
) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
    let Some(pem) = pem else {
        let system = SystemVerifier::new(Arc::clone(provider)).map_err(|_| TrustError::System)?;
        return Ok(Arc::new(system));
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| unusable)?;
        roots.add(certificate).map_err(|_| unusable)?;
    }
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    // NB: an empty bundle fails here.
    let verifier = builder.build().map_err(|_| unusable)?;
    Ok(verifier)
}

impl ServerCertVerifier for ByName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = if *server_name == self.proxy {
            &self.of_proxy
        } else {
            &self.of_zitadel
        };
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_zitadel.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_zitadel.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of_zitadel.supported_verify_schemes()
    }
}
