//! How SQLite goes about each query that is asked often: a snapshot, so that a change shows.
//!
//! Invariant: none reads a table from end to end, whatever is in it. The database has no statistics,
//! neither here nor in a server, so that plans do not depend on data.

use rusqlite::Connection;

use super::migrations::{MIGRATIONS, migrate};
use super::{chain, conversations, groups, messages, operations, people, presence, push, receipts};

/// The queries of each area by name.
const AREAS: &[(&str, &[(&str, &str)])] = &[
    ("chain", chain::QUERIES),
    ("conversations", conversations::QUERIES),
    ("groups", groups::QUERIES),
    ("messages", messages::QUERIES),
    ("operations", operations::QUERIES),
    ("people", people::QUERIES),
    ("presence", presence::QUERIES),
    ("push", push::QUERIES),
    ("receipts", receipts::QUERIES),
];

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection, MIGRATIONS).unwrap();
    connection
}

/// The steps of a query.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

/// Whether a step reads a whole table or index; rows that the query itself made are none.
fn scans(step: &str) -> bool {
    let scanned = step.strip_prefix("SCAN ");
    scanned.is_some_and(|what| !what.starts_with('(') && what != "CONSTANT ROW")
}

#[test]
fn no_query_reads_a_table_from_end_to_end() {
    let connection = database();
    let mut all = String::new();
    let mut scanning = Vec::new();
    for (area, queries) in AREAS {
        for (name, sql) in *queries {
            let steps = plan(&connection, sql);
            scanning.extend(steps.iter().filter(|step| scans(step)).map(|_| (*area, *name)));
            all += &format!("{area} {name}\n");
            for step in steps {
                all += &format!("    {step}\n");
            }
        }
    }
    assert_eq!(scanning, []);
    insta::assert_snapshot!(all);
}

#[test]
fn a_scan_is_noticed() {
    let connection = database();
    let check = |sql, expect| {
        let steps = plan(&connection, sql);
        assert_eq!(steps.iter().any(|step| scans(step)), expect, "{sql}: {steps:?}");
    };
    check("SELECT * FROM relation WHERE note = 'x'", true);
    check("SELECT count(*) FROM device", true);
    check("SELECT id FROM user", true);
    check("SELECT 1", false);
    check("SELECT * FROM user WHERE key = 1", false);
}
