//! `hubbub backup`: copies the store, the signing secret and the keys of back ends, as of one moment.

use std::path::PathBuf;

use clap::Args;
use hubbub_access::KeyFile;
use hubbub_store::sqlite::back_up;

use super::{Failure, Place};

const HELP: &str = "\
Copying the files of a running server one after the other gives a store that fits nowhere together;
this gives one of a single moment, without keeping the server waiting. Whoever has the copy can read
every message and sign in as anybody: keep it as the original is kept.

  hubbub backup --data-dir /var/lib/hubbub /backup/hubbub-monday

`hubbub restored --help` says how to put it back.";

#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Backup {
    /// The directory to make; it must not exist yet
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Backup {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.place.load(Vec::new())?;
        if self.to.exists() {
            let said = format!("{} exists; name a directory that does not", self.to.display());
            return Err(Failure::Usage(said));
        }
        let keys = KeyFile::in_dir(config.server.data_dir());
        let mut beside = vec![config.secret_file(), keys.path().to_owned()];
        beside.retain(|file| file.is_file());
        back_up(config.server.data_dir(), &self.to, &beside)
            .map_err(|error| Failure::Failed(error.to_string()))
    }
}
