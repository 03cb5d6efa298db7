//! Models of what threads share, tried in every order that they could run in (loom).
//!
//! The code is the hub's own file; only its lock is loom's. A lost wake-up shows as a deadlock: the
//! reader sleeps for ever. Run by `scripts/test loom`. Deliberately absent: the event queue, which
//! is modelled as what it promises, a wake-up that stays until the reader has seen it.

#[cfg(test)]
#[path = "../../crates/hub/src/mailbox.rs"]
#[expect(dead_code, reason = "how much waits is for who exports it, which no model does")]
mod mailbox;

#[cfg(test)]
mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

#[cfg(test)]
mod models {
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use crate::mailbox::{Letter, Mailbox};

    /// How often a thread is interrupted where it could have gone on, at most. Without a bound a
    /// model takes hours, and what goes wrong goes wrong with few interruptions.
    const INTERRUPTIONS: usize = 4;

    /// Runs `threads` in all these orders.
    fn model(threads: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(INTERRUPTIONS);
        builder.check(threads);
    }

    /// From whom, its number, and whether it may be lost.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    struct Note {
        from: usize,
        number: u32,
        weight: usize,
        must_arrive: bool,
    }

    fn note(from: usize, number: u32) -> Note {
        Note { from, number, weight: 1, must_arrive: true }
    }

    impl Letter for Note {
        type Losses = usize;

        fn weight(&self) -> usize {
            self.weight
        }

        fn shrink(self, losses: &mut usize) -> Option<Self> {
            if self.must_arrive {
                return Some(self);
            }
            *losses += 1;
            None
        }
    }

    /// A shard's inbox: the mailbox, and the event queue's wake-up.
    struct Inbox {
        mailbox: Mailbox<Note>,
        woken: Mutex<bool>,
        wake_up: Condvar,
    }

    impl Inbox {
        fn new(bytes_max: usize) -> Arc<Self> {
            Arc::new(Self {
                mailbox: Mailbox::new(bytes_max),
                woken: Mutex::new(false),
                wake_up: Condvar::new(),
            })
        }

        fn post(&self, notes: &[Note]) -> Result<(), Vec<Note>> {
            if self.mailbox.put(notes.to_vec())? {
                *self.woken.lock().unwrap() = true;
                self.wake_up.notify_one();
            }
            Ok(())
        }

        /// What the shard's loop does: sleeps if there is nothing, then takes everything. Answers
        /// what was lost.
        fn turn(&self, into: &mut Vec<Note>) -> usize {
            if self.mailbox.sleep() {
                let mut woken = self.woken.lock().unwrap();
                while !*woken {
                    woken = self.wake_up.wait(woken).unwrap();
                }
                *woken = false;
            }
            self.mailbox.take(into)
        }
    }

    #[test]
    fn no_wake_up_is_lost_and_the_order_of_each_writer_is_kept() {
        model(|| {
            let inbox = Inbox::new(100);
            let writers: Vec<_> = (0..2)
                .map(|from| {
                    let inbox = inbox.clone();
                    thread::spawn(move || {
                        inbox.post(&[note(from, 1)]).unwrap();
                        inbox.post(&[note(from, 2), note(from, 3)]).unwrap();
                    })
                })
                .collect();
            let mut got: Vec<Note> = Vec::new();
            while got.len() < 6 {
                let mut notes = Vec::new();
                assert_eq!(inbox.turn(&mut notes), 0);
                got.append(&mut notes);
            }
            for from in 0..2 {
                let numbers = got.iter().filter(|note| note.from == from).map(|note| note.number);
                assert!(numbers.eq(1..=3), "{got:?}");
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        });
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_arrives() {
        model(|| {
            let inbox = Inbox::new(2);
            let writer = inbox.clone();
            let writer = thread::spawn(move || {
                for number in 1..=3 {
                    let heavy = Note { weight: 2, must_arrive: false, ..note(0, number) };
                    writer.post(&[heavy, note(1, number)]).unwrap();
                }
            });
            let (mut got, mut lost) = (Vec::new(), 0);
            // The last letter that must arrive says that the writer is done.
            while got.last() != Some(&note(1, 3)) {
                let mut notes = Vec::new();
                lost += inbox.turn(&mut notes);
                let bytes: usize = notes.iter().map(Letter::weight).sum();
                assert!(bytes <= 2 + 2 + 3, "the bound, one letter over it, what must arrive");
                got.append(&mut notes);
            }
            writer.join().unwrap();
            assert_eq!(got.iter().filter(|note| note.from == 0).count() + lost, 3, "{got:?}");
            let numbers = got.iter().filter(|note| note.from == 1).map(|note| note.number);
            assert!(numbers.eq(1..=3), "{got:?}");
        });
    }

    #[test]
    fn a_closed_mailbox_gives_everything_back_once() {
        model(|| {
            let inbox = Inbox::new(100);
            let writer = inbox.clone();
            let writer = thread::spawn(move || {
                let mut back = Vec::new();
                for number in 1..=2 {
                    if let Err(notes) = writer.post(&[note(0, number)]) {
                        back.extend(notes);
                    }
                }
                back
            });
            let mut got = Vec::new();
            inbox.mailbox.take(&mut got);
            let mut all = got;
            all.extend(inbox.mailbox.close());
            all.extend(writer.join().unwrap());
            assert_eq!(all, [note(0, 1), note(0, 2)], "none is lost, none is there twice");
        });
    }
}
