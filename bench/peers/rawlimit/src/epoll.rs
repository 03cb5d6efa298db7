//! Level-triggered epoll, and poll(2) for a single socket that is full.
//!
//! Why the unsafe code is sound: every pointer handed to the kernel comes from a live local or a
//! slice whose length is handed over with it; the epoll descriptor is checked and then owned by an
//! `OwnedFd`. Every bench run passes through each function.
#![expect(unsafe_code, reason = "system calls; see above")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const BATCH: usize = 1024;
const FULL_WAIT_MS: i32 = 1000;

pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is checked before it is owned.
        let fd = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    /// Watches `source` for input until it is closed.
    pub(crate) fn add(&self, source: &impl AsRawFd) -> io::Result<()> {
        let fd = source.as_raw_fd();
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: `event` outlives the call, which copies it.
        match unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until something is readable and appends its descriptor to `ready`.
    pub(crate) fn wait(&mut self, ready: &mut Vec<RawFd>) {
        // SAFETY: the kernel writes at most BATCH entries into `events`, which has as many.
        let count = unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), BATCH as i32, -1)
        };
        ready
            .extend(self.events.iter().take(count.max(0) as usize).map(|event| event.u64 as RawFd));
    }

    /// Waits until `sink` takes bytes again.
    pub(crate) fn wait_writable(&self, sink: &impl AsRawFd) {
        let mut poll = libc::pollfd { fd: sink.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry, which outlives the call.
        unsafe { libc::poll(&raw mut poll, 1, FULL_WAIT_MS) };
    }
}
