//! The demo's customers and vendors on real sockets: one thread around [`DemoAgent`].

use crate::clock::Clock;
use rustix::event::epoll;
use sim::demo::{CUSTOMERS, DemoAgent, DemoConfig, DemoInput, DemoOutput, Places, VENDORS, business};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const CALLS_PER_MINUTE: u32 = 90;
const MAX_CALLS: usize = 40;
/// Last bytes of the loopback addresses on which customers, vendors and media live.
const CUSTOMER_HOST: u8 = 11;
const VENDOR_HOST: u8 = 31;
const MEDIA_HOST: u8 = 51;
/// Longest sleep: how soon the thread notices what it is told.
const NOTICE: Duration = Duration::from_millis(200);

/// What the thread is told.
const WAIT: u8 = 0;
const CALL: u8 = 1;
const HANG_UP: u8 = 2;
const END: u8 = 3;

pub struct Peers {
    /// The configuration that lets them in.
    pub business: String,
    told: Arc<AtomicU8>,
    thread: JoinHandle<()>,
}

impl Peers {
    /// Opens the sockets and starts the thread, which waits for [`Peers::go`].
    pub fn start(switch: SocketAddr) -> io::Result<Peers> {
        let hosts = |first: u8, count: usize| (first..).take(count).map(|n| Ipv4Addr::new(127, 0, 0, n));
        let bind = |ip: Ipv4Addr| {
            let socket = UdpSocket::bind((ip, 0))?;
            socket.set_nonblocking(true)?;
            io::Result::Ok(socket)
        };
        let customers = hosts(CUSTOMER_HOST, CUSTOMERS.len()).map(bind).collect::<io::Result<Vec<_>>>()?;
        let vendors = hosts(VENDOR_HOST, VENDORS.len()).map(bind).collect::<io::Result<Vec<_>>>()?;
        let media = (0..2 * MAX_CALLS).map(|_| bind(Ipv4Addr::new(127, 0, 0, MEDIA_HOST)));
        let rtp = media.collect::<io::Result<Vec<_>>>()?;
        let places = Places { customers: addresses(&customers)?, vendors: addresses(&vendors)? };
        let sip: Vec<UdpSocket> = customers.into_iter().chain(vendors).collect();
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let config = DemoConfig {
            switch,
            sip_sockets: addresses(&sip)?,
            rtp_slots: addresses(&rtp)?,
            calls_per_minute: CALLS_PER_MINUTE,
            max_calls: MAX_CALLS,
            seed,
        };
        let told = Arc::new(AtomicU8::new(WAIT));
        let sockets = Sockets::new(sip, rtp)?;
        let seen = told.clone();
        let thread = std::thread::Builder::new().name("demo".into()).spawn(move || {
            if let Err(error) = play(config, sockets, &seen) {
                tracing::error!(%error, "the demo's customers and vendors have stopped");
            }
        })?;
        Ok(Peers { business: business(&places), told, thread })
    }

    /// Starts placing calls.
    pub fn go(&self) {
        self.told.store(CALL, Ordering::Relaxed);
    }

    /// What makes them hang up and place no more calls.
    pub fn hang_up(&self) -> impl FnOnce() + Send + use<> {
        let told = self.told.clone();
        move || told.store(HANG_UP, Ordering::Relaxed)
    }

    pub fn end(self) {
        self.told.store(END, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

fn addresses(sockets: &[UdpSocket]) -> io::Result<Vec<SocketAddr>> {
    sockets.iter().map(UdpSocket::local_addr).collect()
}

/// SIP sockets first, then those for media, watched together.
struct Sockets {
    all: Vec<UdpSocket>,
    sip: usize,
    epoll: OwnedFd,
}

impl Sockets {
    fn new(sip: Vec<UdpSocket>, rtp: Vec<UdpSocket>) -> io::Result<Sockets> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let count = sip.len();
        let all: Vec<UdpSocket> = sip.into_iter().chain(rtp).collect();
        for (i, socket) in all.iter().enumerate() {
            epoll::add(&epoll, socket, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
        }
        Ok(Sockets { all, sip: count, epoll })
    }

    fn send(&self, output: DemoOutput) {
        let (index, to, bytes) = match output {
            DemoOutput::SendSip { socket, to, bytes } => (socket, to, bytes),
            DemoOutput::SendRtp { slot, to, bytes } => (self.sip + slot, to, bytes),
        };
        if let Some(socket) = self.all.get(index) {
            // What the kernel does not take is lost, as on the wire.
            let _ = socket.send_to(&bytes, to);
        }
    }
}

fn play(config: DemoConfig, sockets: Sockets, told: &AtomicU8) -> io::Result<()> {
    while told.load(Ordering::Relaxed) == WAIT {
        std::thread::sleep(NOTICE / 4);
    }
    let clock = Clock::start();
    let mut agent = DemoAgent::new(clock.now(), config);
    let mut buffer = vec![0; 65_536];
    let mut stopped = false;
    while told.load(Ordering::Relaxed) != END {
        if told.load(Ordering::Relaxed) == HANG_UP && !stopped {
            agent.stop(clock.now());
            stopped = true;
        }
        if agent.poll_timeout().is_some_and(|at| at <= clock.now().tick) {
            agent.handle_timeout(clock.now());
        }
        while let Some(output) = agent.poll_output() {
            sockets.send(output);
        }
        let wait = agent.poll_timeout().map_or(NOTICE, |at| at.since(clock.now().tick)).min(NOTICE);
        receive(&sockets, &mut agent, &clock, &mut buffer, wait)?;
    }
    Ok(())
}

fn receive(
    sockets: &Sockets,
    agent: &mut DemoAgent,
    clock: &Clock,
    buffer: &mut [u8],
    wait: Duration,
) -> io::Result<()> {
    let timeout = rustix::time::Timespec::try_from(wait).map_err(io::Error::other)?;
    let mut events = [const { std::mem::MaybeUninit::uninit() }; 32];
    let ready = match epoll::wait(&sockets.epoll, &mut events, Some(&timeout)) {
        Ok((events, _)) => events,
        Err(rustix::io::Errno::INTR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for event in ready {
        let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
        let Some(socket) = sockets.all.get(index) else { continue };
        // An error belongs to an earlier datagram that nobody took.
        while let Ok((length, from)) = socket.recv_from(buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            let input = match index.checked_sub(sockets.sip) {
                None => DemoInput::Sip { socket: index, from, bytes },
                Some(slot) => DemoInput::Rtp { slot, from, bytes },
            };
            agent.handle_input(clock.now(), input);
        }
    }
    Ok(())
}
