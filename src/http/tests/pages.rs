//! Operations, documents and the page.

use std::{collections::BTreeSet, fs, io::Read as _, path::Path, sync::atomic::Ordering::Relaxed};

use flate2::read::GzDecoder;

use super::{
    super::{Listener, page::ASSETS},
    support::{Server, plain},
};

fn server() -> Server {
    Server::new(Listener::Whole)
}

#[actix_web::test]
async fn health_tells_why_it_is_not_ready() {
    let server = server();
    assert_eq!(
        server.ask("GET", "/health/live", "").await.json()["status"],
        "live"
    );
    assert_eq!(
        server.ask("GET", "/health/ready", "").await.json()["status"],
        "ready"
    );
    *server.front.reasons.lock().unwrap() = vec!["the store is away".into()];
    let answer = server.ask("GET", "/health/ready", "").await;
    assert_eq!(answer.problem(), (503, "unavailable".into(), None));
    assert_eq!(
        answer.json()["reasons"],
        serde_json::json!(["the store is away"])
    );
    assert_eq!(server.ask("GET", "/health/live", "").await.status, 200);
}

#[actix_web::test]
async fn metrics_are_openmetrics() {
    let server = server();
    let answer = server.ask("GET", "/metrics", "").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(answer.bytes.ends_with(b"# EOF\n"));
    assert_eq!(server.front.refreshed.load(Relaxed), 1, "as of now");
}

#[actix_web::test]
async fn the_socket_needs_an_upgrade() {
    let answer = server().send(plain("GET", "/v1/ws").to_request()).await;
    assert_eq!(answer.problem().0, 426);
    assert_eq!(answer.header("upgrade"), "websocket");
}

#[actix_web::test]
async fn every_file_of_the_page_is_served() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist");
    let files: BTreeSet<String> = [built.clone(), built.join("assets")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
    assert_eq!(files, served, "PG-1");
    let server = server();
    let index = server.ask("GET", "/", "").await;
    assert_eq!(
        (index.status.as_u16(), index.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let html = String::from_utf8(index.bytes.clone()).unwrap();
    for reference in html.split('"').filter(|text| text.starts_with("/assets/")) {
        assert_eq!(
            server.ask("GET", reference, "").await.status,
            200,
            "{reference}"
        );
    }
}

#[actix_web::test]
async fn pages_are_careful() {
    let server = server();
    for path in [
        "/",
        "/assets/icon.svg",
        "/docs",
        "/docs/start.js",
        "/v1/rooms",
        "/health/live",
    ] {
        let answer = server.ask("GET", path, "").await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("script-src"),
            "{path}: scripts are ruled by default-src"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
    for path in ["/", "/docs"] {
        let html = String::from_utf8(server.ask("GET", path, "").await.bytes).unwrap();
        for tag in html.split("<script").skip(1) {
            assert!(
                tag.contains(" src=\"/") && tag.contains("></script>"),
                "no script in {path}"
            );
        }
        assert!(
            !html.contains(" style=") && !html.contains(" onclick="),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn what_a_browser_has_is_not_sent_again() {
    let server = server();
    let first = server.ask("GET", "/assets/icon.svg", "").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() == 26, "{tag}");
    assert_eq!(first.header("cache-control"), "no-cache");
    let again = plain("GET", "/assets/icon.svg").insert_header(("if-none-match", tag.clone()));
    let again = server.send(again.to_request()).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    let other = plain("GET", "/").insert_header(("if-none-match", tag));
    assert_eq!(server.send(other.to_request()).await.status, 200);
}

#[actix_web::test]
async fn a_name_with_a_digest_is_kept_for_ever() {
    let server = server();
    let named = |ending: &str| {
        let mut names = ASSETS.iter().map(|asset| asset.name);
        names.find(|name| name.ends_with(ending)).unwrap()
    };
    for name in [named(".js"), named(".css")] {
        let answer = server.ask("GET", &format!("/assets/{name}"), "").await;
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable",
            "{name}"
        );
    }
    assert_eq!(
        server.ask("GET", "/", "").await.header("cache-control"),
        "no-cache"
    );
}

#[actix_web::test]
async fn the_page_is_small_for_whoever_takes_gzip() {
    /// Bytes of the first load, compressed.
    const FIRST_LOAD: usize = 120 * 1024;
    let server = server();
    let mut sum = 0;
    for asset in ASSETS.iter() {
        let path = match asset.name {
            "index.html" => "/".to_owned(),
            name => format!("/assets/{name}"),
        };
        let plain_answer = server.ask("GET", &path, "").await;
        let asked = plain("GET", &path).insert_header(("accept-encoding", "gzip, deflate, br"));
        let small = server.send(asked.to_request()).await;
        assert_eq!(plain_answer.header("vary"), "accept-encoding");
        assert_eq!(small.header("content-encoding"), "gzip", "{path}");
        assert_ne!(small.header("etag"), plain_answer.header("etag"), "{path}");
        let mut text = Vec::new();
        GzDecoder::new(small.bytes.as_slice())
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, plain_answer.bytes, "{path}");
        sum += small.bytes.len();
        for refused in ["identity", "gzip;q=0, identity", "br"] {
            let asked = plain("GET", &path).insert_header(("accept-encoding", refused));
            let answer = server.send(asked.to_request()).await;
            assert!(
                answer.headers.get("content-encoding").is_none(),
                "{path}: {refused}"
            );
        }
    }
    assert!(sum <= FIRST_LOAD, "{sum} bytes");
}

#[actix_web::test]
async fn the_document_is_served_to_programs_and_people() {
    let server = server();
    let json = server.ask("GET", "/openapi.json", "").await.json();
    assert_eq!(json["openapi"], "3.1.0");
    let html = String::from_utf8(server.ask("GET", "/docs", "").await.bytes).unwrap();
    let mut count = 0;
    for reference in html.split('"').filter(|text| text.starts_with("/docs/")) {
        assert_eq!(
            server.ask("GET", reference, "").await.status,
            200,
            "{reference}"
        );
        count += 1;
    }
    assert_eq!(count, 3);
    let script = server.ask("GET", "/docs/start.js", "").await;
    assert!(
        String::from_utf8(script.bytes)
            .unwrap()
            .contains("/openapi.json")
    );
}
