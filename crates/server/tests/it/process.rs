//! Runs the binary: on a free port, in a directory of its own, ended by its id.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hubbub_access::{Grant, GrantOfChannels, Secret, Signer};
use hubbub_proto::{DeviceId, UserId};

/// Far more than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary, without the environment of whoever runs the tests.
pub(crate) fn hubbub() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubbub"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null());
    command
}

/// What a command that ends by itself said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command that ends by itself.
pub(crate) fn say(arguments: &[&str]) -> Said {
    hubbub().args(arguments).output().unwrap().into()
}

/// A data directory that outlives the servers on it.
pub(crate) struct Data {
    dir: tempfile::TempDir,
}

impl Data {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A directory of the test's own, for files beside the data.
    pub(crate) fn around(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory; made by the first server on it.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What signs tokens for the servers on it.
    pub(crate) fn secret(&self) -> Secret {
        Secret::load(&self.path().join("secret")).unwrap()
    }

    /// A server in development mode on it.
    pub(crate) fn serve(&self) -> Server {
        self.launch().dev().start()
    }

    /// A server on it, to be told more before it starts.
    pub(crate) fn launch(&self) -> Launch {
        let mut command = hubbub();
        command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(self.path());
        Launch(command)
    }

    /// A token for `user` that holds for an hour.
    pub(crate) fn token(&self, user: &str) -> String {
        self.token_for(user, None, 3600)
    }

    /// A token for `user` on `device` that holds for `seconds` from now; negative is over.
    pub(crate) fn token_for(&self, user: &str, device: Option<&str>, seconds: i64) -> String {
        self.token_with(user, device, &[], seconds)
    }

    /// The same, with roles.
    pub(crate) fn token_with(
        &self,
        user: &str,
        device: Option<&str>,
        roles: &[&str],
        seconds: i64,
    ) -> String {
        self.token_of(user, device, roles, seconds, GrantOfChannels::default())
    }

    /// The same, with what it says of channels.
    pub(crate) fn token_of(
        &self,
        user: &str,
        device: Option<&str>,
        roles: &[&str],
        seconds: i64,
        of_channels: GrantOfChannels,
    ) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let exp = now.saturating_add_signed(seconds);
        let grant = Grant {
            sub: UserId::new(user).unwrap(),
            name: None,
            roles: roles.iter().map(|role| (*role).into()).collect(),
            device: device.map(|device| DeviceId::new(device).unwrap()),
            iss: None,
            aud: None,
            iat: now.min(exp),
            exp,
            of_channels,
        };
        Signer::new(&self.secret()).sign(&grant, "HS256").unwrap()
    }
}

/// A server that is about to start.
pub(crate) struct Launch(pub(crate) Command);

impl Launch {
    pub(crate) fn dev(self) -> Self {
        self.arg("--dev")
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// Sets a key of the configuration, such as `LIMITS_LINGER_MS`.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.0.env(format!("HUBBUB_{key}"), value);
        self
    }

    /// Starts it and waits until it says where it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(said) => panic!("the server did not start ({:?}): {}", said.code, said.err),
        }
    }

    /// Starts it and waits until it ends instead of listening.
    #[track_caller]
    pub(crate) fn refused(self) -> Said {
        match self.try_start() {
            Ok(server) => panic!("the server listens on {}", server.address),
            Err(said) => said,
        }
    }

    fn try_start(mut self) -> Result<Server, Said> {
        let mut child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            // The channel is closed at the end of the output, which is the end of the process.
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut err = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let first = lines.recv_timeout(PATIENCE);
        let mut server = Server {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            lines,
            log: Some(log),
            out: String::new(),
        };
        match first {
            Ok(line) => {
                let address = line.strip_prefix("listening on ").unwrap();
                server.address = address.parse().unwrap();
                server.out = line;
                Ok(server)
            }
            Err(RecvTimeoutError::Disconnected) => {
                let code = server.wait().code();
                Err(Said { code, out: String::new(), err: server.log() })
            }
            Err(RecvTimeoutError::Timeout) => panic!("the server says nothing"),
        }
    }
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
    out: String,
}

impl Server {
    /// Sends a signal: `TERM`, `INT`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent =
            Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "sh", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The address that the line of standard output with this beginning names.
    #[track_caller]
    pub(crate) fn said(&mut self, beginning: &str) -> SocketAddr {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            self.out.push('\n');
            self.out.push_str(&line);
            if let Some(address) = line.strip_prefix(beginning) {
                return address.parse().unwrap();
            }
        }
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(mut self) -> Ended {
        self.signal("TERM");
        self.ended()
    }

    /// Ends it as a crash does: `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> Ended {
        let status = self.wait();
        Ended { code: status.code(), out: std::mem::take(&mut self.out), log: self.log() }
    }

    fn wait(&mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.out.push('\n');
                    self.out.push_str(&line);
                }
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("the server does not end"),
            }
        }
    }

    fn log(&mut self) -> String {
        self.log.take().map(|log| log.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) log: String,
}
