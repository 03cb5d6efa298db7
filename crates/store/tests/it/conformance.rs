//! Both stores pass the one suite.

use hubbub_chat::ports::Store;
use hubbub_store::conformance::{Fixture, all};
use hubbub_store::{MemoryStore, SqliteOptions, SqliteStore};
use tempfile::TempDir;

struct Memory(MemoryStore);

impl Fixture for Memory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn reopen(&mut self) {
        self.0 = self.0.clone();
    }
}

struct Sqlite {
    store: Option<SqliteStore>,
    dir: TempDir,
}

impl Sqlite {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut fixture = Self { store: None, dir };
        fixture.reopen();
        fixture
    }
}

impl Fixture for Sqlite {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        let opened = SqliteStore::open(self.dir.path(), SqliteOptions::default());
        self.store = Some(opened.unwrap());
    }
}

#[test]
fn memory() {
    all(&|| Box::new(Memory(MemoryStore::new())));
}

#[test]
fn sqlite() {
    all(&|| Box::new(Sqlite::new()));
}
