//! Loading settings: what wins, what is taken for what, and that every refusal names its key and its origin.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::PathBuf};

use parlor_config::{
    Algorithm, AuthMode, ConfigError, LogFormat, Origin, Settings, StorageBackend,
};
use tempfile::TempDir;

fn load(file: &str, env: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("parlor.toml");
    fs::write(&path, file).unwrap();
    Settings::load(Some(&path), pairs(env))
}

fn from_env(env: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    Settings::load(None, pairs(env))
}

fn pairs(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    env.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect::<Vec<_>>()
        .into_iter()
}

fn refused(result: Result<Settings, ConfigError>) -> (String, String, Origin) {
    match result.unwrap_err() {
        ConfigError::Refused { refusal, origin } => (refusal.key, refusal.reason, origin),
        other => panic!("not a refusal: {other}"),
    }
}

#[test]
fn nothing_at_all_is_the_default() {
    let settings = load(
        "",
        &[
            ("PATH", "/bin"),
            ("PARLOR_LOG", "x"),
            ("parlor__node__id", "x"),
        ],
    )
    .unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(from_env(&[]).unwrap(), settings);
}

#[test]
fn defaults_are_those_of_the_protocol() {
    let s = Settings::default();
    assert_eq!(s.server.listen.as_str(), "127.0.0.1:8080");
    assert_eq!(
        (
            s.server.internal_listen,
            s.server.operations_listen,
            s.server.workers
        ),
        (None, None, None)
    );
    assert_eq!((s.node.id, s.node.drain_ms), (None, 10_000));
    assert_eq!(
        (s.storage.backend, s.storage.path),
        (StorageBackend::Embedded, PathBuf::from("./data"))
    );
    assert_eq!(
        (
            s.storage.cql.keyspace.as_str(),
            s.storage.cql.replication,
            s.storage.cql.migrate
        ),
        ("parlor", 1, true)
    );
    assert_eq!(s.cluster.redis.prefix, "parlor");
    assert_eq!(
        (s.auth.mode, s.auth.access_ttl_ms, s.auth.refresh_ttl_ms),
        (AuthMode::Builtin, 3_600_000, 2_592_000_000)
    );
    assert_eq!(s.auth.jwt.user_claim, "sub");
    let l = s.limits;
    assert_eq!(
        (l.frame_bytes, l.body_bytes, l.sends_per_s, l.burst),
        (65_536, 32_768, 20, 40)
    );
    assert_eq!((l.logins_per_minute, l.registers_per_minute), (30, 30));
    assert_eq!((l.connections_per_user, l.connections_per_ip), (32, 0));
    assert_eq!(
        (
            s.presence.offline_after_ms,
            s.push.after_ms,
            s.push.allow_private
        ),
        (10_000, 5_000, false)
    );
    assert_eq!(s.dedupe.window_ms, 604_800_000);
    assert_eq!(
        (s.log.format, s.log.level.as_str()),
        (LogFormat::Text, "info")
    );
}

#[test]
fn the_environment_wins_over_the_file_key_by_key() {
    let file = "[limits]\nburst = 7\nsends_per_s = 3\n[storage.cql]\nkeyspace = \"chat\"\n";
    let s = load(
        file,
        &[
            ("PARLOR__LIMITS__BURST", "9"),
            ("PARLOR__STORAGE__CQL__REPLICATION", "3"),
        ],
    )
    .unwrap();
    assert_eq!((s.limits.burst, s.limits.sends_per_s), (9, 3));
    assert_eq!(
        (s.storage.cql.keyspace.as_str(), s.storage.cql.replication),
        ("chat", 3)
    );
}

#[test]
fn the_environment_takes_each_type() {
    let s = from_env(&[
        ("PARLOR__SERVER__LISTEN", "0.0.0.0:0"),
        ("PARLOR__SERVER__WORKERS", "2"),
        ("PARLOR__PUSH__ALLOW_PRIVATE", "true"),
        ("PARLOR__STORAGE__CQL__NODES", r#"["a:9042", "b"]"#),
        ("PARLOR__STORAGE__BACKEND", "cql"),
        ("PARLOR__AUTH__MODE", "\"jwt\""),
        ("PARLOR__AUTH__JWT__KEY_FILE", "/run/key.pem"),
        ("PARLOR__AUTH__JWT__ALGORITHMS", r#"["RS256", 'EdDSA']"#),
        ("PARLOR__LOG__FORMAT", "json"),
        ("PARLOR__LOG__LEVEL", "info,parlor=debug"),
    ])
    .unwrap();
    assert_eq!(
        (s.server.listen.port(), s.server.workers.unwrap().get()),
        (0, 2)
    );
    assert!(s.push.allow_private);
    assert_eq!(s.storage.cql.nodes, ["a:9042", "b"]);
    assert_eq!(s.auth.jwt.algorithms, [Algorithm::RS256, Algorithm::EdDSA]);
    assert_eq!(s.auth.jwt.key_file.unwrap(), PathBuf::from("/run/key.pem"));
    assert_eq!(
        (s.log.format, s.log.level.as_str()),
        (LogFormat::Json, "info,parlor=debug")
    );
}

#[test]
fn a_text_may_look_like_something_else() {
    for text in [
        "7",
        "1_000",
        "true",
        "1.5",
        "2026-01-01",
        "inf",
        "[a]",
        "{ a = 1 }",
        "[\"a\"]",
        "",
        " x ",
        "a\nb = 1",
    ] {
        let s = from_env(&[("PARLOR__AUTH__JWT__USER_CLAIM", text)]);
        match text {
            "" => assert_eq!(refused(s).0, "auth.jwt.user_claim"),
            _ => assert_eq!(s.unwrap().auth.jwt.user_claim, text),
        }
    }
    let s = from_env(&[
        ("PARLOR__NODE__ID", "123"),
        ("PARLOR__AUTH__JWT__ISSUER", "true"),
    ])
    .unwrap();
    assert_eq!(
        (
            s.node.id.unwrap().to_string().as_str(),
            s.auth.jwt.issuer.as_deref()
        ),
        ("123", Some("true"))
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    for (file, key, at) in [
        ("sever = 1\n", "sever", 1),
        ("[sever]\n", "sever", 1),
        ("\n[server]\nlisen = \"a:1\"\n", "server.lisen", 3),
        ("[storage.cql]\nnode = []\n", "storage.cql.node", 2),
        ("auth.jwt.key = \"x\"\n", "auth.jwt.key", 1),
    ] {
        let (named, reason, origin) = refused(load(file, &[]));
        assert_eq!(named, key);
        assert!(reason.starts_with("unknown setting, expected "), "{reason}");
        assert!(
            matches!(&origin, Origin::File { line: Some(line), .. } if *line == at),
            "{file}: {origin:?}"
        );
    }
}

#[test]
fn an_unknown_variable_is_named() {
    for (name, key) in [
        ("PARLOR__SERVER__LISEN", "server.lisen"),
        ("PARLOR__SEVER__LISTEN", "sever.listen"),
        ("PARLOR__STORAGE__CQL__NODE", "storage.cql.node"),
        ("PARLOR__LISTEN", "listen"),
        ("PARLOR__", ""),
        ("PARLOR__SERVER", "server"),
        ("PARLOR__NODE__ID__X", "node.id.x"),
    ] {
        for value in ["1", "x", "{ listen = \"a:1\" }"] {
            let error = from_env(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(
                refused(Err(error)),
                (
                    key.to_owned(),
                    refused(from_env(&[(name, value)])).1,
                    Origin::Environment(name.to_owned())
                )
            );
        }
    }
}

#[test]
fn a_bad_value_is_named_wherever_it_comes_from() {
    for (section, name, value) in [
        ("server", "listen", "\"8080\""),
        ("server", "listen", "8080"),
        ("server", "workers", "0"),
        ("node", "id", "\"a b\""),
        ("storage", "backend", "\"postgres\""),
        ("storage.cql", "replication", "-1"),
        ("storage.cql", "nodes", "\"a:9042\""),
        ("storage.cql", "migrate", "1"),
        ("cluster.redis", "url", "\"http://a\""),
        ("auth.jwt", "algorithms", "[\"none\"]"),
        ("auth", "access_ttl_ms", "1.5"),
        ("limits", "burst", "4294967296"),
        ("limits", "burst", "\"many\""),
        ("push", "allow_private", "\"maybe\""),
        ("log", "format", "\"xml\""),
    ] {
        let key = format!("{section}.{name}");
        let (named, _, origin) = refused(load(&format!("[{section}]\n{name} = {value}\n"), &[]));
        assert!(named.starts_with(&key), "{named}");
        assert!(
            matches!(origin, Origin::File { line: Some(2), .. }),
            "{key}: {origin:?}"
        );

        let variable = format!("PARLOR__{}", key.to_uppercase().replace('.', "__"));
        let (named, _, origin) = refused(from_env(&[(&variable, value)]));
        assert_eq!((named, origin), (key, Origin::Environment(variable)));
    }
}

#[test]
fn the_reason_speaks_of_the_value_as_it_was_meant() {
    let reason = |name: &str, value: &str| refused(from_env(&[(name, value)])).1;
    assert!(
        reason("PARLOR__LIMITS__BURST", "-5").contains("-5"),
        "{}",
        reason("PARLOR__LIMITS__BURST", "-5")
    );
    assert!(reason("PARLOR__LIMITS__BURST", "abc").contains("abc"));
    assert!(reason("PARLOR__AUTH__MODE", "true").contains("`builtin` or `jwt`"));
}

#[test]
fn a_password_of_redis_is_never_repeated() {
    for value in ["http://:hunter2@a", "redis://:hunter2@a:6379"] {
        let shown = match from_env(&[("PARLOR__CLUSTER__REDIS__URL", value)]) {
            Ok(settings) => format!("{settings:?} {}", settings.effective()),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let error =
        Settings::load(Some("/no/such/parlor.toml".as_ref()), std::iter::empty()).unwrap_err();
    assert!(
        error.to_string().contains("/no/such/parlor.toml"),
        "{error}"
    );
    let error = load("[server]\nlisten = \n", &[]).unwrap_err();
    assert!(
        error.to_string().contains("parlor.toml") && error.to_string().contains("line 2"),
        "{error}"
    );
    let error = load("[limits]\nburst = 1\nburst = 2\n", &[]).unwrap_err();
    assert!(
        error.to_string().contains("line 3: duplicate key `burst`"),
        "{error}"
    );
}

#[test]
fn a_check_between_settings_names_the_origin() {
    let (key, _, origin) = refused(load("[limits]\nbody_bytes = 0\n", &[]));
    assert_eq!(key, "limits.body_bytes");
    assert!(
        matches!(origin, Origin::File { line: None, .. }),
        "{origin:?}"
    );
    let (key, _, origin) = refused(load(
        "[limits]\nbody_bytes = 5\n",
        &[("PARLOR__LIMITS__BODY_BYTES", "65537")],
    ));
    assert_eq!(
        (key.as_str(), origin),
        (
            "limits.body_bytes",
            Origin::Environment("PARLOR__LIMITS__BODY_BYTES".into())
        )
    );
    let (key, _, origin) = refused(from_env(&[("PARLOR__STORAGE__BACKEND", "cql")]));
    assert_eq!(
        (key.as_str(), origin),
        ("storage.cql.nodes", Origin::Default)
    );
}

#[test]
fn what_is_in_effect_loads_again() {
    let settings = from_env(&[
        ("PARLOR__SERVER__WORKERS", "2"),
        ("PARLOR__STORAGE__CQL__NODES", r#"["a"]"#),
        ("PARLOR__AUTH__ADMIN_KEY_FILE", "/run/k"),
    ])
    .unwrap();
    assert_eq!(load(&settings.effective(), &[]).unwrap(), settings);
}
