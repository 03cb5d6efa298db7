//! `hubbub.v1.json`.
use super::{Incoming, Malformed};
use crate::event::Ack;
use crate::limits::Limits;
use crate::{CommandId, Event, Refusal, Timestamp};

pub(super) fn decode(_message: &[u8], _limits: &Limits) -> Result<Incoming, Box<Malformed>> {
    Err(Box::new(Malformed { id: None, refusal: crate::Reason::BadJson.into() }))
}
pub(super) fn encode_event(_event: &Event, _now: Timestamp, _out: &mut Vec<u8>) {}
pub(super) fn encode_reply(
    _id: Option<&CommandId>,
    _outcome: &Result<Ack, Refusal>,
    _now: Timestamp,
    _out: &mut Vec<u8>,
) {
}
