//! The vocabulary of Hubbub: what goes over the wire, and what the two planes say to each other.
//!
//! - [`id`]: the names of users, conversations, devices and commands, validated once.
//! - [`command`], [`event`], [`error`], [`close`]: the wire, independent of any codec.
//! - [`codec`]: text and binary forms of the wire; a dialect is one more codec.
//! - [`session`]: what one connection may do and when, as a pure state machine.
//! - [`who`]: who may do something that a rule of the configuration decides; [`claim`]: what a token
//!   says of channels.
//! - [`route`]: topics, requests and effects, spoken between the data plane and the chat services.
//!
//! Invariant: nothing here reads a clock, a socket or a random source; time comes in as an argument.

pub mod claim;
pub mod close;
pub mod codec;
pub mod command;
pub mod error;
pub mod event;
#[doc(hidden)]
pub mod fuzz;
pub mod id;
pub mod limits;
pub mod route;
pub mod session;
pub mod time;
pub mod who;

pub use claim::{ChannelAction, ChannelClaims};
pub use close::CloseCode;
pub use command::Command;
pub use error::{Reason, Refusal};
pub use event::{Ack, Event};
pub use id::{
    Channel, ChannelPattern, ClientId, CommandId, ConversationId, ConversationName, DeviceId,
    GroupId, PublicationKey, PushType, RoleName, SystemName, UserId,
};
pub use route::{ConnId, Effect, Identity, Request, Topic};
pub use time::Timestamp;
pub use who::Who;
