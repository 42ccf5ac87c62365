//! A folder of its own for each server, removed with it.

use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, io, process};

/// A private folder under the system's folder for temporary files, removed on drop.
#[derive(Debug)]
pub(crate) struct ScratchFolder {
    path: PathBuf,
}

impl ScratchFolder {
    /// Creates a new folder that only the current user may enter.
    pub(crate) fn create(purpose: &str) -> io::Result<Self> {
        let name = format!("mmate-{purpose}-{}-{:016x}", process::id(), random_u64());
        let path = env::temp_dir().join(name);
        // Not recursive, so that a folder which exists already is an error and never shared.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // The guard usually was here first. A folder that stays behind is litter, not a failure.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A number nobody else has; the standard library seeds its hash maps with one.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}
