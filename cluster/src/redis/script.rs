//! Lua scripts: called by their hash, sent whole only when the server does not know them.

use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, ToRedisArgs, Value, cmd};

use super::commands::Commands;

/// A script of one key.
pub(super) struct Lua {
    source: &'static str,
    hash: String,
}

impl Lua {
    pub(super) fn new(source: &'static str) -> Self {
        let hash = Script::new(source).get_hash().to_owned();
        Self { source, hash }
    }

    /// Runs the script.
    ///
    /// # Errors
    /// It failed; it may have taken effect all the same.
    pub(super) async fn run(
        &self,
        commands: &Commands,
        key: &str,
        args: &[impl ToRedisArgs],
    ) -> Result<Value, RedisError> {
        let call = |word: &str, script: &str| -> Cmd {
            let mut call = cmd(word);
            call.arg(script).arg(1).arg(key);
            for arg in args {
                call.arg(arg);
            }
            call
        };
        match commands.ask(key, &call("EVALSHA", &self.hash)).await {
            // A restarted server, or the replica that took over, knows no script; this one teaches it.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                commands.ask(key, &call("EVAL", self.source)).await
            }
            answer => answer,
        }
    }
}
