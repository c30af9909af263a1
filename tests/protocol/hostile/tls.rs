//! TLS on the public listener: the protocol is the same, and a certificate that cannot be had stops the start.

use std::{net::SocketAddr, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use parlor_config::Settings;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::raw::{CLOSE, COMPRESSED, TEXT};
use crate::support::{
    PASSWORD, Server, WITHIN,
    raw::{Answer, Closed, FINAL, OFFER, Raw, ask_http, deflate, pack},
};

struct Certificate {
    folder: tempfile::TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Makes one for `localhost`, signed by itself.
    fn make() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_pem(&folder.path().join("tls.pem"), "CERTIFICATE", cert.der());
        let key = signing_key.serialize_der();
        write_pem(&folder.path().join("tls.key"), "PRIVATE KEY", &key);
        Self {
            folder,
            der: cert.der().clone(),
        }
    }

    fn name_in(&self, settings: &mut Settings) {
        let path = |name| Some(self.folder.path().join(name));
        settings.server.tls_cert_file = path("tls.pem");
        settings.server.tls_key_file = path("tls.key");
    }

    /// Connects as somebody who trusts it.
    async fn dial(&self, addr: SocketAddr) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }
}

fn write_pem(file: &Path, label: &str, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    std::fs::write(file, pem).unwrap();
}

#[tokio::test]
async fn the_protocol_over_tls_is_the_same() {
    let certificate = Certificate::make();
    let server = Server::with(|settings| certificate.name_in(settings));
    let live = ask_http(
        certificate.dial(server.addr).await,
        "GET /health/live",
        &[],
        "",
    )
    .await;
    assert_eq!(live.status, 200);
    let token = register(&certificate, server.addr).await;
    let stream = certificate.dial(server.addr).await;
    let mut ana = Raw::shake(stream, &[OFFER]).await.expect("101");
    ana.hello(&token).await;
    let made = ana.ask("room.create", json!({ "kind": "group" })).await;
    let room = &made["payload"]["room"]["room_id"];
    let text = "the same again and again, ".repeat(1_000);
    for seq in 2..=40 {
        let payload = json!({ "room_id": room, "body": { "text": text } });
        let ack = ana.ask("message.send", payload).await;
        assert_eq!(ack["payload"]["seq"], seq, "{ack}");
    }
    let ask = json!({ "type": "history.get", "msg_id": "0191f0c2-0000-7000-8000-000000000001",
        "payload": { "room_id": room, "after": 1 } });
    let ask = deflate(ask.to_string().as_bytes());
    ana.writing
        .bytes(&pack(FINAL | COMPRESSED | TEXT, &ask))
        .await;
    let answered = loop {
        let frame = ana.reading.frame().await.expect("the server stays");
        if frame.json()["payload"]["events"].is_array() {
            break frame;
        }
    };
    assert!(answered.is_compressed());
    let events = &answered.json()["payload"]["events"];
    let events = events.as_array().unwrap();
    // As many as fit into one frame, and a hundredth of that on the wire.
    assert!(events.len() > 10, "{}", events.len());
    assert!(answered.payload.len() < 10_000);
    assert!(
        events
            .iter()
            .all(|event| event["payload"]["body"]["text"] == text)
    );
    ana.writing
        .bytes(&pack(FINAL | CLOSE, &1000_u16.to_be_bytes()))
        .await;
    let end = ana.reading.end().await;
    assert!(matches!(end, Some(Closed { code: 1000, .. })), "{end:?}");
    assert!(
        ana.reading.frame().await.is_none(),
        "and then the stream ends"
    );
}

async fn register(certificate: &Certificate, addr: SocketAddr) -> String {
    let stream = certificate.dial(addr).await;
    let body = json!({ "user_id": "ana", "password": PASSWORD }).to_string();
    let Answer { status, body, .. } = ask_http(stream, "POST /v1/auth/register", &[], &body).await;
    assert_eq!(status, 201, "{body}");
    body["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_is_hung_up_on() {
    let certificate = Certificate::make();
    let server = Server::with(|settings| certificate.name_in(settings));
    for said in ["", "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, said.as_bytes())
            .await
            .unwrap();
        let mut heard = Vec::new();
        let end = socket.read_to_end(&mut heard);
        let _ = tokio::time::timeout(WITHIN, end).await.expect("hung up");
        assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    }
    let stream = certificate.dial(server.addr).await;
    let live = ask_http(stream, "GET /health/live", &[], "").await;
    assert_eq!(live.status, 200, "others are served");
}

/// Tries to start with a certificate; answers why that failed.
fn refusal(certificate: &Certificate) -> String {
    let mut settings = Settings::default();
    settings.storage.path = certificate.folder.path().join("data");
    settings.server.listen = "127.0.0.1:0".parse().unwrap();
    certificate.name_in(&mut settings);
    let started = actix_rt::System::new().block_on(parlor::wiring::start(settings));
    started.err().expect("it does not start").to_string()
}

#[test]
fn a_start_with_a_broken_certificate_or_key_names_the_setting() {
    let certificate = Certificate::make();
    let (cert, key) = (
        certificate.folder.path().join("tls.pem"),
        certificate.folder.path().join("tls.key"),
    );
    let refused = |setting: &str, what: &str| {
        let why = refusal(&certificate);
        assert!(why.starts_with(&format!("{setting}: ")), "{what}: {why}");
    };
    let good = std::fs::read(&key).unwrap();
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    std::fs::write(&key, garbage).unwrap();
    refused("server.tls_key_file", "garbage");
    std::fs::write(&key, "").unwrap();
    refused("server.tls_key_file", "empty");
    let other = KeyPair::generate().unwrap();
    write_pem(&key, "PRIVATE KEY", &other.serialize_der());
    refused("server.tls_key_file", "of another");
    std::fs::remove_file(&key).unwrap();
    refused("server.tls_key_file", "missing");
    std::fs::write(&key, good).unwrap();
    std::fs::write(&cert, "").unwrap();
    refused("server.tls_cert_file", "empty");
}
