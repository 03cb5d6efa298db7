//! A server over its data: killed, stopped, and started again on the same port with the same
//! settings.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use hubbub_access::GrantOfChannels;

use crate::process::{Data, Launch, Server, hubbub};

/// What outlives a process: the directory, the port, and the settings.
pub(crate) struct Home {
    data: Data,
    bind: String,
    settings: Vec<(String, String)>,
}

/// A running server.
pub(crate) struct Node {
    pub(crate) server: Server,
    home: Home,
}

impl Home {
    /// A new directory; `settings` are keys of the configuration such as `LIMITS_LINGER_MS`.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { data: Data::new(), bind: "127.0.0.1:0".into(), settings }
    }

    /// Sets one more key.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.data.path()
    }

    /// A directory of the test's own, beside the data.
    pub(crate) fn around(&self) -> &Path {
        self.data.around()
    }

    /// Starts a server: on the port it had before, if there was one.
    pub(crate) fn start(self) -> Node {
        self.start_under(&[])
    }

    /// The same, as the arguments of another program.
    pub(crate) fn start_under(mut self, prefix: &[OsString]) -> Node {
        let mut command = hubbub();
        if let Some((program, arguments)) = prefix.split_first() {
            let binary = command.get_program().to_owned();
            command = Command::new(program);
            command.args(arguments).arg(binary);
        }
        command.args(["serve", "--bind", &self.bind, "--data-dir"]).arg(self.data.path());
        let launch = self
            .settings
            .iter()
            .fold(Launch(command), |launch, (key, value)| launch.set(key, value))
            .set("LOG_LEVEL", "warn");
        let server = launch.start();
        self.bind = server.address.to_string();
        Node { server, home: self }
    }
}

impl Node {
    /// A server with these settings.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Home::new(settings).start()
    }

    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A token for `user` that holds for an hour.
    pub(crate) fn token(&self, user: &str) -> String {
        self.home.data.token(user)
    }

    /// A token for `user` with these roles that holds for an hour.
    pub(crate) fn token_with(&self, user: &str, roles: &[&str]) -> String {
        self.home.data.token_with(user, None, roles, 3600)
    }

    /// A token for `user` that names these channels.
    pub(crate) fn token_naming(&self, user: &str, channels: &[&str]) -> String {
        let channels = channels.iter().map(|name| (*name).to_owned()).collect();
        self.token_granting(user, GrantOfChannels { channels, ..GrantOfChannels::default() })
    }

    /// A token for `user` that says this of channels.
    pub(crate) fn token_granting(&self, user: &str, of_channels: GrantOfChannels) -> String {
        self.home.data.token_of(user, None, &[], 3600, of_channels)
    }

    /// A token for `user` that holds for `seconds` from now; negative is over.
    pub(crate) fn token_for(&self, user: &str, seconds: i64) -> String {
        self.home.data.token_for(user, None, seconds)
    }

    /// Ends the process as a crash does.
    pub(crate) fn kill(self) -> Home {
        self.server.kill();
        self.home
    }

    /// Stops it in order; nothing went wrong in its life.
    #[track_caller]
    pub(crate) fn stop(self) -> Home {
        self.server.signal("TERM");
        self.has_stopped()
    }

    /// Waits for the end of one that was asked to stop.
    #[track_caller]
    pub(crate) fn has_stopped(self) -> Home {
        self.has_ended(0)
    }

    /// Waits for an end with this code.
    #[track_caller]
    pub(crate) fn has_ended(mut self, code: i32) -> Home {
        let ended = self.server.ended();
        assert_eq!(ended.code, Some(code), "{}", ended.log);
        assert!(!ended.log.contains("panic"), "{}", ended.log);
        self.home
    }
}
