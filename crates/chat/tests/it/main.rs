//! The services at work on the store in memory: what clients would see, command by command.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod cursors;
mod failing;
mod faulty;
mod friends;
mod group_rules;
mod groups;
mod limits;
mod operations;
mod people;
mod push;
mod reading;
mod receipts;
mod retention;
mod roles;
mod room;
mod send;
mod service;
mod settings;
mod syncing;
mod typing;
