//! A relay between two peers: what comes to its near socket goes to the far peer from its far socket, and back.

use crate::faults::Faults;
use crate::rtp::Listener;
use crate::wait;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vocab::Random;

/// Longest sleep, so that a stop is noticed.
const STEP: Duration = Duration::from_millis(20);
const LONGEST: usize = 65_536;

/// Where a relay stands.
#[derive(Clone, Copy, Debug)]
pub struct Wires {
    /// The near peer sends here.
    pub near: SocketAddr,
    /// The far peer sees it coming from here …
    pub far: SocketAddr,
    /// … and is there.
    pub target: SocketAddr,
}

/// What happened in one direction. `delivered` counts copies too: `received - lost + duplicated = delivered`, once all
/// that waits has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    pub received: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub flipped: u64,
    pub delivered: u64,
    /// Of RTP: what a receiver behind the relay misses between the first and the last packet that it gets, …
    pub rtp_lost: u64,
    /// … and the jitter (RFC 3550 §A.8 at 8 kHz) that it sees, microseconds.
    pub rtp_jitter_us: u32,
}

/// A running relay. Stops when dropped.
pub struct Relay {
    stop: Arc<AtomicBool>,
    figures: Arc<Mutex<[Direction; 2]>>,
    thread: Option<JoinHandle<()>>,
    pub wires: Wires,
}

impl Relay {
    /// Ports of 0 are replaced by free ones.
    pub fn start(wires: Wires, faults: Faults, seed: u64) -> io::Result<Relay> {
        let (near, far) = (UdpSocket::bind(wires.near)?, UdpSocket::bind(wires.far)?);
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let wires = Wires { near: near.local_addr()?, far: far.local_addr()?, ..wires };
        let (stop, figures) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let worker = Worker {
            near,
            far,
            target: wires.target,
            client: None,
            faults,
            random: Random::from_number(seed),
            queue: BinaryHeap::new(),
            order: 0,
            heard: [Listener::new(8000), Listener::new(8000)],
            figures: Arc::clone(&figures),
        };
        let stopped = stop.clone();
        let thread = Some(std::thread::spawn(move || worker.run(&stopped)));
        Ok(Relay { stop, figures, thread, wires })
    }

    /// Towards the far peer, and back.
    pub fn figures(&self) -> [Direction; 2] {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stop(mut self) -> [Direction; 2] {
        self.end();
        self.figures()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at: Instant,
    order: u64,
    back: bool,
    bytes: Vec<u8>,
}

struct Worker {
    near: UdpSocket,
    far: UdpSocket,
    target: SocketAddr,
    /// Who spoke last on the near side.
    client: Option<SocketAddr>,
    faults: Faults,
    random: Random,
    queue: BinaryHeap<Reverse<Waiting>>,
    order: u64,
    heard: [Listener; 2],
    figures: Arc<Mutex<[Direction; 2]>>,
}

impl Worker {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; LONGEST];
        while !stop.load(Ordering::Relaxed) {
            let next = self.queue.peek().map(|Reverse(w)| w.at.saturating_duration_since(Instant::now()));
            if wait(&[&self.near, &self.far], next.unwrap_or(STEP).min(STEP)).is_err() {
                return;
            }
            self.receive(false, &mut buffer);
            self.receive(true, &mut buffer);
            self.deliver();
        }
    }

    fn receive(&mut self, back: bool, buffer: &mut [u8]) {
        loop {
            let socket = if back { &self.far } else { &self.near };
            match socket.recv_from(buffer) {
                Ok((length, from)) => {
                    if !back {
                        self.client = Some(from);
                    }
                    let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                    self.take(back, bytes);
                }
                // ICMP of something sent earlier, once: what follows can still be read.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, back: bool, mut bytes: Vec<u8>) {
        let fate = self.faults.decide(&mut self.random);
        if let Some(bit) = fate.flip
            && !bytes.is_empty()
        {
            let bit = bit % (bytes.len() as u64 * 8);
            let at = usize::try_from(bit / 8).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
        self.count(back, |d| {
            d.received += 1;
            d.lost += u64::from(fate.copies.is_empty());
            d.duplicated += u64::from(fate.copies.len() == 2);
            d.reordered += u64::from(fate.reordered);
            d.flipped += u64::from(fate.flip.is_some() && !fate.copies.is_empty());
        });
        for delay in fate.copies {
            self.order += 1;
            let (at, order, bytes) = (Instant::now() + delay, self.order, bytes.clone());
            self.queue.push(Reverse(Waiting { at, order, back, bytes }));
        }
    }

    fn deliver(&mut self) {
        while let Some(Reverse(waiting)) = self.queue.peek() {
            if waiting.at > Instant::now() {
                return;
            }
            let Some(Reverse(Waiting { back, bytes, .. })) = self.queue.pop() else { return };
            let sent = match (back, self.client) {
                (false, _) => self.far.send_to(&bytes, self.target),
                (true, Some(client)) => self.near.send_to(&bytes, client),
                (true, None) => continue,
            };
            if sent.is_err() {
                // The ICMP of an earlier one: this one has not gone yet.
                let _ = if back {
                    self.client.map(|c| self.near.send_to(&bytes, c))
                } else {
                    Some(self.far.send_to(&bytes, self.target))
                };
            }
            let heard = &mut self.heard[usize::from(back)];
            heard.hear(Instant::now(), &bytes);
            let (lost, jitter) = (heard.lost(), heard.jitter_us());
            self.count(back, |d| {
                d.delivered += 1;
                d.rtp_lost = lost;
                d.rtp_jitter_us = jitter;
            });
        }
    }

    fn count(&self, back: bool, f: impl FnOnce(&mut Direction)) {
        f(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(back)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_happens() {
        let local = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (client, server) = (local(), local());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let faults =
            Faults { loss: 2000, duplicate: 1000, delay_max: Duration::from_millis(5), ..Faults::default() };
        let relay =
            Relay::start(Wires { near: any, far: any, target: server.local_addr().unwrap() }, faults, 3)
                .unwrap();
        server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut buffer = [0; 100];
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let (mut got, mut back) = (0u64, 0u64);
        for n in 0..400u64 {
            client.send_to(&n.to_be_bytes(), relay.wires.near).unwrap();
            if n % 50 == 49 {
                while let Ok((_, from)) = server.recv_from(&mut buffer) {
                    got += 1;
                    server.send_to(b"x", from).unwrap();
                }
                // Before the sockets' buffers are full.
                back += std::iter::from_fn(|| client.recv_from(&mut buffer).ok()).count() as u64;
            }
        }
        let [there, home] = relay.stop();
        assert_eq!((there.received, there.delivered), (400, got));
        assert_eq!(there.received - there.lost + there.duplicated, there.delivered);
        assert_eq!((home.received, home.delivered), (got, back));
        assert!((50..=110).contains(&there.lost), "{there:?}");
    }
}
