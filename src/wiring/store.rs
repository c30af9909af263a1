//! The store that the settings name, as the ports it stands behind.

use std::{fs, sync::Arc};

use parlor_cluster::{CqlStore, EmbeddedStore};
use parlor_config::{Storage, StorageBackend};
use parlor_schema::port::{Directory, Timeline};

use super::StartError;

/// An open store.
#[derive(Clone)]
pub enum Store {
    /// A folder of this process.
    Embedded(Arc<EmbeddedStore>),
    /// ScyllaDB or Cassandra.
    Cql(Arc<CqlStore>),
}

impl Store {
    /// Opens the store that the settings name.
    ///
    /// # Errors
    /// Names the setting that stands in the way (WI-1).
    pub(super) async fn open(storage: &Storage) -> Result<Self, StartError> {
        match storage.backend {
            StorageBackend::Embedded => Ok(Self::Embedded(EmbeddedStore::open_with_cache(
                &storage.path,
                storage.cache_bytes,
            )?)),
            StorageBackend::Cql => {
                // The node's own secret is in it, when no shared one is named.
                fs::create_dir_all(&storage.path).map_err(|source| StartError::Folder {
                    folder: storage.path.clone(),
                    source,
                })?;
                Ok(Self::Cql(CqlStore::open(&storage.cql).await?))
            }
        }
    }

    /// Returns where events are.
    #[must_use]
    pub fn timeline(&self) -> Arc<dyn Timeline> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// Returns where records are.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Directory> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// Makes ready for rooms on the caller's thread.
    pub(super) fn serve_thread(&self) {
        if let Self::Cql(store) = self {
            actix_rt::spawn(store.serve_thread());
        }
    }

    /// Finishes what is under way on threads of the store's own, and lets it go; what comes later is `Unavailable`.
    ///
    /// Blocks for as long as that takes.
    pub fn close(&self) {
        match self {
            Self::Embedded(store) => store.close(),
            Self::Cql(store) => store.close(),
        }
    }
}
