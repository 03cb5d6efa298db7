//! The arrows between the crates: who may know whom. Read from the manifests, so that a dependency
//! that turns the diamond into a knot fails here and not in a review.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Our crates that each of our crates may use, outside of its tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("websocket", &[]),
    ("measure", &[]),
    ("chat", &["proto", "measure"]),
    ("store", &["proto", "measure", "chat"]),
    ("hub", &["proto", "measure", "websocket"]),
    ("access", &["proto", "websocket", "chat", "hub"]),
    ("client", &["proto", "websocket"]),
    ("server", &["proto", "measure", "websocket", "chat", "store", "hub", "access", "client"]),
    ("sim", &["proto", "websocket", "chat", "store", "hub", "client"]),
];

/// Libraries that a crate must do without, outside of its tests.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("proto", &["tokio", "mio", "socket2", "hyper", "axum", "rusqlite", "libc", "getrandom"]),
    ("websocket", &["tokio", "mio", "socket2", "hyper", "axum", "rusqlite", "serde", "serde_json"]),
    ("measure", &["tokio", "mio", "socket2", "hyper", "axum", "rusqlite", "libc", "tracing"]),
    ("chat", &["tokio", "mio", "socket2", "hyper", "axum", "rusqlite", "libc"]),
    ("store", &["tokio", "mio", "socket2", "hyper", "axum"]),
    ("hub", &["tokio", "hyper", "axum", "rusqlite"]),
    ("access", &["rusqlite"]),
    ("client", &["rusqlite", "hyper", "axum"]),
];

/// All that `proto` may use: what turns bytes into values and back.
const PROTO_LIBRARIES: &[&str] =
    &["serde", "serde_json", "bytes", "memchr", "smallvec", "thiserror"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names in these sections of a crate's manifest, those for one platform included.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut take = |table: &Table| {
        for section in ["dependencies", "build-dependencies"] {
            if let Some(Value::Table(dependencies)) = table.get(section) {
                found.extend(dependencies.iter().map(|(name, value)| {
                    let real = value.get("package").and_then(Value::as_str);
                    real.unwrap_or(name).to_owned()
                }));
            }
        }
    };
    take(manifest);
    if let Some(Value::Table(targets)) = manifest.get("target") {
        targets.values().filter_map(Value::as_table).for_each(take);
    }
    found
}

fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(crates()).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let manifest: Table = text.parse().unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some(format!("hubbub-{name}").as_str()),
            "a crate is named like its folder"
        );
        all.insert(name, dependencies(&manifest));
    }
    all
}

#[test]
fn the_arrows_between_the_crates() {
    let found = manifests();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(there, known, "every crate has its place in the table");
    for (name, allowed) in ALLOWED {
        for dependency in &found[*name] {
            if let Some(ours) = dependency.strip_prefix("hubbub-") {
                assert!(allowed.contains(&ours), "{name} must not know {ours}");
            }
        }
    }
    // So that a table that allows too much does not pass for a diamond.
    let arrows = |name: &str| ALLOWED.iter().find(|(n, _)| *n == name).unwrap().1;
    assert!(!arrows("store").contains(&"hub") && !arrows("hub").contains(&"store"));
    assert!(!arrows("hub").contains(&"chat") && !arrows("chat").contains(&"store"));
}

#[test]
fn libraries_stay_where_they_belong() {
    let found = manifests();
    for (name, forbidden) in FORBIDDEN {
        for library in *forbidden {
            assert!(!found[*name].contains(*library), "{name} must do without {library}");
        }
    }
    for library in &found["proto"] {
        assert!(PROTO_LIBRARIES.contains(&library.as_str()), "proto must do without {library}");
    }
}

#[test]
fn only_the_server_names_a_store() {
    let found = manifests();
    for (name, dependencies) in &found {
        let may = matches!(name.as_str(), "server" | "sim" | "store");
        assert!(may || !dependencies.contains("hubbub-store"), "{name} must not name a store");
    }
    // Cycles would not build, but an arrow to the server would only be a bad idea.
    for (name, dependencies) in &found {
        assert!(!dependencies.contains("hubbub-server"), "{name} must not know the server");
    }
}
