//! From a URL to a store.

use std::sync::Arc;

use super::error::{StoreError, StoreErrorKind};
use super::memory::MemoryStore;
use super::workflow::WorkflowStore;
use crate::contract::Source;

/// The store that a URL names:
///
/// - `memory:`, in this process and for as long as it runs;
/// - `sqlite://FILE`, such as `sqlite://var/workflows.db` or `sqlite:///var/lib/shop/workflows.db`: a file, which is
///   made if it is not there (feature `sqlite`). `sqlite::memory:` is one that ends with the store, for tests;
/// - `postgres://USER:PASSWORD@HOST:PORT/DATABASE` (feature `postgres`).
///
/// Nothing is asked of a database yet; [`WorkflowStore::prepare`] is the first to do so. A call takes 10 s at most,
/// 5 s of which it waits for a connection. The source is the clock of owners' leases, except in PostgreSQL, which
/// goes by its own. Stores in a database work in real time: not under a clock that a test has paused.
///
/// # Errors
/// If the URL cannot be meant, or its store is not compiled in; the text says what to write or to switch on.
pub fn connect(url: &str, source: Source) -> Result<Arc<dyn WorkflowStore>, StoreError> {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "memory" => Ok(Arc::new(MemoryStore::new(source))),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let rest = url.strip_prefix("sqlite:").unwrap_or_default();
            let file = rest.strip_prefix("//").unwrap_or(rest);
            Ok(Arc::new(super::sqlite::open(file, source)?))
        }
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(missing("sqlite")),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(super::postgres::connect(url)?)),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(missing("postgres")),
        _ => Err(unknown()),
    }
}

/// Not the text itself: without a scheme it may be anything, also a password.
fn unknown() -> StoreError {
    let text = "failed to read the URL of the store: write `memory:`, `sqlite://` and the path of a file, or \
        `postgres://USER:PASSWORD@HOST:PORT/DATABASE`";
    StoreError::new(StoreErrorKind::Invalid, text)
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn missing(feature: &str) -> StoreError {
    let text = format!(
        "failed to open the store: it needs the feature `{feature}` of mmate, which is off; write \
         `mmate = {{ version = \"..\", features = [\"{feature}\"] }}` in Cargo.toml"
    );
    StoreError::new(StoreErrorKind::Invalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let error = connect(url, Source::system()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        error.to_string()
    }

    #[test]
    fn the_scheme_names_the_store() {
        assert_eq!(connect("memory:", Source::system()).unwrap().name(), "memory");
        assert_eq!(connect("memory://", Source::system()).unwrap().name(), "memory");
    }

    #[test]
    fn what_is_no_url_of_a_store_is_not_repeated() {
        for url in ["hunter2", "hunter2:hunter2", "mysql://root:hunter2@localhost/shop", ""] {
            let text = refused(url);
            assert!(text.contains("`memory:`") && !text.contains("hunter2"), "{text}");
        }
    }

    #[cfg(not(feature = "sqlite"))]
    #[test]
    fn a_store_that_is_not_compiled_in_names_its_feature() {
        assert!(refused("sqlite://a.db").contains("feature `sqlite`"));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_url_of_sqlite_names_a_file() {
        for url in ["sqlite:a.db", "sqlite://a.db", "sqlite:///var/a.db", "sqlite::memory:"] {
            assert_eq!(connect(url, Source::system()).unwrap().name(), "sqlite", "{url}");
        }
        for url in ["sqlite:", "sqlite://", "sqlite://a.db?mode=ro"] {
            assert!(refused(url).contains("path of a file"), "{url}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_url_of_postgres_names_a_database() {
        for url in
            ["postgres://shop:hunter2@localhost/shop", "postgresql://localhost?connections=3"]
        {
            let store = connect(url, Source::system()).unwrap();
            assert_eq!(store.name(), "postgres", "{url}");
            assert!(!format!("{store:?}").contains("hunter2"));
        }
        for (url, why) in [
            ("postgres://shop:hunter2@localhost:port/shop", "port"),
            ("postgres://shop:hunter2@localhost/shop?sslmod=require", "`sslmod`"),
            ("postgres://shop:hunter2@localhost/shop?connections=0", "1 to 100"),
            ("postgres://shop:hunter2@localhost/shop?sslmode=hunter2", "sslmode"),
        ] {
            let text = refused(url);
            assert!(text.contains(why) && !text.contains("hunter2"), "{text}");
        }
    }
}
