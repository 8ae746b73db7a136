//! UDP listeners: many datagrams for one system call, and what ICMP says about them.
//!
//! All `unsafe` of the signalling side is here: `recvmmsg`, `sendmmsg` and the error queue, for which no safe
//! wrapper exists. The arrays that the kernel is given live for the whole call and are rebuilt before each.

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use vocab::ListenerId;

/// Datagrams in one system call.
pub const BATCH: usize = 32;
/// No datagram is longer.
const LONGEST: usize = 65_536;
/// Wanted in the kernel for bursts; it grants what its limits allow.
const KERNEL_BUFFER: usize = 8 << 20;

/// A bound socket with what is to be sent from it.
#[derive(Debug)]
pub struct UdpListener {
    pub id: ListenerId,
    socket: UdpSocket,
    local: SocketAddr,
    outgoing: Vec<(SockAddr, Vec<u8>)>,
    /// Datagrams that the kernel did not take.
    pub dropped: u64,
}

impl UdpListener {
    pub fn bind(id: ListenerId, address: SocketAddr, dscp: u8) -> io::Result<UdpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        let tos = u32::from(dscp) << 2;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(tos)?;
        } else {
            socket.set_tos_v4(tos)?;
        }
        enlarge(&socket, libc::SO_RCVBUF, libc::SO_RCVBUFFORCE);
        enlarge(&socket, libc::SO_SNDBUF, libc::SO_SNDBUFFORCE);
        report_errors(&socket, address.is_ipv6())?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        Ok(UdpListener { id, socket, local, outgoing: Vec::new(), dropped: 0 })
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Puts a datagram with those that [`UdpListener::flush`] sends.
    pub fn queue(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.outgoing.push((self.address(to).into(), bytes));
        if self.outgoing.len() >= BATCH {
            self.flush();
        }
    }

    /// The form of an address that this socket's family takes.
    fn address(&self, to: SocketAddr) -> SocketAddr {
        match (self.local, to) {
            (SocketAddr::V4(_), SocketAddr::V6(v6)) => match v6.ip().to_ipv4_mapped() {
                Some(v4) => SocketAddr::from((v4, v6.port())),
                None => to,
            },
            _ => to,
        }
    }

    /// Sends all that is queued. A datagram that the kernel does not take is lost, as on the wire: SIP sends again.
    pub fn flush(&mut self) {
        let mut sent = 0;
        let mut pending_errors = 0;
        while let Some(rest) = self.outgoing.get(sent..).filter(|r| !r.is_empty()) {
            match send_batch(self.socket.as_raw_fd(), rest) {
                Ok(count) => (sent, pending_errors) = (sent + count, 0),
                // What the error queue will tell about an earlier datagram comes up here once as well.
                Err(e) if is_about_earlier(&e) && pending_errors < BATCH => pending_errors += 1,
                Err(_) => {
                    self.dropped += 1;
                    sent += 1;
                }
            }
        }
        self.outgoing.clear();
    }

    /// The next address of which ICMP says that nothing reaches it; `None` when there is no more to be told.
    pub fn take_error(&self) -> Option<Unreachable> {
        take_error(self.socket.as_raw_fd())
    }
}

/// What the error queue said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// Nobody is there.
    Address(SocketAddr),
    /// Something that does not end calls (too big, time exceeded on the way, …).
    Other,
}

fn is_about_earlier(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EINTR | libc::EPROTO)
    )
}

fn set_option(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4);
    // SAFETY: the pointer is to an `i32` that lives through the call, and its length is given.
    let done =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Beyond the system's limit where we may, else up to it.
fn enlarge(socket: &Socket, option: i32, forced: i32) {
    let size = i32::try_from(KERNEL_BUFFER).unwrap_or(i32::MAX);
    if set_option(socket, libc::SOL_SOCKET, forced, size).is_err() {
        let _ = set_option(socket, libc::SOL_SOCKET, option, size);
    }
}

fn report_errors(socket: &Socket, v6: bool) -> io::Result<()> {
    match v6 {
        false => set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1),
        true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
    }
}

/// Room for one batch of arriving datagrams, shared by all sockets of the thread.
pub struct Arrivals {
    buffers: Box<[[u8; LONGEST]]>,
    from: Box<[SockAddrStorage]>,
    lengths: [(usize, libc::socklen_t); BATCH],
}

impl Default for Arrivals {
    fn default() -> Arrivals {
        Arrivals {
            buffers: vec![[0; LONGEST]; BATCH].into_boxed_slice(),
            from: (0..BATCH).map(|_| SockAddrStorage::zeroed()).collect(),
            lengths: [(0, 0); BATCH],
        }
    }
}

impl Arrivals {
    /// Takes up to a batch from the socket; says how many came. An error means that the error queue has something to tell.
    pub fn receive(&mut self, listener: &UdpListener) -> io::Result<usize> {
        let size = libc::socklen_t::try_from(size_of::<SockAddrStorage>()).unwrap_or(0);
        let mut pieces: [libc::iovec; BATCH] = std::array::from_fn(|i| match self.buffers.get_mut(i) {
            Some(b) => libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: LONGEST },
            None => libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
        });
        // SAFETY: all-zero is a valid `mmsghdr` (null pointers and zero lengths).
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        for ((header, piece), from) in headers.iter_mut().zip(&mut pieces).zip(&mut self.from) {
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut *from).cast();
            header.msg_hdr.msg_namelen = size;
        }
        let fd = listener.socket.as_raw_fd();
        // SAFETY: `headers` point to `pieces`, `buffers` and `from`, with their lengths; all live through the call.
        let count = unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH_U32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for (length, header) in self.lengths.iter_mut().zip(headers.iter().take(count)) {
            *length = (header.msg_len as usize, header.msg_hdr.msg_namelen);
        }
        Ok(count)
    }

    /// Datagram `i` of the last batch, and where it came from.
    pub fn get(&self, i: usize) -> Option<(SocketAddr, &[u8])> {
        let (length, name_length) = *self.lengths.get(i)?;
        let mut storage = SockAddrStorage::zeroed();
        let from = self.from.get(i)?;
        // SAFETY: both are plain bytes of the same type; the kernel wrote a valid address of `name_length` into it.
        let address = unsafe {
            std::ptr::copy_nonoverlapping(from, &raw mut storage, 1);
            SockAddr::new(storage, name_length)
        };
        Some((address.as_socket()?, self.buffers.get(i)?.get(..length)?))
    }
}

const BATCH_U32: u32 = 32;

fn send_batch(fd: RawFd, datagrams: &[(SockAddr, Vec<u8>)]) -> io::Result<usize> {
    // SAFETY: all-zero is a valid `iovec` and `mmsghdr`.
    let (mut pieces, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (zeroed(), zeroed()) };
    let mut count = 0;
    for ((header, piece), (to, bytes)) in headers.iter_mut().zip(&mut pieces).zip(datagrams) {
        // The kernel only reads through these pointers.
        *piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        header.msg_hdr.msg_iov = piece;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = to.len();
        count += 1;
    }
    // SAFETY: the first `count` headers point to live addresses and datagrams, with their lengths.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Room for the control messages of one error: the report and the address of who sent it.
#[repr(align(8))]
struct ControlBuffer([u8; 512]);

fn take_error(fd: RawFd) -> Option<Unreachable> {
    let mut control = ControlBuffer([0; 512]);
    let mut destination = SockAddrStorage::zeroed();
    let mut start = [0u8; 64];
    let mut piece = libc::iovec { iov_base: start.as_mut_ptr().cast(), iov_len: start.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = (&raw mut destination).cast();
    header.msg_namelen = libc::socklen_t::try_from(size_of::<SockAddrStorage>()).unwrap_or(0);
    header.msg_iov = &mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    // SAFETY: every pointer in `header` is to a live buffer with its length.
    let got = unsafe { libc::recvmsg(fd, &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if got < 0 {
        return None;
    }
    // SAFETY: the kernel wrote the address of the datagram's destination, of `msg_namelen` bytes.
    let destination = unsafe { SockAddr::new(destination, header.msg_namelen) };
    let refused = error_number(&header).is_some_and(|e| {
        matches!(e, libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN)
    });
    Some(destination.as_socket().filter(|_| refused).map_or(Unreachable::Other, Unreachable::Address))
}

/// The error number of the first report in the control messages.
fn error_number(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: the header's control buffer was filled by `recvmsg` and the macros stay within it.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !at.is_null() {
        // SAFETY: `at` is a control message of the buffer.
        let (level, kind) = unsafe { ((*at).cmsg_level, (*at).cmsg_type) };
        if matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            let mut report = MaybeUninit::<libc::sock_extended_err>::uninit();
            // SAFETY: a message of this kind holds one `sock_extended_err`, perhaps unaligned.
            return Some(unsafe {
                std::ptr::copy_nonoverlapping(libc::CMSG_DATA(at).cast(), report.as_mut_ptr(), 1);
                i32::try_from(report.assume_init().ee_errno).unwrap_or(0)
            });
        }
        // SAFETY: as above.
        at = unsafe { libc::CMSG_NXTHDR(header, at) };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn listener(address: &str) -> UdpListener {
        UdpListener::bind(ListenerId(0), address.parse().unwrap(), 24).unwrap()
    }

    fn wait_for(listener: &UdpListener) {
        use rustix::event::{PollFd, PollFlags, poll};
        let fd = listener.fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let limit = rustix::time::Timespec { tv_sec: 5, tv_nsec: 0 };
        poll(&mut fds, Some(&limit)).unwrap();
    }

    #[test]
    fn datagrams_pass_in_batches() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let (mut a, b) = (listener(local), listener(local));
            let mut arrivals = Arrivals::default();
            let sent: Vec<Vec<u8>> = (0u8..50).map(|i| vec![i; usize::from(i) * 100]).collect();
            sent.iter().for_each(|bytes| a.queue(b.local(), bytes.clone()));
            a.flush();
            let mut got = Vec::new();
            while got.len() < sent.len() {
                wait_for(&b);
                let count = arrivals.receive(&b).unwrap();
                assert!(count > 0, "only {} of {} came", got.len(), sent.len());
                for i in 0..count {
                    let (from, bytes) = arrivals.get(i).unwrap();
                    assert_eq!(from, a.local());
                    got.push(bytes.to_vec());
                }
            }
            assert_eq!((got, a.dropped), (sent, 0));
            assert_eq!(arrivals.receive(&b).unwrap(), 0);
        }
    }

    #[test]
    fn refused_datagrams_are_told_with_their_address() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let mut a = listener(local);
            let (gone, b) = (listener(local), listener(local));
            let gone_address = gone.local();
            drop(gone);
            assert_eq!(a.take_error(), None);
            a.queue(gone_address, b"x".to_vec());
            a.flush();
            wait_for(&a);
            // The error that waits must not cost the next datagram.
            a.queue(b.local(), b"y".to_vec());
            a.flush();
            assert_eq!(a.take_error(), Some(Unreachable::Address(gone_address)));
            assert_eq!(a.take_error(), None);
            let mut arrivals = Arrivals::default();
            b.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            wait_for(&b);
            assert_eq!((arrivals.receive(&b).unwrap(), arrivals.get(0).unwrap().1), (1, &b"y"[..]));
        }
    }

    #[test]
    fn too_long_a_datagram_is_dropped_alone() {
        let (mut a, b) = (listener("127.0.0.1:0"), listener("127.0.0.1:0"));
        a.queue(b.local(), vec![0; 70_000]);
        a.queue(b.local(), b"after".to_vec());
        a.flush();
        wait_for(&b);
        let mut arrivals = Arrivals::default();
        assert_eq!((arrivals.receive(&b).unwrap(), arrivals.get(0).unwrap().1), (1, &b"after"[..]));
    }
}
