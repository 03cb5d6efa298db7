//! What every store must do, sentence by sentence of `hubbub_chat::ports`.
//!
//! A store passes when [`all`] returns. Each case gets a fresh store and fails by panicking, after
//! its name was printed. Deliberately absent: what only one store has, such as files, locks and
//! crashes.

#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod changes;
mod conversations;
mod cursors;
mod desk;
mod groups;
mod links;
mod members;
mod messages;
mod operations;
mod people;
mod personal;
mod presence;
mod push;
mod retention;
mod transactions;
mod users;

use hubbub_chat::ports::Store;

/// A store under test.
pub trait Fixture {
    /// The store. All its handles are dropped before [`Fixture::reopen`].
    fn store(&self) -> &dyn Store;
    /// Stops the store and starts it again on the same data.
    fn reopen(&mut self);
}

type Case = (&'static str, fn(&mut dyn Fixture));

/// Runs every case, each on a store of its own.
///
/// # Panics
/// When the store does not do what the ports say.
pub fn all(make: &dyn Fn() -> Box<dyn Fixture>) {
    let files: &[&[Case]] = &[
        transactions::CASES,
        users::CASES,
        people::CASES,
        conversations::CASES,
        members::CASES,
        groups::CASES,
        links::CASES,
        personal::CASES,
        cursors::CASES,
        messages::CASES,
        operations::CASES,
        changes::CASES,
        push::CASES,
        retention::CASES,
        presence::CASES,
    ];
    for (name, case) in files.iter().copied().flatten() {
        println!("{name}");
        case(make().as_mut());
    }
}
