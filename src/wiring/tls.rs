//! The certificate of the public listener.

use std::{path::PathBuf, sync::Arc};

use parlor_config::Server;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

use super::StartError;

/// Reads certificate and key, where the settings name them.
pub(super) fn load(settings: &Server) -> Result<Option<ServerConfig>, StartError> {
    let (Some(cert), Some(key)) = (&settings.tls_cert_file, &settings.tls_key_file) else {
        return Ok(None);
    };
    let of_cert = failed("server.tls_cert_file", cert);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error: pem::Error| of_cert(error.to_string()))?;
    if chain.is_empty() {
        return Err(of_cert("holds no certificate".to_owned()));
    }
    let of_key = failed("server.tls_key_file", key);
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error: pem::Error| of_key(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| of_key(error.to_string()))?;
    Ok(Some(config))
}

fn failed(key: &'static str, file: &std::path::Path) -> impl Fn(String) -> StartError {
    let file: PathBuf = file.to_owned();
    move |why| StartError::Tls {
        key,
        file: file.clone(),
        why,
    }
}
