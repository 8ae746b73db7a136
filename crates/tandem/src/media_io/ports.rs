//! Opening port pairs (`MED-2`, `MED-4`), and making idle ones deaf.
//!
//! A pair once opened stays open: binding is the slow part, and a port that is ours cannot be taken by others. When
//! something comes to a pair that nobody uses, a socket filter drops the rest in the kernel: a spray over the range costs
//! one wake-up for each pair, and no memory.

use super::MediaSettings;
use media::PortLease;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A few seconds of one stream. Larger would only hold more of a flood (`R-45`).
const RECEIVE_BUFFER: usize = 256 * 1024;

/// One open pair.
pub struct PortPair {
    pub lease: PortLease,
    pub rtp: Socket,
    pub rtcp: Socket,
}

impl PortPair {
    /// Even RTP port, RTCP above it (RFC 3550 §11).
    pub fn open(lease: PortLease, dscp: u8) -> io::Result<PortPair> {
        Ok(PortPair {
            lease,
            rtp: open_socket(lease.local, dscp)?,
            rtcp: open_socket(lease.rtcp_local(), dscp)?,
        })
    }

    pub fn socket(&self, rtcp: bool) -> &Socket {
        if rtcp { &self.rtcp } else { &self.rtp }
    }

    pub fn hear(&self) -> io::Result<()> {
        self.rtp.detach_filter()?;
        self.rtcp.detach_filter()
    }

    pub fn deafen(&self) -> io::Result<()> {
        deafen(&self.rtp)?;
        deafen(&self.rtcp)
    }
}

fn open_socket(local: SocketAddr, dscp: u8) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    let tos = u32::from(dscp & 0x3f) << 2;
    if local.is_ipv6() {
        // The same port number may be open for IPv4 beside it.
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(tos)?;
    } else {
        socket.set_tos_v4(tos)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

/// A filter of one instruction: return 0, that is, keep 0 bytes of each packet.
fn deafen(socket: &Socket) -> io::Result<()> {
    const RETURN_CONSTANT: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(RETURN_CONSTANT, 0, 0, 0)])
}

/// What is left to open of one address family, and how much of it is wanted.
pub struct Unopened {
    ip: Option<IpAddr>,
    /// RTP ports that this thread has not opened.
    ports: VecDeque<u16>,
    wanted: u32,
    /// Ports still to be tried for what is wanted; those in use by other programs go back to the end of the queue.
    tries: usize,
}

/// What an attempt to open came to.
pub enum Opened {
    Pair(PortPair),
    /// In use by another program.
    Taken,
    /// This many are missing: the range is used up, or the system refuses more sockets.
    Failed(u32),
    /// Nothing (more) is wanted.
    Done,
}

impl Unopened {
    /// The even ports of the range that belong to `thread`: every `threads`th pair.
    pub fn new(settings: &MediaSettings, thread: u8, v6: bool) -> Unopened {
        let start = settings.port_start.saturating_add(settings.port_start & 1);
        let pairs = (start..settings.port_end).step_by(2);
        let ports = pairs.skip(usize::from(thread)).step_by(usize::from(settings.threads.max(1))).collect();
        let ip = if v6 { settings.bind_v6 } else { Some(settings.bind_v4) };
        Unopened { ip, ports, wanted: 0, tries: 0 }
    }

    pub fn want(&mut self, count: u32) {
        self.wanted = self.wanted.saturating_add(count);
        self.tries = self.ports.len();
    }

    /// This port is open already. Comes before anything is wanted, so that the list is in order.
    pub fn opened_elsewhere(&mut self, local: SocketAddr) {
        if let Ok(place) = self.ports.binary_search(&local.port()) {
            self.ports.remove(place);
        }
    }

    pub fn wants(&self) -> bool {
        self.wanted > 0
    }

    /// Tries one port. `index` is the number that the pair will have.
    pub fn open_next(&mut self, thread: u8, index: u32, dscp: u8) -> Opened {
        if self.wanted == 0 {
            return Opened::Done;
        }
        let next = self.ip.filter(|_| self.tries > 0).and_then(|ip| Some((ip, self.ports.pop_front()?)));
        let Some((ip, port)) = next else { return Opened::Failed(std::mem::take(&mut self.wanted)) };
        self.tries -= 1;
        match PortPair::open(PortLease { thread, index, local: SocketAddr::new(ip, port) }, dscp) {
            Ok(pair) => {
                self.wanted -= 1;
                Opened::Pair(pair)
            }
            Err(error) => {
                self.ports.push_back(port);
                if error.kind() == io::ErrorKind::AddrInUse {
                    return Opened::Taken;
                }
                tracing::warn!(%error, %ip, port, "media port cannot be opened");
                Opened::Failed(std::mem::take(&mut self.wanted))
            }
        }
    }
}
