//! A publication on its way to all shards: encoded once for each codec that somebody uses.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use hubbub_proto::codec::Codec;
use hubbub_proto::event::{Delivered, Void};
use hubbub_proto::route::Publication;
use hubbub_proto::{Event, Timestamp, UserId};
use hubbub_websocket::deflate::WindowBits;
use hubbub_websocket::{FrameBuilder, OpCode};

use crate::compression::{Forms, Packer};

/// A publication and its frames, shared by the shards.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    publication: Publication,
    posted: Instant,
    veil: Option<Veil>,
    frames: [OnceLock<Bytes>; Codec::ALL.len()],
    forms: [Forms; Codec::ALL.len()],
}

/// For whom a publication is not, and what they get in its place.
#[derive(Debug)]
pub(crate) struct Veil {
    pub(crate) unseen: Arc<[UserId]>,
    pub(crate) void: Broadcast,
}

impl Broadcast {
    /// `posted`: when the services handed it over.
    pub(crate) fn new(publication: Publication, posted: Instant) -> Self {
        Self::with(publication, None, posted)
    }

    /// An entry that is a void for these users.
    pub(crate) fn veiled(publication: Publication, unseen: Arc<[UserId]>, posted: Instant) -> Self {
        let void = match &publication.event {
            Event::Entry(Delivered { entry, .. }) => Event::Void(Void {
                conversation: entry.conversation.clone(),
                seq: entry.seq,
                through: entry.seq,
            }),
            other => other.clone(),
        };
        let void = Self::new(Publication { event: void, ..publication.clone() }, posted);
        Self::with(publication, Some(Veil { unseen, void }), posted)
    }

    /// Whom it is hidden from, if from anybody.
    pub(crate) fn veil(&self) -> Option<&Veil> {
        self.0.veil.as_ref()
    }

    fn with(publication: Publication, veil: Option<Veil>, posted: Instant) -> Self {
        Self(Arc::new(Shared {
            publication,
            posted,
            veil,
            frames: std::array::from_fn(|_| OnceLock::new()),
            forms: Default::default(),
        }))
    }

    /// When the services handed it over.
    pub(crate) fn posted(&self) -> Instant {
        self.0.posted
    }

    pub(crate) fn publication(&self) -> &Publication {
        &self.0.publication
    }

    /// The complete frame for connections that agreed on compression with this window.
    pub(crate) fn compressed(
        &self,
        codec: Codec,
        now: Timestamp,
        window: WindowBits,
        packer: &mut Packer,
    ) -> Bytes {
        self.0.forms[codec.index()].get(self.frame(codec, now), window, packer)
    }

    /// The complete frame, whose timestamp is the moment of the first call.
    pub(crate) fn frame(&self, codec: Codec, now: Timestamp) -> &Bytes {
        self.0.frames[codec.index()].get_or_init(|| {
            let event = &self.0.publication.event;
            let mut out = Vec::new();
            let mut frame = FrameBuilder::begin(&mut out, opcode(codec), len_hint(event));
            codec.encode_event(event, now, frame.buffer());
            frame.finish();
            out.into()
        })
    }
}

/// The WebSocket message type of a codec.
pub(crate) const fn opcode(codec: Codec) -> OpCode {
    match codec {
        Codec::Json => OpCode::Text,
    }
}

/// About how long the payload of an event is, in bytes.
pub(crate) fn len_hint(event: &Event) -> usize {
    match event {
        Event::Entry(Delivered { entry, .. }) => 400 + entry.content.get().len(),
        Event::Connected(_) => 600,
        _ => 200,
    }
}
