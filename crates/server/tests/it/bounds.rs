//! `docs/limits.md` names every limit of the configuration, and tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Numbers that bound nothing: sizes of pools and caches, and moments.
const NO_LIMITS: &[&str] = &[
    "server.shards",
    "auth.leeway_s",
    "limits.expiry_warning_ms",
    "compression.level",
    "compression.min_bytes",
    "compression.window_bits",
    "chat.dedupe_window_ms",
    "chat.readers",
    "store.writer_cache_bytes",
    "store.reader_cache_bytes",
    "store.wal_bytes",
    "store.check_bytes_max",
    "log.summary_ms",
    "tls.reload_interval_ms",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cells of each row of the page's table.
fn rows() -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_limit_is_on_the_page_and_nothing_else() {
    let defaults: toml::Table = crate::process::say(&["config", "default"]).out.parse().unwrap();
    let mut expected = BTreeSet::new();
    for (section, keys) in &defaults {
        for (key, value) in keys.as_table().into_iter().flatten() {
            let name = format!("{section}.{key}");
            if value.is_integer() && !NO_LIMITS.contains(&name.as_str()) {
                expected.insert(name);
            }
        }
    }
    let found: BTreeSet<String> = rows().iter().map(|row| names(&row[1])[0].to_owned()).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
}

#[test]
fn its_tests_and_counters_exist() {
    let mut all = String::new();
    sources(&root().join("crates"), &mut all);
    for row in rows() {
        let [_, limit, _, counters, tests, _] = &row[..] else { panic!("{row:?}") };
        assert!(!names(tests).is_empty(), "{limit} has no test");
        for test in names(tests) {
            assert!(all.contains(&format!("fn {test}(")), "{limit}: there is no test {test}");
        }
        for counter in names(counters) {
            let is_there = [format!("    {counter},"), format!(" {counter}:")];
            assert!(is_there.iter().any(|text| all.contains(text)), "{limit}: no {counter}");
        }
    }
}
