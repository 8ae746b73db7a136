//! Requests that are too long for a datagram (RFC 3261 §18.1.1): they go over TCP to a peer that is otherwise reached over
//! UDP, and over UDP after all when TCP is refused. Only the one transaction takes that way; the dialog stays on UDP.

use crate::core::{Core, ViaLine};
use std::net::SocketAddr;
use std::time::Duration;
use vocab::{Flow, Transport};

/// With the MTU of the path unknown, what is longer has to go over a transport that regulates itself.
const LONGEST_DATAGRAM: usize = 1300;
/// For so long nobody tries TCP with a peer that has refused it.
const REFUSAL_MEMORY: Duration = Duration::from_secs(600);
/// Peers remembered; beyond it all are forgotten and TCP is tried anew.
const REFUSALS: usize = 10_000;

/// The form of a request for UDP, while it is under way over TCP.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub flow: Flow,
    /// Empty once the peer has answered.
    pub bytes: Box<[u8]>,
}

impl Core {
    /// How a request goes out: its flow and bytes, and what it was before when it had to change to TCP.
    pub fn fit_transport(
        &self,
        flow: Flow,
        branch: u64,
        bytes: Vec<u8>,
    ) -> (Flow, Vec<u8>, Option<Datagram>) {
        if flow.transport != Transport::Udp
            || bytes.len() <= LONGEST_DATAGRAM
            || self.refuses_tcp(flow.remote)
        {
            return (flow, bytes, None);
        }
        match self.tcp_beside(flow).and_then(|tcp| Some((tcp, self.with_via(tcp, branch, &bytes)?))) {
            Some((tcp, streamed)) => (tcp, streamed, Some(Datagram { flow, bytes: bytes.into() })),
            None => (flow, bytes, None),
        }
    }

    pub fn remember_refusal(&mut self, peer: SocketAddr) {
        if self.tcp_refusals.len() >= REFUSALS {
            self.tcp_refusals.clear();
        }
        self.tcp_refusals.insert(peer, self.now.tick + REFUSAL_MEMORY);
    }

    fn refuses_tcp(&self, peer: SocketAddr) -> bool {
        self.tcp_refusals.get(&peer).is_some_and(|until| self.now.tick < *until)
    }

    /// The same way from a TCP listener of ours, when there is one that can reach the peer.
    fn tcp_beside(&self, flow: Flow) -> Option<Flow> {
        let ip = flow.remote.ip();
        let reaches = |own: Option<std::net::IpAddr>| own.is_some_and(|own| own.is_ipv4() == ip.is_ipv4());
        let mut listeners = self.config.listeners.iter().filter(|l| l.transport == Transport::Tcp);
        let found = listeners.find(|l| reaches(l.local.toward(ip)))?;
        Some(Flow { listener: found.id, transport: Transport::Tcp, connection: 0, ..flow })
    }

    /// A request of ours with another top Via, which is always its first header.
    fn with_via(&self, flow: Flow, branch: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let here = self.here(flow.listener, flow.remote.ip())?;
        let line_end = |from: usize| Some(from + memchr::memchr(b'\n', bytes.get(from..)?)? + 1);
        let (start, end) = (line_end(0)?, line_end(line_end(0)?)?);
        let mut via = crate::message::Builder::part();
        ViaLine { transport: flow.transport, here: &here, branch }.write(&mut via);
        Some([bytes.get(..start)?, via.as_bytes(), bytes.get(end..)?].concat())
    }
}
