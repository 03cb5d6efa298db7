use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::process::Data;

#[test]
fn only_the_owner_may_look() {
    let data = Data::new();
    let server = data.serve();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&data.path()), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(data.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2);
    server.kill();
}

#[test]
fn the_secret_is_made_once_and_differs_from_server_to_server() {
    let (one, other) = (Data::new(), Data::new());
    one.serve().stop();
    let first = one.secret();
    one.serve().kill();
    assert_eq!(one.secret().as_bytes(), first.as_bytes());
    other.serve().kill();
    assert_ne!(other.secret().as_bytes(), first.as_bytes());
    assert_eq!(first.as_bytes().len(), 64);
}
