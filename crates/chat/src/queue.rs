//! The bounded queue between the shards and the writer.
//!
//! Invariant: first in, first out; at most so many requests and bytes wait, the reads that the
//! writer handed on included until a reader has taken them, and so with what concerns presence; what
//! does not fit stays with the caller. The writer takes everything there is, up to a batch, in one step.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hubbub_measure::Histogram;
use hubbub_proto::route::Work;
use hubbub_proto::{Command, Request, Timestamp, UserId};

use crate::presence::Heard;
use crate::waits::Waits;

/// Most users who left that the writer has not taken.
const LEFT_MAX: usize = 8_192;

/// Roughly how many rows a request writes.
fn rows(request: &Request) -> usize {
    match &request.work {
        Work::Command { command: Command::GroupCreate(create), .. } => 1 + 3 * create.members.len(),
        Work::Command { command: Command::GroupInvite(invite), .. } => 1 + 3 * invite.members.len(),
        _ => 1,
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) requests: usize,
    pub(crate) bytes: usize,
}

/// What a request occupies while it waits, in bytes.
pub(crate) fn weight(request: &Request) -> usize {
    size_of::<Request>()
        + match &request.work {
            Work::Command { command, .. } => command.weight(),
            Work::Redeliver { conversation, .. } => conversation.as_str().len(),
            Work::Opened | Work::Renewed | Work::Closed => 0,
        }
}

#[derive(Debug, Default)]
struct State {
    /// For the writer.
    commands: VecDeque<Request>,
    /// For the readers.
    reads: VecDeque<Request>,
    /// For the thread of presence.
    presence: Vec<Heard>,
    /// From there to the writer: who left, and when.
    left: Vec<(UserId, Timestamp)>,
    bytes: usize,
    command_waits: Waits,
    read_waits: Waits,
    /// Somebody was left with requests that did not fit.
    refused: bool,
    /// Nothing more is taken in.
    closed: bool,
    /// The writer hands nothing on any more.
    reads_closed: bool,
    writer_sleeps: bool,
    presence_sleeps: bool,
    /// How often the threads were asked to give memory back.
    tidies: u64,
    /// The thread of presence has ended, and hands nothing over any more.
    presence_ended: bool,
}

impl State {
    fn count(&self) -> usize {
        self.commands.len() + self.reads.len() + self.presence.len()
    }

    /// Whether a thread that last gave memory back then is asked to do so again.
    const fn is_untidy(&self, tidied: &Tidied) -> bool {
        self.tidies != tidied.0
    }

    /// The same, and it does so now.
    const fn tidies(&self, tidied: &mut Tidied) -> bool {
        let asked = self.is_untidy(tidied);
        tidied.0 = self.tidies;
        asked
    }
}

/// How often all were asked to give memory back when one thread last did.
#[derive(Debug, Default)]
pub(crate) struct Tidied(u64);

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    /// How long the writer's requests and the readers' waited, in microseconds. Moved under the lock.
    pub(crate) command_waits: Histogram,
    pub(crate) read_waits: Histogram,
    writer: Condvar,
    readers: Condvar,
    presence: Condvar,
}

/// What the writer got.
#[derive(Debug)]
pub(crate) struct Taken {
    /// In the order they came.
    pub(crate) batch: Vec<Request>,
    /// The queue was over half full.
    pub(crate) crowded: bool,
    /// There is room again for those who were left with something.
    pub(crate) resume: bool,
    /// Nothing will ever come any more.
    pub(crate) ended: bool,
    /// Users who left, and when.
    pub(crate) left: Vec<(UserId, Timestamp)>,
    /// Memory is to be given back afterwards.
    pub(crate) tidy: bool,
}

/// What the thread of presence got.
#[derive(Debug)]
pub(crate) struct Handed {
    /// In the order they came.
    pub(crate) batch: Vec<Heard>,
    /// There is room again for those who were left with something.
    pub(crate) resume: bool,
    /// Nothing will ever come any more.
    pub(crate) ended: bool,
    /// Memory is to be given back afterwards.
    pub(crate) tidy: bool,
}

/// What a reader got.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// To be answered; `None` where there is only memory to be given back.
    pub(crate) request: Option<Request>,
    /// There is room again for those who were left with something.
    pub(crate) resume: bool,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            command_waits: Histogram::default(),
            read_waits: Histogram::default(),
            writer: Condvar::new(),
            readers: Condvar::new(),
            presence: Condvar::new(),
        }
    }

    /// A panic elsewhere leaves the state whole: every step under the lock is complete in itself.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes from the front what fits. False once the queue is closed; then nothing is taken.
    pub(crate) fn submit(&self, batch: &mut VecDeque<Request>) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let before = state.commands.len();
        if state.closed {
            return false;
        }
        while let Some(request) = batch.front() {
            let bytes = state.bytes + weight(request);
            // An empty queue takes anything, so that no request waits for ever.
            let fits = state.count() < self.bounds.requests && bytes <= self.bounds.bytes;
            if !fits && state.count() > 0 {
                state.refused = true;
                break;
            }
            state.bytes = bytes;
            state.commands.extend(batch.pop_front());
        }
        let came = state.commands.len() - before;
        state.command_waits.came(came, now);
        if mem::take(&mut state.writer_sleeps) {
            self.writer.notify_one();
        }
        true
    }

    /// Waits for requests, at most as long as given (`None`: as long as it takes), and takes as many
    /// as write at most `max` rows.
    pub(crate) fn take(&self, max: usize, wait: Option<Duration>, tidied: &mut Tidied) -> Taken {
        let mut state = self.lock();
        let is_idle = state.commands.is_empty() && state.left.is_empty();
        if is_idle && !state.closed && !state.is_untidy(tidied) {
            state.writer_sleeps = true;
            state = match wait {
                None => self.writer.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.writer.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.writer_sleeps = false;
        }
        let crowded = state.count() > self.bounds.requests / 2;
        let mut written = 0;
        let fits = |request: &&Request| {
            written += rows(request);
            written <= max
        };
        // The first one goes whatever it writes.
        let count = state.commands.iter().take_while(fits).count().max(1);
        let batch: Vec<Request> = if state.commands.len() <= count {
            mem::take(&mut state.commands).into()
        } else {
            state.commands.drain(..count).collect()
        };
        state.bytes -= batch.iter().map(weight).sum::<usize>();
        state.command_waits.taken(batch.len(), Instant::now(), &self.command_waits);
        let resume = self.room(&mut state);
        let ended = state.closed && state.commands.is_empty() && batch.is_empty();
        let left = mem::take(&mut state.left);
        if !left.is_empty() {
            // The thread of presence may wait for room.
            self.presence.notify_one();
        }
        let tidy = state.tidies(tidied);
        Taken { batch, crowded, resume, ended, left, tidy }
    }

    /// Whether those who were left with something are to be told, once.
    fn room(&self, state: &mut State) -> bool {
        let room =
            state.count() <= self.bounds.requests / 2 && state.bytes <= self.bounds.bytes / 2;
        room && mem::take(&mut state.refused)
    }

    /// Hands reads on to the readers, and what concerns presence to its thread. Both count against
    /// the bounds from here on.
    pub(crate) fn hand_on(&self, reads: Vec<Request>, presence: Vec<Heard>) {
        if reads.is_empty() && presence.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut state = self.lock();
        let heard = presence.iter().map(|heard| &heard.request);
        state.bytes += reads.iter().chain(heard).map(weight).sum::<usize>();
        let wakes_readers = !reads.is_empty();
        let wakes_presence = !presence.is_empty() && mem::take(&mut state.presence_sleeps);
        state.read_waits.came(reads.len(), now);
        state.reads.extend(reads);
        state.presence.extend(presence);
        drop(state);
        if wakes_readers {
            self.readers.notify_all();
        }
        if wakes_presence {
            self.presence.notify_one();
        }
    }

    /// Waits for what concerns presence, at most as long as given (`None`: as long as it takes).
    pub(crate) fn take_presence(&self, wait: Option<Duration>, tidied: &mut Tidied) -> Handed {
        let mut state = self.lock();
        let is_idle = state.presence.is_empty() && wait != Some(Duration::ZERO);
        if is_idle && !state.reads_closed && !state.is_untidy(tidied) {
            state.presence_sleeps = true;
            state = match wait {
                None => self.presence.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    let waited = self.presence.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.presence_sleeps = false;
        }
        let batch = mem::take(&mut state.presence);
        state.bytes -= batch.iter().map(|heard| weight(&heard.request)).sum::<usize>();
        let resume = self.room(&mut state);
        let ended = state.reads_closed && batch.is_empty();
        let tidy = state.tidies(tidied);
        Handed { batch, resume, ended, tidy }
    }

    /// Hands users who left to the writer; waits while it has not taken those before them.
    pub(crate) fn hand_back(&self, left: Vec<(UserId, Timestamp)>) {
        let mut rest = left.into_iter();
        let mut state = self.lock();
        while rest.len() > 0 {
            if state.left.len() >= LEFT_MAX {
                state = self.presence.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let room = LEFT_MAX - state.left.len();
            state.left.extend(rest.by_ref().take(room));
            if mem::take(&mut state.writer_sleeps) {
                self.writer.notify_one();
            }
        }
    }

    /// The thread of presence has handed back all there is.
    pub(crate) fn end_presence(&self) {
        self.lock().presence_ended = true;
        self.writer.notify_one();
    }

    /// For the writer, at its end: waits for users who left; `None` when there will be none any more.
    pub(crate) fn take_left(&self) -> Option<Vec<(UserId, Timestamp)>> {
        let mut state = self.lock();
        while state.left.is_empty() && !state.presence_ended {
            state.writer_sleeps = true;
            state = self.writer.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let left = mem::take(&mut state.left);
        self.presence.notify_one();
        (!left.is_empty()).then_some(left)
    }

    /// Waits for a read, or to be asked to give memory back; `None` when there will be no read any
    /// more.
    pub(crate) fn take_read(&self, tidied: &mut Tidied) -> Option<Fetched> {
        let mut state = self.lock();
        loop {
            if let Some(read) = state.reads.pop_front() {
                state.bytes -= weight(&read);
                state.read_waits.taken(1, Instant::now(), &self.read_waits);
                let resume = self.room(&mut state);
                return Some(Fetched { request: Some(read), resume });
            }
            if state.reads_closed {
                return None;
            }
            if state.tidies(tidied) {
                state.reads.shrink_to_fit();
                return Some(Fetched { request: None, resume: false });
            }
            state = self.readers.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks each thread to give memory back when it has done what waits for it.
    pub(crate) fn ask_to_tidy(&self) {
        self.lock().tidies += 1;
        self.writer.notify_all();
        self.readers.notify_all();
        self.presence.notify_all();
    }

    /// Takes nothing in any more; what waits is still to be done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.writer.notify_all();
    }

    /// The writer is done; readers end when they have answered what waits.
    pub(crate) fn close_reads(&self) {
        self.lock().reads_closed = true;
        self.readers.notify_all();
        self.presence.notify_one();
    }

    /// How many requests and bytes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.count(), state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hubbub_proto::command::{GroupCreate, JoinPolicy};
    use hubbub_proto::route::Stamp;
    use hubbub_proto::{CommandId, ConnId, DeviceId, Identity, UserId};

    use super::*;

    fn requests(count: u32) -> VecDeque<Request> {
        let identity = Arc::new(Identity {
            user: UserId::new("alice").unwrap(),
            name: None,
            roles: Box::default(),
            device: DeviceId::new("d").unwrap(),
            device_named: false,
            expires_at: None,
            issued_at: None,
            rare: None,
            authority: hubbub_proto::route::Authority::default(),
        });
        let request = |slot: u32| Request {
            conn: ConnId { shard: 0, slot, generation: 0 },
            read_at: Stamp::default(),
            identity: Arc::clone(&identity),
            work: Work::Command {
                id: CommandId::new(&slot.to_string()).ok(),
                command: Command::Ping,
            },
        };
        (0..count).map(request).collect()
    }

    fn queue(requests: usize, bytes: usize) -> Queue {
        Queue::new(Bounds { requests, bytes })
    }

    fn slots(batch: &[Request]) -> Vec<u32> {
        batch.iter().map(|request| request.conn.slot).collect()
    }

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn what_does_not_fit_stays_and_is_called_for_at_half() {
        let queue = queue(4, usize::MAX);
        let mut batch = requests(6);
        assert!(queue.submit(&mut batch));
        assert_eq!(slots(batch.make_contiguous()), [4, 5]);
        let taken = queue.take(1, NOW, &mut Tidied::default());
        assert_eq!((slots(&taken.batch), taken.crowded, taken.resume), (vec![0], true, false));
        let taken = queue.take(1, NOW, &mut Tidied::default());
        assert_eq!((slots(&taken.batch), taken.resume), (vec![1], true));
        let taken = queue.take(9, NOW, &mut Tidied::default());
        assert_eq!((slots(&taken.batch), taken.crowded, taken.resume), (vec![2, 3], false, false));
        assert_eq!(queue.waiting(), (0, 0));
    }

    #[test]
    fn a_batch_is_as_large_as_the_rows_it_writes() {
        let queue = queue(100, usize::MAX);
        let mut batch = requests(4);
        let members = (0..10).map(|n| UserId::new(&format!("u{n}")).unwrap()).collect();
        let create =
            GroupCreate { name: "g".into(), members, join: JoinPolicy::Invite, client_id: None };
        batch[1].work = Work::Command { id: None, command: Command::GroupCreate(create) };
        queue.submit(&mut batch);
        let taken = || slots(&queue.take(10, NOW, &mut Tidied::default()).batch);
        assert_eq!((taken(), taken(), taken()), (vec![0], vec![1], vec![2, 3]));
    }

    #[test]
    fn bytes_are_bounded_too_but_an_empty_queue_takes_anything() {
        let one = weight(&requests(1)[0]);
        let queue = queue(100, one * 2 + 1);
        let mut batch = requests(3);
        queue.submit(&mut batch);
        assert_eq!((batch.len(), queue.waiting()), (1, (2, one * 2)));
        let tiny = Queue::new(Bounds { requests: 100, bytes: 1 });
        let mut batch = requests(2);
        tiny.submit(&mut batch);
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn reads_handed_on_count_until_a_reader_takes_them() {
        let queue = queue(2, usize::MAX);
        let mut batch = requests(3);
        queue.submit(&mut batch);
        queue.hand_on(queue.take(9, NOW, &mut Tidied::default()).batch, Vec::new());
        assert_eq!(queue.waiting().0, 2);
        queue.submit(&mut batch);
        assert_eq!(batch.len(), 1, "the reads fill it");
        let fetched = queue.take_read(&mut Tidied::default()).unwrap();
        assert_eq!((slots(fetched.request.as_slice()), fetched.resume), (vec![0], true));
        queue.submit(&mut batch);
        assert_eq!((batch.len(), queue.waiting().0), (0, 2));
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_gives_the_rest() {
        let queue = queue(9, usize::MAX);
        queue.submit(&mut requests(2));
        queue.close();
        let mut late = requests(1);
        assert!(!queue.submit(&mut late));
        assert_eq!(late.len(), 1);
        let taken = queue.take(9, None, &mut Tidied::default());
        assert_eq!((taken.batch.len(), taken.ended), (2, false));
        assert!(queue.take(9, None, &mut Tidied::default()).ended);
        queue.hand_on(taken.batch, Vec::new());
        queue.close_reads();
        let rest = std::iter::from_fn(|| queue.take_read(&mut Tidied::default())).count();
        assert_eq!(rest, 2);
    }

    #[test]
    fn each_thread_gives_memory_back_once_for_each_time_it_is_asked() {
        let queue = queue(9, usize::MAX);
        let (mut writer, mut presence) = (Tidied::default(), Tidied::default());
        let (mut one, mut other) = (Tidied::default(), Tidied::default());
        for _ in 0..2 {
            queue.ask_to_tidy();
            // None of these waits: it has something to do.
            assert!(queue.take(9, None, &mut writer).tidy);
            assert!(queue.take_presence(None, &mut presence).tidy);
            for reader in [&mut one, &mut other] {
                assert!(queue.take_read(reader).unwrap().request.is_none());
            }
            assert!(!queue.take(9, NOW, &mut writer).tidy);
            assert!(!queue.take_presence(NOW, &mut presence).tidy);
        }
        queue.ask_to_tidy();
        queue.hand_on(requests(1).into(), Vec::new());
        assert!(queue.take_read(&mut one).unwrap().request.is_some(), "what waits goes first");
        assert!(queue.take_read(&mut one).unwrap().request.is_none());
    }
}
