//! What does a relayed RTP packet cost? CPU nanoseconds per packet, all in one run on one machine:
//! * `floor`: epoll, `recvmmsg` and `sendmmsg` over the same sockets, and nothing else;
//! * `floor 1 ms`: the same, but looking only once a millisecond, as the engine does under load;
//! * `engine`: the media engine with its sessions, latching and statistics;
//! * `rtpengine`: from apt, in user space, when it is installed.
//!
//! `cargo run --release -p tandem --example bench_relay [-- --streams 200 --seconds 5 --burst 1 --flood 0]`
//!
//! 200 calls with 50 packets a second each way are 20,000 packets a second; one arrives every 50 µs (`--burst N`: N
//! at once, less often; `--flood N`: a stranger sends N packets for each of these to one port, `R-45`). Each relay is a process on the first core, of which the CPU time of all threads is read from
//! /proc; the generator spins on the second core and is not counted. A packet that comes in and goes out is one packet.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use media::{Latch, MediaCommand, MediaEvent, PortPool, SideConfig};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tandem::media_io::mmsg::Batch;
use tandem::media_io::{MediaEngine, MediaSettings};
use vocab::MediaSessionId;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PACKET: usize = 172;
const PACKETS_PER_SECOND: u32 = 50;
const NG: &str = "127.0.0.1:22999";

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u32| {
        let at = words.iter().position(|w| w == name);
        at.and_then(|i| words.get(i + 1)?.parse().ok()).unwrap_or(default)
    };
    let streams = option("--streams", 200);
    let peers = |from: usize| -> Outcome<[SocketAddr; 2]> {
        let peer = |i: usize| Ok::<_, Box<dyn Error>>(words.get(i).ok_or("address missing")?.parse()?);
        Ok([peer(from)?, peer(from + 1)?])
    };
    match words.first().map(String::as_str) {
        Some("run-floor") => run_floor(streams, peers(1)?, Duration::ZERO),
        Some("run-floor-rounds") => run_floor(streams, peers(1)?, Duration::from_millis(1)),
        Some("run-engine") => run_engine(streams, peers(1)?),
        _ => compare(Load {
            streams,
            seconds: option("--seconds", 5),
            burst: option("--burst", 1),
            flood: option("--flood", 0),
        }),
    }
}

// ---------------------------------------------------------------------------------------------- the comparison

#[derive(Clone, Copy)]
struct Load {
    streams: u32,
    seconds: u32,
    burst: u32,
    flood: u32,
}

struct Measured {
    name: &'static str,
    /// Of this many packets sent …
    sent: u64,
    /// … so many came back out.
    relayed: u64,
    cpu_ns: u64,
    /// Between sending to the relay and receiving from it, 99th percentile.
    delay_p99_us: u64,
}

impl Measured {
    fn ns_per_packet(&self) -> u64 {
        self.cpu_ns / self.relayed.max(1)
    }
}

fn compare(load: Load) -> Outcome<()> {
    pin(std::process::id(), 1);
    let mut results = vec![
        measure_own("floor", "run-floor", load)?,
        measure_own("floor 1 ms", "run-floor-rounds", load)?,
        measure_own("engine", "run-engine", load)?,
    ];
    match measure_rtpengine(load) {
        Ok(result) => results.push(result),
        Err(error) => println!("rtpengine is not measured: {error}"),
    }
    let Load { streams, seconds, burst, flood } = load;
    println!(
        "{streams} streams, {PACKETS_PER_SECOND} packets/s each way, {seconds} s, bursts of {burst}, flood {flood}\n"
    );
    println!(
        "{:<12}{:>10}{:>10}{:>14}{:>10}{:>14}",
        "", "sent", "relayed", "CPU ns/packet", "to floor", "delay p99 µs"
    );
    let floor = results.first().map_or(1, Measured::ns_per_packet).max(1);
    for r in &results {
        let hundredths = r.ns_per_packet() * 100 / floor;
        let ratio = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        let (ns, p99) = (r.ns_per_packet(), r.delay_p99_us);
        println!("{:<12}{:>10}{:>10}{ns:>14}{ratio:>10}{p99:>14}", r.name, r.sent, r.relayed);
    }
    let figures: Vec<_> = results
        .iter()
        .map(|r| {
            serde_json::json!({"name": r.name, "sent": r.sent, "relayed": r.relayed,
                "cpu_ns_per_packet": r.ns_per_packet(), "delay_p99_us": r.delay_p99_us})
        })
        .collect();
    let what = serde_json::json!({"bench": "relay", "streams": streams, "seconds": seconds, "burst": burst, "flood": flood, "results": figures});
    println!("\n{what}");
    Ok(())
}

fn measure_own(name: &'static str, mode: &str, load: Load) -> Outcome<Measured> {
    let mut generator = Generator::new()?;
    let [a, b] = generator.peers()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([mode, &a.to_string(), &b.to_string(), "--streams", &load.streams.to_string()]);
    let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    pin(child.0.id(), 0);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let ports = line.split_whitespace().map(str::parse).collect::<Result<Vec<SocketAddr>, _>>()?;
    generator.measure(name, child.0.id(), &ports, load)
}

/// A relay under test, ended with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pin(process: u32, core: u32) {
    let (core, process) = (core.to_string(), process.to_string());
    let _ = Command::new("taskset").args(["-a", "-c", "-p", &core, &process]).stdout(Stdio::null()).status();
}

/// CPU time of all threads of a process in ns, as the scheduler counts it.
fn cpu_ns(process: u32) -> Outcome<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().ok_or("schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}

// ------------------------------------------------------------------------------------------------ the generator

/// Both peers of all calls: one socket for each side.
struct Generator {
    sockets: [UdpSocket; 2],
    /// Sends what nobody asked for.
    stranger: UdpSocket,
    batch: Batch,
    /// Delays of the packets that came back, in µs.
    delays: Vec<u64>,
    started: Instant,
}

impl Generator {
    fn new() -> Outcome<Generator> {
        let socket = || -> Outcome<UdpSocket> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
            Ok(socket)
        };
        let (sockets, started) = ([socket()?, socket()?], Instant::now());
        let stranger = UdpSocket::bind("127.0.0.9:0")?;
        Ok(Generator { sockets, stranger, batch: Batch::default(), delays: Vec::new(), started })
    }

    fn peers(&self) -> Outcome<[SocketAddr; 2]> {
        Ok([self.sockets[0].local_addr()?, self.sockets[1].local_addr()?])
    }

    /// `ports` are the relay's, A and B of each call in turn.
    fn measure(
        &mut self,
        name: &'static str,
        process: u32,
        ports: &[SocketAddr],
        load: Load,
    ) -> Outcome<Measured> {
        self.send_for(Duration::from_secs(1), ports, load)?;
        self.delays.clear();
        let before = cpu_ns(process)?;
        let sent = self.send_for(Duration::from_secs(load.seconds.into()), ports, load)?;
        let cpu_ns = cpu_ns(process)? - before;
        self.delays.sort_unstable();
        let delay_p99_us = self.delays.get(self.delays.len() * 99 / 100).copied().unwrap_or(0);
        let relayed = u64::try_from(self.delays.len())?;
        Ok(Measured { name, sent, relayed, cpu_ns, delay_p99_us })
    }

    fn send_for(&mut self, time: Duration, ports: &[SocketAddr], load: Load) -> Outcome<u64> {
        let flows = u64::try_from(ports.len())?;
        let interval = Duration::from_secs(1) * load.burst / (PACKETS_PER_SECOND * u32::try_from(flows)?);
        let (begin, mut due, mut sent) = (Instant::now(), Instant::now(), 0u64);
        let mut packet = [0xd5; PACKET];
        while begin.elapsed() < time {
            while Instant::now() < due {
                self.receive();
            }
            due += interval;
            for _ in 0..load.burst {
                let flow = usize::try_from(sent % flows)?;
                let sequence = u16::try_from((sent / flows) & 0xffff)?;
                self.fill(&mut packet, flow, sequence)?;
                // A full buffer is the relay's loss.
                let _ = self.sockets[flow % 2].send_to(&packet, ports[flow]);
                sent += 1;
            }
            for _ in 0..load.flood {
                let _ = self.stranger.send_to(&packet, ports[0]);
            }
        }
        let end = Instant::now() + Duration::from_millis(100);
        while Instant::now() < end {
            self.receive();
        }
        Ok(sent)
    }

    /// An RTP packet that carries when it was sent.
    fn fill(&self, packet: &mut [u8; PACKET], flow: usize, sequence: u16) -> Outcome<()> {
        packet[..2].copy_from_slice(&[0x80, 8]);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        packet[8..12].copy_from_slice(&u32::try_from(flow)?.to_be_bytes());
        packet[12..20].copy_from_slice(&u64::try_from(self.started.elapsed().as_micros())?.to_be_bytes());
        Ok(())
    }

    fn receive(&mut self) {
        for socket in &self.sockets {
            let received = self.batch.receive(socket.as_fd()).unwrap_or(0);
            let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(0);
            for i in 0..received {
                let stamp = self.batch.packet(i).and_then(|(_, p)| p.get(12..20)?.try_into().ok());
                self.delays.extend(stamp.map(|s| now.saturating_sub(u64::from_be_bytes(s))));
            }
        }
    }
}

// -------------------------------------------------------------------------------------------- relays under test

/// Tells the parent our ports, and stays until it kills us.
fn announce_and_stay(ports: &[SocketAddr]) -> Outcome<()> {
    let words: Vec<String> = ports.iter().map(SocketAddr::to_string).collect();
    println!("{}", words.join(" "));
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn run_engine(streams: u32, [peer_a, peer_b]: [SocketAddr; 2]) -> Outcome<()> {
    let (sender, events) = channel();
    let settings = MediaSettings {
        bind_v4: "127.0.0.1".parse()?,
        bind_v6: None,
        port_start: 23_000,
        port_end: 31_999,
        threads: 1,
        dscp: 46,
    };
    let engine = MediaEngine::start(settings, move |event| drop(sender.send(event)))?;
    let send = |command| engine.send(command).map_err(|_| "the engine stopped");
    send(MediaCommand::Prepare { count: streams * 2, v6: false })?;
    let mut pool = PortPool::new();
    while pool.ready(false) < streams * 2 {
        if let MediaEvent::Ready(leases) = events.recv()? {
            leases.iter().for_each(|l| pool.add_ready(*l));
        }
    }
    let mut ports = Vec::new();
    for n in 0..streams {
        let mut side = |remote| -> Outcome<SideConfig> {
            let lease = pool.lease(false).ok_or("no lease")?;
            ports.push(lease.local);
            let base = SideConfig::new(lease);
            Ok(SideConfig { remote: Some(remote), latch: Latch::Learn, watch: Some(30_000), ..base })
        };
        let (a, b) = (side(peer_a)?, Some(side(peer_b)?));
        send(MediaCommand::Open { session: MediaSessionId(n.into()), a, b })?;
    }
    std::thread::spawn(move || events.iter().for_each(drop));
    announce_and_stay(&ports)
}

/// The least that can relay: readiness, receive, send from the paired socket.
fn run_floor(streams: u32, peers: [SocketAddr; 2], round: Duration) -> Outcome<()> {
    let mut sockets = Vec::new();
    for _ in 0..streams * 2 {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    let ports = sockets.iter().map(UdpSocket::local_addr).collect::<Result<Vec<_>, _>>()?;
    std::thread::spawn(move || relay_bare(&sockets, peers, round));
    announce_and_stay(&ports)
}

fn relay_bare(sockets: &[UdpSocket], peers: [SocketAddr; 2], round: Duration) -> Option<()> {
    use rustix::event::epoll;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
    for (i, socket) in sockets.iter().enumerate() {
        let token = epoll::EventData::new_u64(u64::try_from(i).ok()?);
        epoll::add(&epoll, socket, token, epoll::EventFlags::IN | epoll::EventFlags::ET).ok()?;
    }
    let mut bare = Bare::new(peers)?;
    let mut ready = Vec::with_capacity(512);
    loop {
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), None).ok()?;
        let begun = Instant::now();
        for event in ready.drain(..) {
            let i = usize::try_from(event.data.u64()).ok()?;
            bare.relay(sockets.get(i)?, sockets.get(i ^ 1)?, (i ^ 1) & 1);
        }
        let rest = round.saturating_sub(begun.elapsed());
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
    }
}

const BARE_BATCH: usize = 32;

/// Headers for `recvmmsg` and `sendmmsg` over the same buffers, made once.
struct Bare {
    _data: Vec<[u8; 2048]>,
    _vectors: Vec<libc::iovec>,
    _names: Vec<libc::sockaddr_in>,
    receive: Vec<libc::mmsghdr>,
    send: [Vec<libc::mmsghdr>; 2],
    vectors_at: *mut libc::iovec,
}

impl Bare {
    fn new(peers: [SocketAddr; 2]) -> Option<Bare> {
        let mut data = vec![[0u8; 2048]; BARE_BATCH];
        let vector = |d: &mut [u8; 2048]| libc::iovec { iov_base: d.as_mut_ptr().cast(), iov_len: 2048 };
        let mut vectors: Vec<libc::iovec> = data.iter_mut().map(vector).collect();
        let mut names = Vec::new();
        for peer in peers {
            let SocketAddr::V4(v4) = peer else { return None };
            names.push(libc::sockaddr_in {
                sin_family: 2,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            });
        }
        // A name for the source of each packet: a relay has to know it.
        names.resize(2 + BARE_BATCH, *names.first()?);
        let (vectors_at, names_at) = (vectors.as_mut_ptr(), names.as_mut_ptr());
        let header = |i: usize, name: usize| {
            // SAFETY: zeroed bytes are a valid `mmsghdr`; both offsets are inside their vectors.
            unsafe {
                let mut message: libc::mmsghdr = std::mem::zeroed();
                message.msg_hdr.msg_iov = vectors_at.add(i);
                message.msg_hdr.msg_iovlen = 1;
                message.msg_hdr.msg_name = names_at.add(name).cast();
                message.msg_hdr.msg_namelen = 16;
                message
            }
        };
        let headers = |name: fn(usize, usize) -> usize, side| {
            (0..BARE_BATCH).map(|i| header(i, name(i, side))).collect::<Vec<_>>()
        };
        let receive = headers(|i, _| 2 + i, 0);
        let send = [0, 1].map(|side| headers(|_, side| side, side));
        Some(Bare { _data: data, _vectors: vectors, _names: names, receive, send, vectors_at })
    }

    fn relay(&mut self, from: &UdpSocket, to: &UdpSocket, side: usize) {
        // SAFETY: the sockets are open; all headers point into vectors that live, unmoved, as long as `self`.
        unsafe {
            let (fd, flags) = (from.as_raw_fd(), libc::MSG_DONTWAIT);
            let n = libc::recvmmsg(fd, self.receive.as_mut_ptr(), 32, flags, std::ptr::null_mut());
            let Ok(received) = usize::try_from(n) else { return };
            for i in 0..received {
                (*self.vectors_at.add(i)).iov_len = self.receive[i].msg_len as usize;
            }
            libc::sendmmsg(to.as_raw_fd(), self.send[side].as_mut_ptr(), n.unsigned_abs(), flags);
            for i in 0..received {
                (*self.vectors_at.add(i)).iov_len = 2048;
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------- rtpengine

fn measure_rtpengine(load: Load) -> Outcome<Measured> {
    let mut command = Command::new("rtpengine");
    command.args(["--foreground", "--log-stderr", "--log-level=1", "--table=-1", "--interface=127.0.0.1"]);
    command
        .args(["--port-min=23000", "--port-max=31999", "--num-threads=1"])
        .arg(format!("--listen-ng={NG}"));
    let child = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    pin(child.0.id(), 0);
    let mut generator = Generator::new()?;
    let [a, b] = generator.peers()?;
    let control = UdpSocket::bind("127.0.0.1:0")?;
    control.set_read_timeout(Some(Duration::from_millis(200)))?;
    wait_for_pong(&control)?;
    let mut ports = Vec::new();
    for n in 0..load.streams {
        let call = format!("call-{n}");
        // Towards B the offer goes out with the port that B sends to, and the answer with A's.
        let offer = ng(&control, &call, &[("command", "offer"), ("from-tag", "a")], a)?;
        let answer = ng(&control, &call, &[("command", "answer"), ("from-tag", "a"), ("to-tag", "b")], b)?;
        ports.extend([answer, offer]);
    }
    pin(child.0.id(), 0);
    generator.measure("rtpengine", child.0.id(), &ports, load)
}

fn wait_for_pong(control: &UdpSocket) -> Outcome<()> {
    for n in 0..50 {
        control.send_to(format!("{n} d7:command4:pinge").as_bytes(), NG)?;
        if control.recv(&mut [0; 1000]).is_ok() {
            return Ok(());
        }
        // A port that is not open yet refuses at once.
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("no answer on its control port".into())
}

/// One offer or answer over the ng protocol (bencode: keys in order); returns the port it opened.
fn ng(control: &UdpSocket, call: &str, fields: &[(&str, &str)], media: SocketAddr) -> Outcome<SocketAddr> {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n",
        ip = media.ip(),
        port = media.port()
    );
    let mut all = vec![("call-id", call), ("sdp", &sdp)];
    all.extend_from_slice(fields);
    all.sort_unstable();
    let text = |s: &str| format!("{}:{s}", s.len());
    let body: String = all.iter().map(|(key, value)| text(key) + &text(value)).collect();
    control.send_to(format!("{call}{} d{body}e", fields.len()).as_bytes(), NG)?;
    let mut buffer = [0; 4000];
    let len = control.recv(&mut buffer)?;
    let reply = String::from_utf8_lossy(&buffer[..len]).into_owned();
    let port = reply.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next());
    let port: u16 = port.ok_or_else(|| format!("rtpengine says {reply}"))?.parse()?;
    Ok(SocketAddr::new("127.0.0.1".parse()?, port))
}
