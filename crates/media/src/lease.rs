//! The brain's store of ready port pairs (`MED-2`).
//!
//! Media threads open pairs in blocks ahead of need and report them; the brain leases from here at once and
//! in a fixed order, so a call never waits for a bind and a simulation gives the same ports each time.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Fewer ready pairs than this and the pool asks for more. A block is asked for and opened within a few
/// milliseconds; this many pairs carry the calls that arrive meanwhile.
const LOW: u32 = 128;
/// Up to how many ready pairs it then asks for.
const TARGET: u32 = 384;

/// One open pair of ports, held by a media thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortLease {
    pub thread: u8,
    /// The thread's number for the pair.
    pub index: u32,
    /// The RTP port, even; RTCP is one above. The IP is what the socket is bound to, so it may be the wildcard.
    pub local: SocketAddr,
}

impl PortLease {
    pub fn is_v6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// Our address for RTCP.
    pub fn rtcp_local(&self) -> SocketAddr {
        SocketAddr::new(self.local.ip(), self.local.port().saturating_add(1))
    }
}

/// Ready pairs of one thread and one address family.
type Queue = VecDeque<PortLease>;

/// One address family's bookkeeping.
#[derive(Clone, Debug, Default)]
struct Family {
    /// Ready pairs, by thread. First in, first out: a port rests as long as possible between two calls.
    ready: Vec<Queue>,
    asked: u32,
    /// The last request failed, and no port has come back since: asking again would be noise.
    exhausted: bool,
}

impl Family {
    fn ready(&self) -> u32 {
        self.ready.iter().map(|q| u32::try_from(q.len()).unwrap_or(u32::MAX)).fold(0, u32::saturating_add)
    }
}

/// Ready pairs by family and thread, and the count of pairs in use.
#[derive(Clone, Debug, Default)]
pub struct PortPool {
    v4: Family,
    v6: Family,
    /// Every pair that the media threads ever reported, as a bit for each even port, and what they are bound to.
    held: [Vec<u64>; 2],
    bound: Vec<IpAddr>,
    /// Pairs in use, by thread: new sessions go to the thread that carries least.
    used: Vec<u32>,
    /// Pairs taken up from the process before, by thread.
    taken_up: Vec<u32>,
}

impl PortPool {
    pub fn new() -> PortPool {
        PortPool::default()
    }

    /// A media thread reported this pair as ready.
    pub fn add_ready(&mut self, lease: PortLease) {
        let thread = usize::from(lease.thread);
        if self.used.len() <= thread {
            self.used.resize(thread + 1, 0);
        }
        self.note_held(lease);
        let family = self.family(lease.is_v6());
        if family.ready.len() <= thread {
            family.ready.resize(thread + 1, Queue::new());
        }
        family.asked = family.asked.saturating_sub(1);
        family.exhausted = false;
        if let Some(queue) = family.ready.get_mut(thread) {
            queue.push_back(lease);
        }
    }

    /// A pair that a call of the process before this one has, of `threads` media threads. Its media thread opens it under
    /// this number; only before anything else is asked of the threads.
    pub fn take_up(&mut self, lease: PortLease, threads: u8) -> PortLease {
        let thread = lease.thread % threads.max(1);
        let place = usize::from(thread);
        if self.used.len() <= place {
            self.used.resize(place + 1, 0);
        }
        if self.taken_up.len() <= place {
            self.taken_up.resize(place + 1, 0);
        }
        let (Some(used), Some(next)) = (self.used.get_mut(place), self.taken_up.get_mut(place)) else {
            return lease;
        };
        let index = *next;
        *used += 1;
        *next += 1;
        let lease = PortLease { thread, index, local: lease.local };
        self.note_held(lease);
        lease
    }

    /// A pair for the first side of a session, on the thread that carries the fewest.
    pub fn lease(&mut self, v6: bool) -> Option<PortLease> {
        let used = &self.used;
        let queues = if v6 { &self.v6.ready } else { &self.v4.ready };
        let open = queues.iter().enumerate().filter(|(_, q)| !q.is_empty());
        let (thread, _) = open.min_by_key(|(thread, _)| used.get(*thread).copied())?;
        self.take(v6, thread)
    }

    /// A pair for the other side of a session: on the same thread, because one thread relays a whole session.
    pub fn lease_beside(&mut self, v6: bool, other: PortLease) -> Option<PortLease> {
        self.take(v6, usize::from(other.thread))
    }

    /// The pair is no longer in use. Its media thread reports it ready again after its quarantine.
    pub fn retire(&mut self, lease: PortLease) {
        if let Some(used) = self.used.get_mut(usize::from(lease.thread)) {
            *used = used.saturating_sub(1);
        }
    }

    /// The pair was leased, but never part of an `Open` or `SetSide`: it may be leased again at once.
    pub fn put_back(&mut self, lease: PortLease) {
        self.retire(lease);
        if let Some(queue) = self.family(lease.is_v6()).ready.get_mut(usize::from(lease.thread)) {
            queue.push_back(lease);
        }
    }

    /// How many pairs to ask for now (`MediaCommand::Prepare`); the answer is counted as asked for.
    pub fn low_water(&mut self, v6: bool) -> Option<u32> {
        let family = self.family(v6);
        let coming = family.ready().saturating_add(family.asked);
        if family.exhausted || coming >= LOW {
            return None;
        }
        let count = TARGET - coming;
        family.asked = family.asked.saturating_add(count);
        Some(count)
    }

    /// The media threads could not open this many of the pairs asked for.
    pub fn prepare_failed(&mut self, wanted: u32, v6: bool) {
        let family = self.family(v6);
        family.asked = family.asked.saturating_sub(wanted);
        family.exhausted = true;
    }

    fn note_held(&mut self, lease: PortLease) {
        let (word, bit) = place(lease.local.port());
        let held = &mut self.held[usize::from(lease.is_v6())];
        if held.len() <= word {
            held.resize(word + 1, 0);
        }
        if let Some(word) = held.get_mut(word) {
            *word |= bit;
        }
        let ip = lease.local.ip();
        if !ip.is_unspecified() && !self.bound.contains(&ip) {
            self.bound.push(ip);
        }
    }

    /// Is this one of our own media ports, if the address is one of ours?
    pub fn holds(&self, port: u16, v6: bool) -> bool {
        let (word, bit) = place(port);
        self.held[usize::from(v6)].get(word).is_some_and(|held| held & bit != 0)
    }

    /// Are media ports bound to this very address?
    pub fn is_bound_to(&self, ip: IpAddr) -> bool {
        self.bound.contains(&ip)
    }

    /// Pairs on lease.
    pub fn used(&self) -> u32 {
        self.used.iter().copied().fold(0, u32::saturating_add)
    }

    /// Pairs that could be leased now.
    pub fn ready(&self, v6: bool) -> u32 {
        if v6 { self.v6.ready() } else { self.v4.ready() }
    }

    fn family(&mut self, v6: bool) -> &mut Family {
        if v6 { &mut self.v6 } else { &mut self.v4 }
    }

    fn take(&mut self, v6: bool, thread: usize) -> Option<PortLease> {
        let lease = self.family(v6).ready.get_mut(thread)?.pop_front()?;
        if let Some(used) = self.used.get_mut(thread) {
            *used = used.saturating_add(1);
        }
        Some(lease)
    }
}

/// Where the pair of a port has its bit.
fn place(port: u16) -> (usize, u64) {
    let pair = usize::from(port / 2);
    (pair / 64, 1 << (pair % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_ports() {
        let mut pool = PortPool::new();
        pool.add_ready(pair(0, 3, "0.0.0.0"));
        pool.add_ready(pair(0, 7, "192.0.2.1"));
        for (port, v6, want) in [
            (10_006, false, true),
            (10_007, false, true),
            (10_008, false, false),
            (10_006, true, false),
            (0, false, false),
        ] {
            assert_eq!(pool.holds(port, v6), want, "{port} {v6}");
        }
        let lease = pool.lease(false).unwrap();
        assert!(pool.holds(lease.local.port(), false), "also while it is in use");
        assert!(
            pool.is_bound_to("192.0.2.1".parse().unwrap()) && !pool.is_bound_to("0.0.0.0".parse().unwrap())
        );
    }

    fn pair(thread: u8, index: u32, ip: &str) -> PortLease {
        let port = 10_000 + u16::try_from(index).unwrap() * 2;
        PortLease { thread, index, local: SocketAddr::new(ip.parse().unwrap(), port) }
    }

    #[test]
    fn leases_in_order_and_by_family() {
        let mut pool = PortPool::new();
        assert_eq!(pool.lease(false), None);
        for i in 0..3 {
            pool.add_ready(pair(0, i, "0.0.0.0"));
        }
        pool.add_ready(pair(0, 9, "::"));
        assert_eq!((pool.ready(false), pool.ready(true), pool.used()), (3, 1, 0));
        assert_eq!(pool.lease(true), Some(pair(0, 9, "::")));
        assert_eq!(pool.lease(true), None);
        let first = pool.lease(false).unwrap();
        assert_eq!(first.index, 0);
        assert_eq!(first.rtcp_local().port(), first.local.port() + 1);
        pool.put_back(first);
        let order: Vec<u32> = std::iter::from_fn(|| pool.lease(false)).map(|l| l.index).collect();
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(pool.used(), 4);
        pool.retire(first);
        assert_eq!((pool.used(), pool.ready(false)), (3, 0));
    }

    #[test]
    fn spreads_sessions_over_threads_and_keeps_a_session_together() {
        let mut pool = PortPool::new();
        for i in 0..4 {
            pool.add_ready(pair(0, i, "0.0.0.0"));
            pool.add_ready(pair(1, i, "0.0.0.0"));
        }
        for want in [0, 1, 0, 1] {
            let a = pool.lease(false).unwrap();
            let b = pool.lease_beside(false, a).unwrap();
            assert_eq!((a.thread, b.thread), (want, want));
        }
        assert_eq!(pool.lease_beside(false, pair(7, 0, "0.0.0.0")), None);
    }

    #[test]
    fn asks_once_and_not_again_after_a_failure() {
        let mut pool = PortPool::new();
        assert_eq!(pool.low_water(false), Some(TARGET));
        assert_eq!(pool.low_water(false), None, "already asked");
        assert_eq!(pool.low_water(true), Some(TARGET), "families are apart");
        for i in 0..10 {
            pool.add_ready(pair(0, i, "0.0.0.0"));
        }
        pool.prepare_failed(TARGET - 10, false);
        assert_eq!(pool.low_water(false), None, "the range is used up");
        let lease = pool.lease(false).unwrap();
        pool.retire(lease);
        pool.add_ready(lease);
        assert_eq!(pool.low_water(false), Some(TARGET - 10), "a port came back");
        for i in 10..TARGET {
            pool.add_ready(pair(0, i, "0.0.0.0"));
        }
        assert_eq!(pool.low_water(false), None);
        while pool.ready(false) >= LOW {
            pool.lease(false);
        }
        assert_eq!(pool.low_water(false), Some(TARGET - LOW + 1));
    }
}
