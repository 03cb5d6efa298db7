//! What happens when the process has no descriptor left. It runs in a process of its own with a low
//! limit, because the limit is the whole process's.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::face::Face;

#[test]
fn accepting_pauses_and_goes_on() {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            r#"ulimit -n 64 && exec "$1" --exact exhaustion::under_a_low_limit --ignored"#,
        ])
        .arg("sh")
        .arg(itself)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("1 passed"), "{out}");
}

#[test]
#[ignore = "run by accepting_pauses_and_goes_on, under a low limit of descriptors"]
fn under_a_low_limit() {
    let face = Face::start(1000, Duration::from_secs(60));
    // Both ends of each connection are this process's, so the table fills up from both sides.
    let mut crowd = Vec::new();
    let spare = || std::fs::File::open("/dev/null").unwrap();
    let mut spares: Vec<_> = std::iter::repeat_with(spare).take(8).collect();
    while Face::counted(&face.stats.pauses) == 0 {
        match TcpStream::connect(face.address) {
            Ok(stream) => crowd.push(stream),
            // With one more the client's side gets the last one and the next accept none, unless
            // one that was waiting is accepted with it.
            Err(_) => {
                spares.pop();
                std::thread::yield_now();
            }
        }
        assert!(crowd.len() < 64);
    }
    let accepted = Face::counted(&face.stats.accepted);
    let waiting = crowd.len() as u64 - accepted;
    drop(crowd);
    // Those that waited are accepted now, and new ones are served.
    let mut client = face.connect();
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(client.rest().ends_with("page"));
    assert!(Face::counted(&face.stats.accepted) > accepted + waiting);
    assert!(Face::counted(&face.stats.pauses) < 100, "it does not spin");
}
