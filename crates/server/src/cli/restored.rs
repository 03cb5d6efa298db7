//! `hubbub restored`: begins a new epoch after a backup was put back.

use clap::Args;

use super::{Failure, Place, print};
use crate::wiring;

const HELP: &str = "\
A backup lacks what was written after it was made, and the same places in the logs are given out
again. Clients that saw the lost messages have to be told: with a new epoch each of them drops what it
keeps, at its next connection, and continues with what the store has.

  (stop the server)
  mv /var/lib/hubbub /var/lib/hubbub.lost
  cp -a /backup/hubbub-monday /var/lib/hubbub
  hubbub restored --data-dir /var/lib/hubbub
  (start the server)

Prints the new epoch.";

#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Restored {
    #[command(flatten)]
    place: Place,
}

impl Restored {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.place.load(Vec::new())?;
        let dir = config.server.data_dir();
        if !dir.is_dir() {
            return Err(Failure::Usage(format!("{} is not a directory", dir.display())));
        }
        let store = wiring::open_store(&config)?;
        let epoch = store.begin_epoch().map_err(|error| Failure::Failed(error.to_string()))?;
        print(&format!("{epoch}\n"))
    }
}
