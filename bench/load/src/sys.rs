//! The few system calls that the standard library does not offer: epoll with a timeout in
//! microseconds, a connection from a chosen source address, and the descriptor limit.
//!
//! Why the unsafe code is sound: every pointer handed to the kernel comes from a live local or
//! a slice whose length is handed over with it; the structures are plain C data for which every
//! bit pattern, zero included, is valid; a descriptor is wrapped in an `OwnedFd` immediately after
//! the call that made it and its result was checked, so it has one owner. The tests below and
//! every bench run pass through each function.
#![expect(unsafe_code, reason = "system calls; see above")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A descriptor that is ready, as epoll reports it.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// A level-triggered epoll instance.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn interest(write: bool) -> i32 {
    if write { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN }
}

impl Epoll {
    /// An instance that reports at most `batch` descriptors per wait.
    pub(crate) fn new(batch: usize) -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is checked and has no other owner.
        let fd =
            unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; batch] })
    }

    fn control(&self, operation: i32, fd: RawFd, token: usize, interest: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: token as u64 };
        // SAFETY: `event` outlives the call, which copies it.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) })?;
        Ok(())
    }

    /// Watches `fd` for input, and for room to write if `write`; closing it ends the watch.
    pub(crate) fn add(&self, fd: &impl AsRawFd, token: usize, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), token, interest(write))
    }

    /// Changes whether room to write is of interest.
    pub(crate) fn modify(&self, fd: &impl AsRawFd, token: usize, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), token, interest(write))
    }

    /// Reports nothing but failures of `fd` until the next [`modify`](Self::modify).
    pub(crate) fn ignore(&self, fd: &impl AsRawFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), token, 0)
    }

    /// Waits at most `timeout_us` microseconds and appends what is ready to `ready`.
    pub(crate) fn wait(&mut self, timeout_us: u64, ready: &mut Vec<Ready>) {
        let timeout = libc::timespec {
            tv_sec: (timeout_us / 1_000_000) as libc::time_t,
            tv_nsec: (timeout_us % 1_000_000 * 1000) as libc::c_long,
        };
        // SAFETY: the kernel writes at most `events.len()` entries into `events`; the signal mask
        // is absent and `timeout` outlives the call.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                size_of::<u64>(),
            )
        };
        let input = (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        ready.extend(self.events.iter().take(count.max(0) as usize).map(|event| Ready {
            token: event.u64 as usize,
            readable: event.events & input != 0,
            writable: event.events & libc::EPOLLOUT as u32 != 0,
        }));
    }
}

fn socket_address(address: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: plain C data, valid when zeroed.
    let mut raw: libc::sockaddr_in = unsafe { zeroed() };
    raw.sin_family = libc::AF_INET as libc::sa_family_t;
    raw.sin_port = address.port().to_be();
    raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
    raw
}

fn set_option(
    stream: &TcpStream,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: `value` outlives the call, and its size is the one named.
    checked(unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Starts a non-blocking connection to `remote`, from `local` if one is given and with a receive
/// buffer of `receive_bytes` instead of the kernel's choice; it is established (or has failed) once
/// it becomes writable.
pub(crate) fn start_connecting(
    local: Option<Ipv4Addr>,
    remote: SocketAddrV4,
    receive_bytes: Option<i32>,
) -> io::Result<TcpStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the descriptor is checked and has no other owner.
    let stream = unsafe { TcpStream::from_raw_fd(checked(libc::socket(libc::AF_INET, kind, 0))?) };
    stream.set_nodelay(true)?;
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    if let Some(local) = local {
        // The kernel then chooses the port at connect(2), so that ports are shared between
        // destinations.
        set_option(&stream, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        let from = socket_address(SocketAddrV4::new(local, 0));
        // SAFETY: `from` outlives the call, and its size is the one named.
        checked(unsafe { libc::bind(stream.as_raw_fd(), (&raw const from).cast(), length) })?;
    }
    if let Some(bytes) = receive_bytes {
        set_option(&stream, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)?;
    }
    let to = socket_address(remote);
    // SAFETY: `to` outlives the call, and its size is the one named.
    match checked(unsafe { libc::connect(stream.as_raw_fd(), (&raw const to).cast(), length) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(stream),
    }
}

/// Raises the limit of open descriptors as far as this process may.
pub(crate) fn raise_descriptor_limit() {
    // SAFETY: both structures are plain C data that outlive the calls.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    #[test]
    fn a_connection_from_a_chosen_address_becomes_writable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(remote) = listener.local_addr().unwrap() else {
            panic!("bound to IPv4")
        };
        let local = Ipv4Addr::new(127, 0, 0, 9);
        let stream = start_connecting(Some(local), remote, Some(8192)).unwrap();
        let mut epoll = Epoll::new(8).unwrap();
        epoll.add(&stream, 42, true).unwrap();
        let (mut accepted, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), local);
        let mut ready = vec![];
        epoll.wait(5_000_000, &mut ready);
        assert_eq!((ready[0].token, ready[0].writable), (42, true));
        assert!(stream.take_error().unwrap().is_none());

        // Without an interest in writing, nothing is reported until there is input.
        epoll.modify(&stream, 42, false).unwrap();
        ready.clear();
        epoll.wait(1, &mut ready);
        assert!(ready.is_empty());

        // What is ignored is not reported, and comes up again afterwards.
        epoll.ignore(&stream, 42).unwrap();
        accepted.write_all(b"x").unwrap();
        epoll.wait(1, &mut ready);
        assert!(ready.is_empty());
        epoll.modify(&stream, 42, false).unwrap();
        epoll.wait(5_000_000, &mut ready);
        assert!(ready[0].readable);
        drop(stream);
        // Closed with a byte unread, so the other end may see a reset instead of an end.
        assert!(matches!(accepted.read(&mut [0]), Ok(0) | Err(_)));
    }
}
