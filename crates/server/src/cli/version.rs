//! `hubbub version`

use super::{Failure, print};

pub(super) fn run() -> Result<(), Failure> {
    print(concat!("hubbub ", env!("CARGO_PKG_VERSION"), "\n"))
}
