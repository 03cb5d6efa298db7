//! The real binary, as an operator and as clients meet it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod api_refusals;
mod architecture;
mod bad_input;
mod bounds;
mod channels;
mod cli;
mod crash;
mod durability;
mod exposition;
mod files;
mod friends;
mod group_rules;
mod groups;
mod hostile;
mod http;
mod lifecycle;
mod limits;
mod log;
mod message_ops;
mod messages;
mod node;
mod observe;
mod offline;
mod presence;
mod process;
mod push;
mod receipts;
mod restored;
mod sessions;
mod settings;
mod shutdown;
mod sse;
mod starting;
mod talk;
mod tls;
mod tokens;
mod users;
mod wire;
