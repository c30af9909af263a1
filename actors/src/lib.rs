//! Placeholder.
pub mod bucket;
