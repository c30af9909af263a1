//! The operators' commands on a running server: the same things, done over its admin API.
//!
//! A server that runs holds its embedded store, and is the one to close sockets; so where the settings have an admin key and something
//! listens at their address, it is asked, and only else the store is opened.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use parlor_config::{HostPort, Settings};
use reqwest::Method;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// How long a server may take to accept, and to answer.
const ACCEPT_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A server of the same settings that runs.
pub(super) struct RunningServer {
    client: reqwest::Client,
    address: String,
    key: String,
}

impl RunningServer {
    /// Finds it; none without an admin key, where nothing listens, and where the listener speaks TLS.
    ///
    /// # Errors
    /// The key cannot be read.
    pub(super) async fn find(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(file) = &settings.auth.admin_key_file else {
            return Ok(None);
        };
        let server = &settings.server;
        let listen = match &server.operations_listen {
            Some(operations) => operations,
            None if server.tls_cert_file.is_some() => return Ok(None),
            None => &server.listen,
        };
        let address = reached(listen);
        let connected = timeout(ACCEPT_WITHIN, TcpStream::connect(&address)).await;
        if !matches!(connected, Ok(Ok(_))) {
            return Ok(None);
        }
        let key = std::fs::read_to_string(file).context("auth.admin_key_file")?;
        Ok(Some(Self {
            client: reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?,
            address,
            key: key.trim_end().to_owned(),
        }))
    }

    /// Asks a route of the admin API.
    ///
    /// # Errors
    /// What the server said, in its words.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("http://{}/admin/v1{path}", self.address);
        let mut request = self.client.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await;
        let answer = answer.with_context(|| format!("the server at {}", self.address))?;
        let status = answer.status();
        let text = answer.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let [code, detail] = ["code", "detail"].map(|name| body[name].as_str().unwrap_or("?"));
        bail!(
            "the server at {} says {status}: {code}: {detail}",
            self.address
        )
    }

    /// Reads the ids of all accounts, with whether each is closed.
    ///
    /// # Errors
    /// What the server said.
    pub(super) async fn users(&self) -> anyhow::Result<Vec<(String, bool)>> {
        let mut users = Vec::new();
        let mut path = "/users?limit=1000".to_owned();
        loop {
            let page = self.ask(Method::GET, &path, None).await?;
            for user in page["users"].as_array().into_iter().flatten() {
                let id = user["user_id"].as_str();
                let id = id.ok_or_else(|| anyhow!("the server answers with no user id"))?;
                users.push((id.to_owned(), user["disabled_at"].is_string()));
            }
            match page["next"].as_str() {
                Some(next) => path = format!("/users?limit=1000&after={next}"),
                None => return Ok(users),
            }
        }
    }
}

/// Returns where a listener is reached from this machine.
fn reached(listen: &HostPort) -> String {
    match listen.host() {
        "0.0.0.0" => format!("127.0.0.1:{}", listen.port()),
        "::" => format!("[::1]:{}", listen.port()),
        _ => listen.to_string(),
    }
}
