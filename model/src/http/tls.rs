//! TLS: rustls with ring, and the roots of the machine.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::http::HttpError;

/// How TLS is spoken. The roots are the machine's (or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`); a machine without
/// any, and a provider without TLS, get Mozilla's, which cost no reading.
pub(crate) fn config(reads_roots: bool) -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    if reads_roots {
        // What cannot be read or parsed is passed over: one bad file must not lock everybody out.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Client(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
