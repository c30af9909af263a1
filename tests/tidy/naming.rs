//! Which files may name the crates that reach outside.

use super::tree::{Finding, Text};

/// Crates, and the modules that may name them.
const ADAPTERS: [(&str, &[&str]); 4] = [
    ("redis", &["cluster/src/redis"]),
    ("scylla", &["cluster/src/scylla"]),
    ("redb", &["cluster/src/embedded"]),
    ("actix_web_actors", &["src/websocket", "src/transport"]),
];

/// A driver is named only in the module of its adapter, and in tests and benches.
pub(crate) fn driver_outside_adapter(file: &Text) -> Vec<Finding> {
    if file.is_test() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (name, modules) in ADAPTERS {
        if modules.iter().any(|module| belongs(&file.path, module)) {
            continue;
        }
        let what = format!("only {} may name `{name}::`", modules.join(" and "));
        findings.extend(
            places(file, name)
                .into_iter()
                .map(|line| file.finding(line, &what)),
        );
    }
    findings
}

/// Tells whether `path` is the file of `module`, or lies in its folder.
fn belongs(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Returns the lines on which a path begins with the crate `name`.
fn places(file: &Text, name: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut lines = file.code();
    while let Some((number, line)) = lines.next() {
        let Some(first) = after_use(line) else {
            if line
                .match_indices(name)
                .any(|(at, _)| begins_path(line, at, name))
            {
                found.push(number);
            }
            continue;
        };
        // A use goes on until its semicolon, and only what stands at its root is a crate.
        let mut tree = first.to_owned();
        while !tree.contains(';') {
            let Some((_, more)) = lines.next() else { break };
            tree.push_str(more);
        }
        if roots(&tree).contains(&name) {
            found.push(number);
        }
    }
    found
}

/// Returns what follows `use` or `extern crate`, with or without a visibility.
fn after_use(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1,
        Some(rest) => rest,
        None => line,
    };
    let line = line.trim_start();
    line.strip_prefix("use ")
        .or(line.strip_prefix("extern crate "))
}

/// Returns the first segments of a use tree.
fn roots(tree: &str) -> Vec<&str> {
    let tree = tree.trim_start().trim_start_matches("::");
    let Some(group) = tree.strip_prefix('{') else {
        return vec![first_segment(tree)];
    };
    let mut depth = 0_usize;
    group
        .split(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(first_segment)
        .collect()
}

fn first_segment(path: &str) -> &str {
    let path = path.trim_start().trim_start_matches("::");
    path.split(|c: char| !is_word(c)).next().unwrap_or(path)
}

/// Tells whether at `at` a path begins with `name`: not a longer word, not a later segment.
fn begins_path(line: &str, at: usize, name: &str) -> bool {
    let (before, after) = (&line[..at], &line[at + name.len()..]);
    let is_later = match before.strip_suffix("::") {
        Some(parent) => parent.ends_with(|c| is_word(c) || c == '>'),
        None => before.ends_with(is_word),
    };
    after.starts_with("::") && !is_later
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        driver_outside_adapter(&Text::sample(path, text))
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_driver_outside_its_adapter_is_found() {
        for text in [
            "use redis::Client;",
            "pub use redis::Client;",
            "pub(crate) use ::redis::{aio, cmd};",
            "use redis;",
            "use redis as r;",
            "extern crate redis;",
            "use {serde::Serialize, redis::{aio, cmd}};",
            "let c = redis::cmd(\"GET\");",
            "fn f(c: &::redis::Client) {}",
            "fn f() -> Vec<redis::Value> {}",
            "use redb::Database;",
            "use scylla::client::session::Session;",
            "use actix_web_actors::ws;",
        ] {
            assert_eq!(lines("src/wiring.rs", text), [1], "{text}");
        }
        assert_eq!(
            lines("cluster/src/redis_like.rs", "\n\nuse redis::Client;"),
            [3]
        );
        assert_eq!(lines("cluster/src/embedded.rs", "use redis::Client;"), [1]);
    }

    #[test]
    fn adapters_tests_and_own_modules_may_name_it() {
        for (path, text) in [
            ("cluster/src/redis.rs", "use redis::Client;"),
            ("cluster/src/redis/bus.rs", "redis::cmd();"),
            ("cluster/src/embedded/write.rs", "use redb::Database;"),
            ("src/websocket/handshake.rs", "use actix_web_actors::ws;"),
            ("src/transport.rs", "use actix_web_actors::ws;"),
            ("tests/cluster/faults.rs", "use redis::Client;"),
            ("cluster/benches/append.rs", "use redb::Database;"),
        ] {
            assert!(lines(path, text).is_empty(), "{path}");
        }
        for text in [
            "mod redis;",
            "use crate::redis::RedisBus;",
            "use parlor_cluster::{\n    embedded::EmbeddedTimeline,\n    redis::RedisBus,\n};",
            "parlor_cluster::redis::connect()",
            "// redis::Client is not named here",
            "let valkey_redis::X = 1;",
            "settings.redis.url",
        ] {
            assert!(lines("src/wiring.rs", text).is_empty(), "{text}");
        }
    }
}
