//! Keys behind a URL: rotation, an issuer that is away or misbehaves, and how often it is asked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use parlor_config::Algorithm;
use parlor_schema::ErrorCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

use super::{
    forge::Forge,
    support::{World, no_limits, outside},
};

/// An issuer that answers every request with the same bytes, until it is told others.
struct Issuer {
    url: String,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: watch::Receiver<usize>,
}

impl Issuer {
    async fn start(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(answer));
        let (count, asked) = watch::channel(0);
        let said = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if socket.read(&mut byte).await.unwrap_or(0) == 0 {
                        break;
                    }
                    request.extend_from_slice(&byte);
                }
                let answer = said.lock().unwrap().clone();
                socket.write_all(&answer).await.ok();
                socket.shutdown().await.ok();
                count.send_modify(|count| *count += 1);
            }
        });
        Self { url, answer, asked }
    }

    fn say(&self, answer: Vec<u8>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    fn settings(&self) -> parlor_config::Auth {
        let mut settings = outside(&[Algorithm::ES256, Algorithm::EdDSA]);
        settings.jwt.jwks_url = Some(self.url.clone());
        settings
    }

    async fn world(&self) -> World {
        World::start(&self.settings(), &no_limits()).await.unwrap()
    }

    async fn start_error(&self) -> String {
        let started = World::start(&self.settings(), &no_limits()).await;
        started.err().unwrap().to_string()
    }
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn keys(keys: &[Value]) -> Vec<u8> {
    http("200 OK", "", json!({ "keys": keys }).to_string().as_bytes())
}

/// Everything an issuer can do wrong, some of it while it serves a good `key`.
fn failures(key: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let good = json!({ "keys": [key] }).to_string();
    let padded = format!("{}{good}", " ".repeat(1024 * 1024));
    vec![
        ("hangs up", Vec::new()),
        (
            "fails",
            http("500 Internal Server Error", "", good.as_bytes()),
        ),
        (
            "sends elsewhere",
            http("302 Found", "location: /jwks.json\r\n", b""),
        ),
        ("answers with a page", http("200 OK", "", b"<html></html>")),
        ("has no keys", keys(&[])),
        (
            "has only secrets",
            keys(&[json!({ "kty": "oct", "k": "AAAA", "kid": "k" })]),
        ),
        ("answers too much", http("200 OK", "", padded.as_bytes())),
        ("speaks something else", b"SSH-2.0-x\r\n\r\n".to_vec()),
    ]
}

#[tokio::test]
async fn keys_are_fetched_at_the_start() {
    let forge = Forge::ec();
    let issuer = Issuer::start(keys(&[forge.jwk("k1")])).await;
    let world = issuer.world().await;
    assert_eq!(issuer.asked(), 1);
    for _ in 0..10 {
        assert!(world.auth.verify(&forge.good_by("k1")).await.is_ok());
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_url_without_keys_stops_the_start_and_is_named() {
    let issuer = Issuer::start(Vec::new()).await;
    for (failure, answer) in failures(&Forge::ec().jwk("k1")) {
        issuer.say(answer);
        let error = issuer.start_error().await;
        assert!(
            error.starts_with("auth.jwt.jwks_url: "),
            "{failure}: {error}"
        );
        assert!(error.contains(&issuer.url), "{failure}: {error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = issuer.settings();
    settings.jwt.jwks_url = Some(format!("http://{}/", nobody.local_addr().unwrap()));
    drop(nobody);
    let error = World::start(&settings, &no_limits()).await.err().unwrap();
    assert!(
        error.to_string().starts_with("auth.jwt.jwks_url: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_new_key_is_found_and_a_removed_one_forgotten() {
    let (old, new) = (Forge::ec(), Forge::ed());
    let issuer = Issuer::start(keys(&[old.jwk("k1")])).await;
    let world = issuer.world().await;
    assert!(world.auth.verify(&old.good_by("k1")).await.is_ok());
    issuer.say(keys(&[old.jwk("k1"), new.jwk("k2")]));
    assert!(world.auth.verify(&new.good_by("k2")).await.is_ok());
    assert!(world.auth.verify(&old.good_by("k1")).await.is_ok());
    issuer.say(keys(&[new.jwk("k2")]));
    world.clock.advance_ms(30_000);
    assert!(world.auth.verify(&old.good_by("k3")).await.is_err());
    assert!(world.auth.verify(&old.good_by("k1")).await.is_err());
    assert!(world.auth.verify(&new.good_by("k2")).await.is_ok());
}

#[tokio::test]
async fn unknown_key_ids_cost_one_request_in_30_s_however_many() {
    let forge = Forge::ec();
    let issuer = Issuer::start(keys(&[forge.jwk("k1")])).await;
    let world = issuer.world().await;
    let guesses: Vec<String> = (0..20)
        .map(|n| forge.good_by(&format!("guess-{n}")))
        .collect();
    let verified = guesses.iter().map(|token| world.auth.verify(token));
    for answer in futures_util::future::join_all(verified).await {
        assert_eq!(answer.unwrap_err().code, ErrorCode::Unauthorized);
    }
    assert_eq!(issuer.asked(), 2, "U-3: the start, and one for all guesses");
    world.clock.advance_ms(29_999);
    assert!(world.auth.verify(&guesses[0]).await.is_err());
    assert_eq!(issuer.asked(), 2, "U-3");
    world.clock.advance_ms(1);
    assert!(world.auth.verify(&guesses[0]).await.is_err());
    assert_eq!(issuer.asked(), 3);
    let no_id = Forge::ed().good();
    world.clock.advance_ms(30_000);
    assert!(world.auth.verify(&no_id).await.is_err());
    assert_eq!(issuer.asked(), 3, "a token without an id asks for nothing");
}

#[tokio::test]
async fn the_last_good_set_outlives_an_issuer_that_fails() {
    let forge = Forge::ec();
    let issuer = Issuer::start(keys(&[forge.jwk("k1")])).await;
    let world = issuer.world().await;
    for (n, (failure, answer)) in failures(&forge.jwk("k2")).into_iter().enumerate() {
        issuer.say(answer);
        assert!(world.auth.verify(&forge.good_by("k2")).await.is_err());
        assert_eq!(issuer.asked(), n + 2, "{failure}: it was asked");
        assert!(
            world.auth.verify(&forge.good_by("k1")).await.is_ok(),
            "U-2: {failure}"
        );
        world.clock.advance_ms(30_000);
    }
    issuer.say(keys(&[forge.jwk("k2")]));
    assert!(world.auth.verify(&forge.good_by("k2")).await.is_ok());
}

#[tokio::test]
async fn keys_are_refreshed_in_the_background() {
    let (old, new) = (Forge::ec(), Forge::ec());
    let issuer = Issuer::start(keys(&[old.jwk("k1")])).await;
    let every = Duration::from_millis(5);
    let world = World::start_with(&issuer.settings(), &no_limits(), every).await;
    let world = world.unwrap();
    issuer.say(keys(&[new.jwk("k1")]));
    let mut asked = issuer.asked.clone();
    let before = issuer.asked();
    // The request after the next one was sent when the next one's answer had been taken.
    asked.wait_for(|count| *count > before + 2).await.unwrap();
    assert!(world.auth.verify(&new.good_by("k1")).await.is_ok());
    assert!(world.auth.verify(&old.good_by("k1")).await.is_err());
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_fetch() {
    let (old, new) = (Forge::ec(), Forge::ec());
    let issuer = Issuer::start(keys(&[old.jwk("k1")])).await;
    let world = issuer.world().await;
    issuer.say(keys(&[new.jwk("k2")]));
    let token = new.good_by("k2");
    {
        let verify = world.auth.verify(&token);
        tokio::pin!(verify);
        tokio::select! {
            biased;
            _ = verify.as_mut() => panic!("nothing was fetched yet"),
            () = std::future::ready(()) => {}
        }
    }
    let mut asked = issuer.asked.clone();
    asked.wait_for(|count| *count == 2).await.unwrap();
    // The answer was sent; whoever comes next waits for it to be taken, or finds it taken.
    while world.auth.verify(&token).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.asked(), 2);
}
