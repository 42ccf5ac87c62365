//! From a URL to a store.

use std::sync::Arc;

use super::error::{StoreError, StoreErrorKind};
use super::memory::MemoryStore;
use super::workflow::WorkflowStore;
use crate::contract::Source;

/// The store that a URL names.
///
/// # Errors
/// If it names none.
pub async fn connect(url: &str, source: Source) -> Result<Arc<dyn WorkflowStore>, StoreError> {
    if url.starts_with("memory:") {
        return Ok(Arc::new(MemoryStore::new(source)));
    }
    Err(StoreError::new(StoreErrorKind::Invalid, "its URL begins with none of the known schemes"))
}
