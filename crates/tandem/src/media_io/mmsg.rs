//! Batches of datagrams: `recvmmsg` and `sendmmsg` behind a safe face. The only unsafe code of the media path.
//!
//! One [`Batch`] belongs to one thread and is used for one socket after the other: receive, decide, queue what is to
//! be forwarded (out of the same buffers, nothing is copied), send.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Datagrams a batch holds. What is left in the socket comes with the next one.
pub const BATCH: usize = 32;
/// Longer datagrams are dropped: above any MTU that RTP is packed for.
pub const BUFFER: usize = 2048;

/// What the kernel writes and reads: buffers, and the headers that point into them. Never moves once made.
struct Storage {
    data: [[u8; BUFFER]; BATCH],
    incoming: Headers,
    outgoing: Headers,
}

struct Headers {
    names: [libc::sockaddr_storage; BATCH],
    vectors: [libc::iovec; BATCH],
    messages: [libc::mmsghdr; BATCH],
}

/// Buffers for one batch.
pub struct Batch {
    storage: NonNull<Storage>,
    received: usize,
    queued: usize,
}

/// The size of a `sockaddr_storage`, as the kernel wants it.
const NAME_LEN: libc::socklen_t = 128;
const V4_LEN: libc::socklen_t = 16;
const V6_LEN: libc::socklen_t = 28;
const VLEN: libc::c_uint = 32;
const _: () = assert!(size_of::<libc::sockaddr_storage>() == 128 && VLEN as usize == BATCH);
const _: () = assert!(size_of::<libc::sockaddr_in>() == 16 && size_of::<libc::sockaddr_in6>() == 28);

impl Default for Batch {
    fn default() -> Batch {
        // SAFETY: all-zero bytes are a valid `Storage`: integers, and raw pointers that are allowed to be null.
        let zeroed: Box<Storage> = unsafe { Box::<Storage>::new_zeroed().assume_init() };
        let storage = NonNull::from(Box::leak(zeroed));
        let p = storage.as_ptr();
        for i in 0..BATCH {
            // SAFETY: `p` points to the live `Storage` that this batch owns and nothing else refers to; `i` is below
            // the length of each array. Only raw pointers into it are made, and it is not moved before it is freed.
            unsafe {
                let data = (&raw mut (*p).data[i]).cast();
                point(&raw mut (*p).incoming, i, data);
                point(&raw mut (*p).outgoing, i, data);
                (*p).incoming.vectors[i].iov_len = BUFFER;
                (*p).incoming.messages[i].msg_hdr.msg_namelen = NAME_LEN;
            }
        }
        Batch { storage, received: 0, queued: 0 }
    }
}

impl Batch {
    /// Takes what waits in the socket, up to [`BATCH`] datagrams, without waiting. Forgets the batch before.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let p = self.storage.as_ptr();
        // The kernel wrote the lengths of the names of the last batch; only those need to be set again.
        for i in 0..self.received {
            // SAFETY: as in `default`: owned, live, and `received` is at most `BATCH`.
            unsafe { (*p).incoming.messages[i].msg_hdr.msg_namelen = NAME_LEN }
        }
        (self.received, self.queued) = (0, 0);
        // SAFETY: the descriptor is borrowed, so it is open; the headers, all `BATCH` of them, point to buffers of the
        // lengths they state inside `Storage`, which the kernel may write because nobody holds a reference into it.
        let n = unsafe {
            let messages = (&raw mut (*p).incoming.messages).cast();
            libc::recvmmsg(socket.as_raw_fd(), messages, VLEN, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        self.received = usize::try_from(n).map_err(|_| io::Error::last_os_error())?.min(BATCH);
        Ok(self.received)
    }

    /// Datagram `i` of the batch received, and whence it came. `None` when it was longer than a buffer, or not IP.
    pub fn packet(&self, i: usize) -> Option<(SocketAddr, &[u8])> {
        if i >= self.received {
            return None;
        }
        // SAFETY: live and owned; `i` is below `received` ≤ `BATCH`. The shared borrow of `self` that the result keeps
        // excludes `receive`, the only way to write into `data` again.
        unsafe {
            let storage = self.storage.as_ref();
            let message = &storage.incoming.messages[i];
            if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                return None;
            }
            let bytes = storage.data[i].get(..usize::try_from(message.msg_len).ok()?)?;
            Some((socket_address(&storage.incoming.names[i])?, bytes))
        }
    }

    /// Puts other bytes in the place of datagram `i` of the batch received. False: there is no room for them.
    pub fn replace(&mut self, i: usize, bytes: &[u8]) -> bool {
        let Ok(len) = libc::c_uint::try_from(bytes.len()) else { return false };
        if i >= self.received {
            return false;
        }
        // SAFETY: live and owned; `i` is below `received` ≤ `BATCH`. The exclusive borrow of `self` excludes every
        // reference that `packet` gave out, and `bytes`, a reference, does not point into what we own exclusively.
        let storage = unsafe { self.storage.as_mut() };
        let Some(place) = storage.data[i].get_mut(..bytes.len()) else { return false };
        place.copy_from_slice(bytes);
        storage.incoming.messages[i].msg_len = len;
        true
    }

    /// Datagram `i` of the batch received is to go to `to` with the next `send`.
    pub fn queue(&mut self, i: usize, to: SocketAddr) {
        if i >= self.received || self.queued >= BATCH {
            return;
        }
        let p = self.storage.as_ptr();
        // SAFETY: live and owned, both indices below `BATCH`; a `sockaddr_storage` is large and aligned enough for
        // both kinds of address. The pointer to `data[i]` stays valid as `Storage` does not move.
        unsafe {
            let out = &raw mut (*p).outgoing;
            let name = &raw mut (*out).names[self.queued];
            let message = &raw mut (*out).messages[self.queued];
            (*message).msg_hdr.msg_namelen = match to {
                SocketAddr::V4(to) => {
                    name.cast::<libc::sockaddr_in>().write(address_v4(to));
                    V4_LEN
                }
                SocketAddr::V6(to) => {
                    name.cast::<libc::sockaddr_in6>().write(address_v6(to));
                    V6_LEN
                }
            };
            let vector = &raw mut (*out).vectors[self.queued];
            (*vector).iov_base = (&raw mut (*p).data[i]).cast();
            (*vector).iov_len = usize::try_from((*p).incoming.messages[i].msg_len).unwrap_or(0).min(BUFFER);
        }
        self.queued += 1;
    }

    /// Sends what was queued and forgets it. Returns how many the kernel refused: unreachable, or no buffer. For RTP
    /// that is loss like any other, so nothing is tried again.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> usize {
        let p = self.storage.as_ptr();
        let (mut at, mut refused) = (0, 0);
        while at < self.queued {
            let rest = libc::c_uint::try_from(self.queued - at).unwrap_or(VLEN);
            // SAFETY: the descriptor is borrowed, so it is open; messages `at..queued` were filled in by `queue` and
            // point into the live `Storage`.
            let n = unsafe {
                let messages = (&raw mut (*p).outgoing.messages[at]).cast();
                libc::sendmmsg(socket.as_raw_fd(), messages, rest, libc::MSG_DONTWAIT)
            };
            match usize::try_from(n) {
                Ok(sent) if sent > 0 => at += sent,
                // The error is that of the first message: without it, the others may have better luck.
                Ok(_) | Err(_) => (at, refused) = (at + 1, refused + 1),
            }
        }
        self.queued = 0;
        refused
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak` in `default` and freed only here.
        drop(unsafe { Box::from_raw(self.storage.as_ptr()) });
    }
}

/// Links header `i` to its address and its buffer.
///
/// # Safety
/// `headers` is live and not referred to elsewhere, `i` is below [`BATCH`].
unsafe fn point(headers: *mut Headers, i: usize, data: *mut libc::c_void) {
    // SAFETY: by the contract of this function.
    unsafe {
        (*headers).vectors[i].iov_base = data;
        let header = &raw mut (*headers).messages[i].msg_hdr;
        (*header).msg_name = (&raw mut (*headers).names[i]).cast();
        (*header).msg_iov = &raw mut (*headers).vectors[i];
        (*header).msg_iovlen = 1;
    }
}

fn socket_address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let name = &raw const *name;
    // SAFETY: `name` comes from a reference, so it is valid; a `sockaddr_storage` is large and aligned enough for each
    // kind, whose fields are integers: any bytes will do.
    unsafe {
        match i32::from((*name).ss_family) {
            libc::AF_INET => {
                let v4 = &*name.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 => {
                let v6 = &*name.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                // The flow label is of the packet, not of the peer.
                Some(SocketAddr::V6(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id)))
            }
            _ => None,
        }
    }
}

fn address_v4(to: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: AF_INET,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn address_v6(to: SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: AF_INET6,
        sin6_port: to.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
        sin6_scope_id: to.scope_id(),
    }
}

const AF_INET: libc::sa_family_t = 2;
const AF_INET6: libc::sa_family_t = 10;
const _: () = assert!(AF_INET as i32 == libc::AF_INET && AF_INET6 as i32 == libc::AF_INET6);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn receives_and_sends_whole_batches() {
        for ip in ["127.0.0.1", "::1"] {
            let bind = || UdpSocket::bind((ip, 0)).unwrap();
            let (peer, ours, target) = (bind(), bind(), bind());
            let mut batch = Batch::default();
            assert!(batch.receive(ours.as_fd()).is_err(), "nothing to receive");
            let send = |bytes: &[u8]| peer.send_to(bytes, ours.local_addr().unwrap()).unwrap();
            for n in 0..40u8 {
                send(&vec![n; usize::from(n) + 1]);
            }
            send(&[7; 3000]);
            assert_eq!(batch.receive(ours.as_fd()).unwrap(), BATCH);
            assert_eq!(batch.packet(3), Some((peer.local_addr().unwrap(), &[3u8; 4][..])));
            assert_eq!(batch.packet(BATCH), None);
            for i in (1..BATCH).rev() {
                batch.queue(i, target.local_addr().unwrap());
            }
            assert_eq!(batch.send(ours.as_fd()), 0);
            let mut buffer = [0; 100];
            for i in (1..BATCH).rev() {
                let (len, from) = target.recv_from(&mut buffer).unwrap();
                assert_eq!(
                    (len, buffer[0], from),
                    (i + 1, u8::try_from(i).unwrap(), ours.local_addr().unwrap())
                );
            }
            assert_eq!(batch.receive(ours.as_fd()).unwrap(), 9);
            assert_eq!(batch.packet(7).unwrap().1, [39; 40]);
            assert!(
                batch.replace(7, &[9; 50]) && !batch.replace(7, &[9; BUFFER + 1]) && !batch.replace(9, &[])
            );
            assert_eq!(batch.packet(7).unwrap().1, [9; 50]);
            batch.queue(7, target.local_addr().unwrap());
            assert_eq!((batch.send(ours.as_fd()), target.recv(&mut buffer).unwrap()), (0, 50));
            assert_eq!(batch.packet(8), None, "longer than a buffer");
            assert_eq!(batch.packet(9), None, "of the batch before");
        }
    }

    #[test]
    fn one_refused_datagram_does_not_stop_the_others() {
        let (peer, ours) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for n in 0..3u8 {
            peer.send_to(&[n], ours.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::default();
        assert_eq!(batch.receive(ours.as_fd()).unwrap(), 3);
        batch.queue(0, peer.local_addr().unwrap());
        batch.queue(1, "[::1]:9".parse().unwrap());
        batch.queue(2, peer.local_addr().unwrap());
        assert_eq!(batch.send(ours.as_fd()), 1, "IPv6 over an IPv4 socket");
        let mut buffer = [0; 10];
        let got: Vec<u8> = (0..2)
            .map(|_| {
                peer.recv(&mut buffer).unwrap();
                buffer[0]
            })
            .collect();
        assert_eq!(got, [0, 2]);
    }
}
