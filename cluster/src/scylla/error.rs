//! What can go wrong with the CQL store, in the words of the ports.
//!
//! Owns the question whether a conditional write that failed may have taken effect.

use std::path::PathBuf;

use parlor_schema::port::StoreError;
use scylla::{
    errors::{DbError, ExecutionError, RequestAttemptError},
    statement::Consistency,
};

/// Why the CQL store could not be opened; each names the setting.
#[derive(Debug, thiserror::Error)]
pub enum CqlError {
    /// None of the nodes answered in time.
    #[error("storage.cql.nodes: cannot reach {nodes}: {reason}")]
    Unreachable {
        /// The nodes, as configured.
        nodes: String,
        /// What was met.
        reason: String,
    },
    /// The password could not be read.
    #[error("storage.cql.password_file: {}: {source}", .file.display())]
    Password {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cluster has no such datacenter.
    #[error("storage.cql.datacenter: there is no datacenter \"{datacenter}\"; there is {there}")]
    Datacenter {
        /// The datacenter, as configured.
        datacenter: String,
        /// Those there are.
        there: String,
    },
    /// The keyspace cannot be had, or is not what this version can use.
    #[error("storage.cql.keyspace: {keyspace}: {reason}")]
    Keyspace {
        /// The keyspace, as configured.
        keyspace: String,
        /// What is wrong.
        reason: String,
    },
    /// The keyspace is older than this version and may not be changed.
    #[error("storage.cql.migrate is off, and keyspace {keyspace} lacks {missing}")]
    Outdated {
        /// The keyspace, as configured.
        keyspace: String,
        /// What is not there.
        missing: String,
    },
    /// The store's thread could not be started.
    #[error("the store's thread: {0}")]
    Thread(std::io::Error),
}

/// Why a step of a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The request failed.
    Request(Box<ExecutionError>),
    /// The answer is not what its statement asks for, or a row not what was written; names where.
    Shape(String),
}

impl From<ExecutionError> for Fault {
    fn from(error: ExecutionError) -> Self {
        Self::Request(Box::new(error))
    }
}

macro_rules! shape_faults {
    ($($error:ty),*) => { $(impl From<$error> for Fault {
        fn from(error: $error) -> Self {
            Self::Shape(error.to_string())
        }
    })* };
}

shape_faults!(
    scylla::response::query_result::IntoRowsResultError,
    scylla::response::query_result::RowsError,
    scylla::deserialize::DeserializationError
);

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Request(error) => Self::Unavailable(error.to_string()),
            Fault::Shape(text) => Self::Damaged(text),
        }
    }
}

/// Whether a conditional write that failed took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Certainly not.
    None,
    /// Nobody can tell.
    Unknown,
}

impl Fault {
    /// Tells whether the conditional write that met this fault may have taken effect.
    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Request(error) => effect(error),
            // The server did answer something.
            Self::Shape(_) => Effect::Unknown,
        }
    }
}

fn effect(error: &ExecutionError) -> Effect {
    match error {
        // Nothing was sent.
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::LastAttemptError(
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::UnableToAllocStreamId,
        ) => Effect::None,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => {
            effect_of_answer(error)
        }
        _ => Effect::Unknown,
    }
}

fn effect_of_answer(error: &DbError) -> Effect {
    match error {
        // Refused before the first round. `Overloaded` is not among these: it may come after the write was decided.
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::Unauthorized
        | DbError::Unprepared { .. }
        | DbError::RateLimitReached { .. } => Effect::None,
        // With another consistency it is the last round that lacks nodes: the write is decided.
        DbError::Unavailable {
            consistency: Consistency::Serial | Consistency::LocalSerial,
            ..
        } => Effect::None,
        _ => Effect::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use scylla::errors::WriteType;

    use super::*;

    fn answered(error: DbError) -> Effect {
        let attempt = RequestAttemptError::DbError(error, String::new());
        Fault::from(ExecutionError::LastAttemptError(attempt)).effect()
    }

    fn unavailable(consistency: Consistency) -> DbError {
        DbError::Unavailable {
            consistency,
            required: 2,
            alive: 1,
        }
    }

    #[test]
    fn what_was_refused_before_the_first_round_had_no_effect() {
        assert_eq!(answered(DbError::Invalid), Effect::None);
        assert_eq!(answered(unavailable(Consistency::Serial)), Effect::None);
        let unsent = Fault::from(ExecutionError::EmptyPlan);
        assert_eq!(unsent.effect(), Effect::None);
    }

    #[test]
    fn everything_else_is_unknown() {
        for error in [
            unavailable(Consistency::LocalQuorum),
            DbError::Overloaded,
            DbError::ServerError,
            DbError::WriteTimeout {
                consistency: Consistency::Serial,
                received: 1,
                required: 2,
                write_type: WriteType::Cas,
            },
        ] {
            assert_eq!(answered(error.clone()), Effect::Unknown, "{error}");
        }
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert_eq!(Fault::from(timeout).effect(), Effect::Unknown);
        assert_eq!(Fault::Shape("odd".into()).effect(), Effect::Unknown);
    }
}
