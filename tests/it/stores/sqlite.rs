//! SQLite: a file of its own for each test.

use super::{by_url, ensure_every_behaviour};

/// A folder that is removed with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(mmate_tests::unique("mmate-sqlite"));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.0.join("workflows.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_shows_every_behaviour() {
    let folder = Folder::new();
    ensure_every_behaviour(by_url(folder.url())).await;
}
