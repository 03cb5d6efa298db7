//! The connections of a shard, by place and generation.
//!
//! Invariant: an [`At`] of a connection that is gone never finds its successor in the same place.
//! Places lie in chunks, so that a growing shard moves no connection
//! and one that has shrunk gives them back.

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

/// Places that lie together.
#[derive(Default)]
struct Chunk {
    /// Made one by one; none while nobody is here.
    places: Vec<Place>,
    /// The free ones.
    free: Vec<u8>,
    /// Where the generations of places go on that are made again.
    first_generation: u32,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.free.is_empty() && self.places.len() == CHUNK
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Gives all places back. Later ones are of other generations than any that was here.
    fn clear(&mut self) {
        let generations = self.places.iter().map(|place| place.generation);
        self.first_generation = generations.max().unwrap_or(self.first_generation);
        self.places = Vec::new();
        self.free = Vec::new();
    }
}

#[derive(Default)]
pub(crate) struct Slab {
    chunks: Vec<Chunk>,
    /// No chunk before this one has a free place.
    open: usize,
    len: usize,
}

impl Slab {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more than the highest place ever used.
    pub(crate) fn places(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// The place that the next [`insert`](Self::insert) will take: one of the first chunk that has
    /// any, so that the last ones become empty.
    pub(crate) fn next(&mut self) -> At {
        while self.chunks.get(self.open).is_some_and(Chunk::is_full) {
            self.open += 1;
        }
        if self.open == self.chunks.len() {
            self.chunks.push(Chunk::default());
        }
        let chunk = &mut self.chunks[self.open];
        let index = match chunk.free.last() {
            Some(index) => usize::from(*index),
            None => {
                let index = chunk.places.len();
                if index == 0 {
                    chunk.places.reserve_exact(CHUNK);
                }
                chunk.places.push(Place { generation: chunk.first_generation, connection: None });
                chunk.free.push(index as u8);
                index
            }
        };
        At { slot: (self.open * CHUNK + index) as u32, generation: chunk.places[index].generation }
    }

    /// Takes the place that [`next`](Self::next) announced.
    pub(crate) fn insert(&mut self, connection: Connection) -> At {
        let at = self.next();
        let chunk = &mut self.chunks[self.open];
        chunk.free.pop();
        self.len += 1;
        chunk.places[at.slot as usize % CHUNK].connection = Some(connection);
        at
    }

    fn place(&mut self, slot: u32) -> Option<&mut Place> {
        self.chunks.get_mut(slot as usize / CHUNK)?.places.get_mut(slot as usize % CHUNK)
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
        let chunk = at.slot as usize / CHUNK;
        self.chunks[chunk].free.push((at.slot as usize % CHUNK) as u8);
        self.open = self.open.min(chunk);
        self.len -= 1;
        Some(connection)
    }

    /// Gives back the chunks in which nobody is.
    pub(crate) fn tidy(&mut self) {
        self.chunks.iter_mut().filter(|chunk| chunk.is_empty()).for_each(Chunk::clear);
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

    fn connection() -> Connection {
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        Connection {
            transport: crate::transport::Transport::new(socket.into()).unwrap(),
            decoder: hubbub_websocket::Decoder::new(hubbub_websocket::Role::Server),
            kind: crate::connection::Kind::Refused,
            outbox: None,
            compressed: None,
            rare: None,
            opened: 0,
            wheel_second: 0,
            chatter: crate::chatter::Chatter::default(),
            phase: crate::connection::Phase::Open,
            parked: None,
            synced: false,
            lagging: false,
            ready: false,
            dirty: false,
            peer_done: false,
            _permit: Box::new(()),
        }
    }

    #[test]
    fn what_a_crowd_took_is_given_back() {
        let mut slab = Slab::default();
        let crowd: Vec<At> = (0..3 * CHUNK).map(|_| slab.insert(connection())).collect();
        let slots: Vec<u32> = crowd.iter().map(|at| at.slot).collect();
        assert_eq!(slots, (0..3 * CHUNK as u32).collect::<Vec<_>>());
        let stays = crowd[CHUNK + 7];
        for at in crowd.iter().filter(|at| **at != stays) {
            assert!(slab.remove(*at).is_some());
        }
        slab.tidy();
        let rooms = slab.chunks.iter().map(|chunk| chunk.places.capacity());
        assert_eq!(rooms.collect::<Vec<_>>(), [0, CHUNK, 0]);
        assert_eq!(slab.tenant(stays.slot).map(|(at, _)| at), Some(stays));
        assert_eq!(slab.len(), 1);

        let again: Vec<At> = (0..3 * CHUNK - 1).map(|_| slab.insert(connection())).collect();
        assert_eq!(slab.places(), 3 * CHUNK as u32, "first come first");
        for at in crowd.iter().filter(|at| **at != stays) {
            assert!(slab.get(*at).is_none() && slab.remove(*at).is_none(), "{at:?} is long gone");
        }
        assert!(again.iter().all(|at| slab.get(*at).is_some()));
        assert_eq!(slab.len(), 3 * CHUNK);
    }

    #[test]
    fn tokens_carry_both_parts() {
        for at in [(0, 0), (1, 2), (u32::MAX - 1, u32::MAX), (u32::MAX, 0)] {
            let at = At { slot: at.0, generation: at.1 };
            assert_eq!(At::from_token(at.token()), at);
        }
    }
}
