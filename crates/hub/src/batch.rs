//! What was published on one channel in one tick, framed once and shared by all subscribers.
//!
//! The frames stand one behind the other in one buffer, so that a subscriber who gets nothing else
//! needs one write and no memory of its own. Invariants: a chunk ends between two frames and is
//! small beside an outbox, so that a reader who is behind loses whole chunks; a place that joins
//! in the middle of a tick gets what was added after its [`Mark`] and nothing before.
//!
//! A buffer is kept for each [`variant`]: forms of the same frames between which connections
//! differ. These are the codecs; compressed forms are made of them when a subscriber needs one.

use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::PublicationKey;
use hubbub_proto::codec::Codec;
use smallvec::SmallVec;

use crate::compression::Forms;

/// In how many forms frames are made.
pub(crate) const VARIANTS: usize = Codec::ALL.len();

/// Which form a connection with this codec gets.
pub(crate) const fn variant(codec: Codec) -> usize {
    codec.index()
}

/// Frames that go out together, in each form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) frames: u32,
    pub(crate) bytes: [Bytes; VARIANTS],
    /// The same, compressed.
    pub(crate) forms: [Forms; VARIANTS],
    /// Of a volatile channel: what each frame is about, and where it ends.
    pub(crate) volatile: Option<Arc<[Volatile]>>,
}

/// One frame of a volatile channel.
#[derive(Clone, Debug)]
pub(crate) struct Volatile {
    /// For who is behind, the newest one of each key counts; what has none is dropped.
    pub(crate) key: Option<PublicationKey>,
    pub(crate) ends: [usize; VARIANTS],
}

impl Chunk {
    fn len(&self) -> usize {
        self.bytes.iter().map(Bytes::len).max().unwrap_or(0)
    }

    /// What follows a mark within this chunk.
    fn after(&self, mark: &Mark) -> Self {
        if mark.frames == 0 {
            return self.clone();
        }
        Self {
            frames: self.frames.saturating_sub(mark.frames),
            bytes: std::array::from_fn(|variant| self.bytes[variant].slice(mark.bytes[variant]..)),
            forms: Default::default(),
            volatile: self.volatile.as_ref().map(|all| {
                let rest = all.get(mark.frames as usize..).unwrap_or_default();
                let shifted = |one: &Volatile| Volatile {
                    key: one.key.clone(),
                    ends: std::array::from_fn(|variant| one.ends[variant] - mark.bytes[variant]),
                };
                rest.iter().map(shifted).collect()
            }),
        }
    }
}

/// Chunks in order; nearly always one.
pub(crate) type Chunks = SmallVec<[Chunk; 1]>;

/// A place between two frames of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Mark {
    chunk: usize,
    frames: u32,
    bytes: [usize; VARIANTS],
}

/// The most that one chunk holds, unless one frame alone is larger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkLimits {
    pub(crate) bytes: usize,
    pub(crate) frames: u32,
}

/// The batch of a tick that is not over.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    closed: Chunks,
    /// The chunk that frames are added to.
    open: [Vec<u8>; VARIANTS],
    open_frames: u32,
    /// What the frames are about, of a volatile channel.
    open_volatile: Vec<Volatile>,
    /// How long the last open chunk became: about as long as the next one.
    hint: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.open_frames == 0 && self.closed.is_empty()
    }

    /// Adds one frame, which `write` appends in every form.
    pub(crate) fn push(
        &mut self,
        limits: ChunkLimits,
        len_hint: usize,
        mut write: impl FnMut(Codec, &mut Vec<u8>),
    ) {
        let len = self.open.iter().map(Vec::len).max().unwrap_or(0);
        if self.open_frames > 0
            && (len + len_hint > limits.bytes || self.open_frames >= limits.frames)
        {
            self.close();
        }
        for codec in Codec::ALL {
            let out = &mut self.open[variant(codec)];
            if out.capacity() == 0 {
                out.reserve(self.hint.max(len_hint));
            }
            write(codec, out);
        }
        self.open_frames += 1;
    }

    /// Says of the frame that was added last that it is dropped for who is behind.
    pub(crate) fn mark_volatile(&mut self, key: Option<PublicationKey>) {
        let ends = std::array::from_fn(|variant| self.open[variant].len());
        self.open_volatile.push(Volatile { key, ends });
    }

    /// Adds frames that were made elsewhere.
    pub(crate) fn append(&mut self, chunk: Chunk) {
        self.close();
        self.closed.push(chunk);
    }

    fn close(&mut self) {
        if self.open_frames == 0 {
            return;
        }
        let open = std::mem::take(&mut self.open);
        self.hint = open.iter().map(Vec::len).max().unwrap_or(0);
        self.closed.push(Chunk {
            frames: self.open_frames,
            bytes: open.map(Bytes::from),
            forms: Default::default(),
            volatile: (!self.open_volatile.is_empty())
                .then(|| std::mem::take(&mut self.open_volatile).into()),
        });
        self.open_frames = 0;
    }

    /// Where the next frame will stand.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            chunk: self.closed.len(),
            frames: self.open_frames,
            bytes: std::array::from_fn(|variant| self.open[variant].len()),
        }
    }

    /// The same, with nothing before it that can be added to: it stays equal until a frame comes.
    pub(crate) fn closed_mark(&mut self) -> Mark {
        self.close();
        self.mark()
    }

    /// What was added after `mark`, and goes on being added to.
    pub(crate) fn since(&mut self, mark: &Mark) -> Chunks {
        self.close();
        after(&self.closed, mark)
    }

    /// Takes everything out, in the chunks that marks refer to.
    pub(crate) fn take(&mut self) -> Chunks {
        self.close();
        std::mem::take(&mut self.closed)
    }
}

/// What of a batch follows a mark.
pub(crate) fn after(chunks: &[Chunk], mark: &Mark) -> Chunks {
    let mut rest: Chunks = chunks.iter().skip(mark.chunk).cloned().collect();
    if let Some(first) = rest.first_mut() {
        *first = first.after(mark);
        if first.frames == 0 {
            rest.remove(0);
        }
    }
    rest
}

/// The same frames in as few chunks as the limits allow: one copy here saves every subscriber a
/// write.
pub(crate) fn joined(chunks: Chunks, limits: ChunkLimits) -> Chunks {
    if chunks.len() < 2 || chunks.iter().any(|chunk| chunk.volatile.is_some()) {
        return chunks;
    }
    let mut out = Chunks::new();
    let mut rest = &*chunks;
    while !rest.is_empty() {
        let (mut bytes, mut frames, mut count) = (0, 0, 0);
        for chunk in rest {
            bytes += chunk.len();
            frames += chunk.frames;
            if count > 0 && (bytes > limits.bytes || frames > limits.frames) {
                break;
            }
            count += 1;
        }
        let (together, others) = rest.split_at(count);
        rest = others;
        out.push(match together {
            [only] => only.clone(),
            several => Chunk {
                frames: several.iter().map(|chunk| chunk.frames).sum(),
                bytes: std::array::from_fn(|variant| {
                    let parts: Vec<&[u8]> =
                        several.iter().map(|chunk| &*chunk.bytes[variant]).collect();
                    parts.concat().into()
                }),
                forms: Default::default(),
                volatile: None,
            },
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(chunks: &[Chunk]) -> Vec<u8> {
        chunks.iter().flat_map(|chunk| chunk.bytes[0].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn a_mark_parts_what_came_before_from_what_came_after(
            steps in proptest::collection::vec((0_u8..6, 1_usize..40), 1..60),
        ) {
            let limits = ChunkLimits { bytes: 100, frames: 7 };
            let mut pending = Pending::default();
            let mut all: Vec<Vec<u8>> = Vec::new();
            let mut marks = Vec::new();
            for (n, (step, len)) in steps.into_iter().enumerate() {
                let frame = vec![n as u8; len];
                match step {
                    0 => {
                        let chunk = Chunk {
                            frames: 1,
                            bytes: [Bytes::from(frame.clone())],
                            ..Chunk::default()
                        };
                        pending.append(chunk);
                        all.push(frame);
                    }
                    1 => marks.push((pending.mark(), all.len())),
                    2 => {
                        let (mark, from) = (pending.mark(), all.len());
                        prop_assert!(pending.since(&mark).is_empty());
                        marks.push((mark, from));
                    }
                    _ => {
                        pending.push(limits, len, |_, out| out.extend_from_slice(&frame));
                        all.push(frame);
                    }
                }
                prop_assert_eq!(pending.is_empty(), all.is_empty());
            }
            for (mark, from) in &marks {
                let rest = pending.since(mark);
                prop_assert_eq!(bytes(&rest), all[*from..].concat());
                let frames: u32 = rest.iter().map(|chunk| chunk.frames).sum();
                prop_assert_eq!(frames as usize, all.len() - from);
            }
            let chunks = joined(pending.take(), limits);
            prop_assert_eq!(bytes(&chunks), all.concat());
            prop_assert!(pending.is_empty());
            for chunk in &chunks {
                let small = chunk.len() <= limits.bytes && chunk.frames <= limits.frames;
                prop_assert!(small || chunk.frames == 1, "{:?}", chunk);
            }
            for pair in chunks.windows(2) {
                let (a, b) = (&pair[0], &pair[1]);
                let fit = a.len() + b.len() <= limits.bytes && a.frames + b.frames <= limits.frames;
                prop_assert!(!fit, "two chunks that would have been one");
            }
        }
    }
}
