//! The connections of a shard, by place and generation.
//!
//! Invariant: an [`At`] of a connection that is gone never finds its successor in the same place.
//! Places lie in chunks, so that a growing shard moves no connection.

use crate::connection::Connection;

const CHUNK: usize = 256;

/// One tenant of one place.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct At {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

const _: () = assert!(usize::BITS == 64, "an epoll token carries slot and generation");

impl At {
    pub(crate) const fn token(self) -> usize {
        (self.generation as usize) << 32 | self.slot as usize
    }

    pub(crate) const fn from_token(token: usize) -> Self {
        Self { slot: token as u32, generation: (token >> 32) as u32 }
    }
}

struct Place {
    generation: u32,
    connection: Option<Connection>,
}

#[derive(Default)]
pub(crate) struct Slab {
    chunks: Vec<Vec<Place>>,
    free: Vec<u32>,
    len: usize,
}

impl Slab {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more than the highest place ever used.
    pub(crate) fn places(&self) -> u32 {
        self.chunks.last().map_or(0, |last| ((self.chunks.len() - 1) * CHUNK + last.len()) as u32)
    }

    /// The place that the next [`insert`](Self::insert) will take.
    pub(crate) fn next(&mut self) -> At {
        let slot = match self.free.last() {
            Some(slot) => *slot,
            None => {
                let slot = self.places();
                if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                if let Some(last) = self.chunks.last_mut() {
                    last.push(Place { generation: 0, connection: None });
                }
                self.free.push(slot);
                slot
            }
        };
        let generation = self.place(slot).map_or(0, |place| place.generation);
        At { slot, generation }
    }

    /// Takes the place that [`next`](Self::next) announced.
    pub(crate) fn insert(&mut self, connection: Connection) -> At {
        let at = self.next();
        self.free.pop();
        self.len += 1;
        if let Some(place) = self.place(at.slot) {
            place.connection = Some(connection);
        }
        at
    }

    fn place(&mut self, slot: u32) -> Option<&mut Place> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    pub(crate) fn get(&mut self, at: At) -> Option<&mut Connection> {
        let place = self.place(at.slot)?;
        if place.generation == at.generation { place.connection.as_mut() } else { None }
    }

    /// Whoever is in that place.
    pub(crate) fn tenant(&mut self, slot: u32) -> Option<(At, &mut Connection)> {
        let place = self.place(slot)?;
        let at = At { slot, generation: place.generation };
        place.connection.as_mut().map(|connection| (at, connection))
    }

    pub(crate) fn remove(&mut self, at: At) -> Option<Connection> {
        let place = self.place(at.slot)?;
        if place.generation != at.generation {
            return None;
        }
        let connection = place.connection.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(at.slot);
        self.len -= 1;
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_small() {
        // With debug assertions, mio's sockets know their epoll instance.
        let most = if cfg!(debug_assertions) { 184 } else { 168 };
        assert!(size_of::<Place>() <= most, "{}", size_of::<Place>());
        assert!(size_of::<hubbub_proto::session::Session>() <= 64);
    }

    #[test]
    fn tokens_carry_both_parts() {
        for at in [(0, 0), (1, 2), (u32::MAX - 1, u32::MAX), (u32::MAX, 0)] {
            let at = At { slot: at.0, generation: at.1 };
            assert_eq!(At::from_token(at.token()), at);
        }
    }
}
