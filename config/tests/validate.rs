//! What settings demand of each other: each refusal names its key, and its neighbour is taken.
#![allow(clippy::unwrap_used, reason = "tests")]

use parlor_config::Settings;

fn check(text: &str) -> Result<(), String> {
    let settings: Settings = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    settings.validate().map_err(|refusal| refusal.key)
}

#[track_caller]
fn refuses(key: &str, text: &str) {
    assert_eq!(check(text), Err(key.to_owned()), "{text}");
}

#[track_caller]
fn takes(text: &str) {
    assert_eq!(check(text), Ok(()), "{text}");
}

#[test]
fn listeners() {
    takes("server.listen = \"localhost:0\"\nserver.operations_listen = \"localhost:0\"");
    refuses(
        "cluster.secret_file",
        "server.internal_listen = \"0.0.0.0:8081\"",
    );
    takes("server.internal_listen = \"0.0.0.0:8081\"\ncluster.secret_file = \"s\"");
    refuses(
        "server.internal_listen",
        "server.internal_address = \"node-1:8081\"",
    );
    refuses(
        "server.internal_listen",
        "server.internal_listen = \"127.0.0.1:8080\"\ncluster.secret_file = \"s\"",
    );
    refuses(
        "server.operations_listen",
        "server.operations_listen = \"127.0.0.1:8080\"",
    );
    refuses("server.tls_key_file", "server.tls_cert_file = \"c\"");
    refuses("server.tls_cert_file", "server.tls_key_file = \"k\"");
    takes("server.tls_cert_file = \"c\"\nserver.tls_key_file = \"k\"");
    refuses(
        "server.allowed_origins",
        "server.allowed_origins = [\"https://a.org\", \"null\"]",
    );
    refuses(
        "server.allowed_origins",
        "server.allowed_origins = [\"https://a.org/\"]",
    );
    takes("server.allowed_origins = [\"https://a.org\", \"http://localhost:3000\"]");
}

#[test]
fn storage() {
    refuses("storage.path", "storage.path = \"\"");
    refuses("storage.cache_bytes", "storage.cache_bytes = 1048575");
    refuses("storage.cql.nodes", "storage.backend = \"cql\"");
    takes("storage.backend = \"cql\"\nstorage.cql.nodes = [\"a:9042\", \"b\", \"[::1]:9042\"]");
    refuses("storage.cql.nodes", "storage.cql.nodes = [\"a\", \"\"]");
    refuses(
        "storage.cql.nodes",
        "storage.cql.nodes = [\"http://a:9042\"]",
    );
    refuses("storage.cql.keyspace", "storage.cql.keyspace = \"my-chat\"");
    refuses("storage.cql.keyspace", "storage.cql.keyspace = \"\"");
    refuses("storage.cql.replication", "storage.cql.replication = 0");
    refuses(
        "storage.cql.request_timeout_ms",
        "storage.cql.request_timeout_ms = 0",
    );
    refuses("storage.cql.datacenter", "storage.cql.serial = \"local\"");
    takes("storage.cql.serial = \"local\"\nstorage.cql.datacenter = \"dc1\"");
    refuses("storage.cql.password_file", "storage.cql.user = \"a\"");
    refuses("storage.cql.user", "storage.cql.password_file = \"a\"");
    takes("storage.cql.user = \"a\"\nstorage.cql.password_file = \"b\"");
}

#[test]
fn cluster() {
    refuses("cluster.redis.url", "cluster.backend = \"redis\"");
    let store = "storage.backend = \"cql\"\nstorage.cql.nodes = [\"a:1\"]";
    let secret = "cluster.secret_file = \"s\"";
    let redis = "cluster.backend = \"redis\"\ncluster.redis.url = \"redis://a\"";
    refuses("storage.backend", &format!("{redis}\n{secret}"));
    refuses("cluster.secret_file", &format!("{redis}\n{store}"));
    takes(&format!("{redis}\n{store}\n{secret}"));
    let everywhere = "server.internal_listen = \"[::]:8081\"";
    refuses(
        "server.internal_address",
        &format!("{redis}\n{store}\n{secret}\n{everywhere}"),
    );
    takes(&format!(
        "{redis}\n{store}\n{secret}\n{everywhere}\nserver.internal_address = \"node-1:8081\""
    ));
    takes(&format!(
        "cluster.backend = \"redis\"\ncluster.redis.nodes = [\"a:1\"]\ncluster.redis.mode = \"cluster\"\n{store}\n{secret}"
    ));
    refuses("cluster.redis.mode", "cluster.redis.nodes = [\"a:1\"]");
    refuses("cluster.redis.nodes", "cluster.redis.mode = \"cluster\"");
    refuses(
        "cluster.redis.nodes",
        "cluster.redis.url = \"redis://a\"\ncluster.redis.nodes = [\"a:1\"]",
    );
    refuses(
        "cluster.redis.master",
        "cluster.redis.nodes = [\"a:1\"]\ncluster.redis.mode = \"sentinel\"",
    );
    refuses("cluster.redis.master", "cluster.redis.master = \"m\"");
    takes(
        "cluster.redis.nodes = [\"a:1\"]\ncluster.redis.mode = \"sentinel\"\ncluster.redis.master = \"m\"",
    );
    refuses("cluster.redis.ca_file", "cluster.redis.ca_file = \"\"");
    refuses("cluster.redis.prefix", "cluster.redis.prefix = \"\"");
    refuses("cluster.redis.prefix", "cluster.redis.prefix = \"{a}\"");
    refuses("cluster.secret_file", "cluster.secret_file = \"\"");
}

#[test]
fn tokens() {
    let jwt = "auth.mode = \"jwt\"\nauth.jwt.";
    refuses("auth.jwt.key_file", "auth.mode = \"jwt\"");
    refuses("auth.jwt.algorithms", &format!("{jwt}key_file = \"k\""));
    takes(&format!(
        "{jwt}key_file = \"k\"\nauth.jwt.algorithms = [\"HS256\"]"
    ));
    takes(&format!(
        "{jwt}jwks_file = \"k\"\nauth.jwt.algorithms = [\"RS256\", \"ES256\", \"EdDSA\"]"
    ));
    takes(&format!(
        "{jwt}jwks_url = \"https://a/k\"\nauth.jwt.algorithms = [\"ES256\"]"
    ));
    refuses(
        "auth.jwt.jwks_file",
        &format!("{jwt}key_file = \"k\"\nauth.jwt.jwks_file = \"j\""),
    );
    refuses(
        "auth.jwt.jwks_url",
        &format!("{jwt}key_file = \"k\"\nauth.jwt.jwks_url = \"https://a/k\""),
    );
    refuses(
        "auth.jwt.jwks_url",
        &format!("{jwt}jwks_url = \"file:///k\""),
    );
    refuses(
        "auth.jwt.algorithms",
        "auth.jwt.algorithms = [\"HS256\", \"RS256\"]",
    );
    refuses("auth.jwt.user_claim", "auth.jwt.user_claim = \"\"");
    refuses("auth.jwt.audience", "auth.jwt.audience = \"\"");
    refuses("auth.admin_key_file", "auth.admin_key_file = \"\"");
}

#[test]
fn durations() {
    refuses("auth.access_ttl_ms", "auth.access_ttl_ms = 0");
    refuses("auth.refresh_ttl_ms", "auth.refresh_ttl_ms = 0");
    refuses("dedupe.window_ms", "dedupe.window_ms = 0");
    for key in [
        "auth.access_ttl_ms",
        "node.drain_ms",
        "presence.offline_after_ms",
        "push.after_ms",
        "dedupe.window_ms",
    ] {
        refuses(key, &format!("{key} = {}", i64::MAX));
        takes(&format!("{key} = 1"));
    }
    for key in [
        "node.drain_ms",
        "presence.offline_after_ms",
        "push.after_ms",
    ] {
        takes(&format!("{key} = 0"));
    }
}

#[test]
fn limits() {
    refuses("limits.frame_bytes", "limits.frame_bytes = 1023");
    refuses("limits.frame_bytes", "limits.frame_bytes = 1048577");
    refuses("limits.body_bytes", "limits.frame_bytes = 1024");
    refuses("limits.body_bytes", "limits.body_bytes = 0");
    takes("limits.frame_bytes = 1024\nlimits.body_bytes = 1024");
    takes("limits.frame_bytes = 1048576");
    let off: Settings = toml::from_str("limits.sends_per_s = 0").unwrap();
    assert_eq!((off.validate(), off.limits.send_rate()), (Ok(()), None));
    let rate = Settings::default().limits.send_rate().unwrap();
    assert_eq!((rate.per_s.get(), rate.burst.get()), (20, 40));
}

#[test]
fn log() {
    refuses("log.level", "log.level = \"\"");
}
