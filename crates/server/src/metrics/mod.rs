//! What is counted, written down for those who look: Prometheus, the JSON view, the log.
//!
//! - `families`: the one list of metrics, with names, labels and where each number comes from.
//! - `picture`: all numbers at one moment; `process`: those of the process and the machine.
//! - `text`: Prometheus' format. `page`: the document. `view`: the JSON. `summary`: the log's line.
//!
//! Invariants: reading takes nothing from those who count but short looks at their queues; labels
//! have a fixed set of values; nothing here is about one user, conversation or channel.

mod families;
mod page;
mod picture;
mod process;
pub(crate) mod summary;
mod text;
mod view;

use std::sync::{Mutex, PoisonError};

pub use families::{FAMILIES, Family, Kind, Unit};
pub use page::as_markdown;
pub(crate) use picture::Sources;
pub(crate) use process::disk_free;
use view::View;

/// The metrics of a running server.
pub(crate) struct Metrics {
    sources: Sources,
    view: Mutex<View>,
}

impl Metrics {
    pub(crate) fn new(sources: Sources) -> Self {
        let view = Mutex::new(View::begin(&sources.picture()));
        Self { sources, view }
    }
}

impl hubbub_access::Metrics for Metrics {
    fn prometheus(&self) -> String {
        text::write(&self.sources.picture())
    }

    fn summary(&self) -> serde_json::Value {
        let now = self.sources.picture();
        self.view.lock().unwrap_or_else(PoisonError::into_inner).show(&now)
    }

    fn reset(&self) {
        let now = self.sources.picture();
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = View::begin(&now);
    }
}
