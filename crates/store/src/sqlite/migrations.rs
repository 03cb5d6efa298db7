//! The schema's versions, and the way from an older one to the newest.
//!
//! Invariant: a database is at one version or at the next, never between: all that an upgrade does
//! is one transaction. A migration that was released is never edited; the next one mends it.

use hubbub_chat::ports::{Result, StoreError};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use uuid::Uuid;

use super::errors::failed;
use super::schema;

/// A version, and the SQL that leads to it from the one before.
pub(super) type Migration = (u32, &'static str);

/// All of them, by one more each.
pub(super) const MIGRATIONS: &[Migration] = &[
    (1, schema::VERSION_1),
    (2, schema::VERSION_2),
    (3, schema::VERSION_3),
    (4, schema::VERSION_4),
    (5, schema::VERSION_5),
    (6, schema::VERSION_6),
    (7, schema::VERSION_7),
    (8, schema::VERSION_8),
    (9, schema::VERSION_9),
];

/// Brings the database to the last version of `migrations`.
///
/// # Errors
/// [`StoreError::NewerSchema`] for a database of a later version, [`StoreError::Corrupt`] for one of
/// another program; neither is changed.
pub(super) fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<()> {
    let known = migrations.last().map_or(0, |(version, _)| *version);
    let found = version(connection)?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for (version, sql) in migrations.iter().filter(|(version, _)| *version > found) {
        match found {
            0 => tracing::info!(version, "making a store"),
            _ => tracing::info!(version, "bringing the store to a newer schema"),
        }
        transaction.execute_batch(sql).map_err(failed)?;
    }
    transaction
        .execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?1)", params![known])
        .map_err(failed)?;
    if found == 0 {
        let epoch = Uuid::new_v4().to_string();
        transaction
            .execute("INSERT INTO meta VALUES ('epoch', ?1), ('rev', 0)", params![epoch])
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// The version of the database; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<u32> {
    if !has_table(connection, "meta")? {
        let tables: u32 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        return match tables {
            0 => Ok(0),
            _ => Err(StoreError::Corrupt("it is the database of another program".into())),
        };
    }
    let version = connection
        .query_row("SELECT value FROM meta WHERE key = 'schema_version'", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    version.ok_or_else(|| StoreError::Corrupt("it does not say its schema version".into()))
}

fn has_table(connection: &Connection, name: &str) -> Result<bool> {
    connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
            params![name],
            |row| row.get(0),
        )
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: &str = "ALTER TABLE user ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'";
    const ONE: &[Migration] = &[(1, schema::VERSION_1)];
    const TWO: &[Migration] = &[(1, schema::VERSION_1), (2, SECOND)];
    const BROKEN: &[Migration] =
        &[(1, schema::VERSION_1), (2, SECOND), (3, "ALTER TABLE nothing ADD COLUMN x")];

    fn at_version_1() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, ONE).unwrap();
        connection.execute("INSERT INTO user VALUES (1, 'alice', NULL, 0)", []).unwrap();
        connection
    }

    fn text(connection: &Connection, sql: &str) -> String {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn versions_count_up_from_1_without_a_hole() {
        let versions = MIGRATIONS.iter().map(|(version, _)| *version);
        assert!(versions.eq(1..=u32::try_from(MIGRATIONS.len()).unwrap()));
    }

    #[test]
    fn an_empty_database_gets_the_newest_version_and_an_epoch() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        assert_eq!(Some(version(&connection).unwrap()), MIGRATIONS.last().map(|newest| newest.0));
        let epoch = text(&connection, "SELECT value FROM meta WHERE key = 'epoch'");
        assert!(Uuid::parse_str(&epoch).is_ok());
    }

    #[test]
    fn an_older_version_is_upgraded_with_its_data() {
        let mut connection = at_version_1();
        let epoch = text(&connection, "SELECT value FROM meta WHERE key = 'epoch'");
        migrate(&mut connection, TWO).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
        assert_eq!(text(&connection, "SELECT id || ' ' || colour FROM user"), "alice grey");
        assert_eq!(text(&connection, "SELECT value FROM meta WHERE key = 'epoch'"), epoch);
        migrate(&mut connection, TWO).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
    }

    #[test]
    fn entries_of_version_1_are_chained() {
        let mut connection = at_version_1();
        connection
            .execute_batch(
                "INSERT INTO conversation VALUES
                     (1, 'group:a', 1, 3, 0, 9, NULL, 0, 0, 0),
                     (2, 'group:b', 1, 1, 0, 9, NULL, 0, 0, 0),
                     (3, 'group:c', 1, 0, 0, 9, NULL, 0, 0, 0);
                 INSERT INTO entry (rev, conversation, seq, sender, client_id, at, kind, digest, content)
                 VALUES (4, 1, 1, 1, 'x', 0, 'text', 0, '1'), (5, 2, 1, 1, 'y', 0, 'text', 0, '1'),
                     (7, 1, 2, 1, 'z', 0, 'text', 0, '1'), (8, 1, 3, 1, 'w', 0, 'text', 0, '1');",
            )
            .unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let chain = "SELECT group_concat(rev || '<' || coalesce(previous, '-'), ' ') FROM entry";
        assert_eq!(text(&connection, chain), "4<- 5<- 7<4 8<7");
        let tails = "SELECT group_concat(coalesce(tail, '-'), ' ') FROM conversation";
        assert_eq!(text(&connection, tails), "8 5 -");
    }

    #[test]
    fn a_failing_upgrade_changes_nothing() {
        let mut connection = at_version_1();
        assert!(migrate(&mut connection, BROKEN).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(connection.prepare("SELECT colour FROM user").is_err());
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut connection = at_version_1();
        migrate(&mut connection, TWO).unwrap();
        let refused = migrate(&mut connection, ONE).unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { found: 2, known: 1 }));
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        for sql in ["CREATE TABLE recipes (name)", "CREATE TABLE meta (key PRIMARY KEY, value)"] {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(sql).unwrap();
            let refused = migrate(&mut connection, MIGRATIONS).unwrap_err();
            assert!(matches!(refused, StoreError::Corrupt(_)), "{sql}");
        }
    }
}
