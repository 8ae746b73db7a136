//! The thread that owns the brain: every SIP message, timer and decision passes here.
//!
//! One turn: take what has arrived (UDP in batches, everything else from the [`Inbox`]), let the brain handle it,
//! then let out what it has to say: journal records first, because answers wait for the disk, then datagrams in
//! batches. Nothing in a turn may block.

mod inbox;
mod udp;

#[cfg(test)]
pub use inbox::testing;
pub use inbox::{Control, Inbox, StreamEvent};
pub use udp::UdpListener;

use crate::clock::Clock;
use crate::journal::JournalQueue;
use crate::live::LiveQueue;
use crate::media_io::MediaEngine;
use crate::tcp::TcpSender;
use crate::trace::Mailbox;
use inbox::Taken;
use rustix::event::epoll;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use switch::live::LiveUpdate;
use switch::{ControlId, ControlReply, Input, Output, Record, Switch};
use tokio::sync::oneshot;
use udp::{Arrivals, BATCH, Unreachable};
use vocab::{Flow, Seq, Tick, Transport};

/// Event number of the bell; the others are positions in the list of UDP listeners.
const BELL: u64 = u64::MAX;
/// Batches of datagrams taken from one socket in one turn: 256,000 a second at the pace of [`SHORT_REST`].
const BATCHES: usize = 16;
/// Messages of connections handled in one turn, so that a peer that sends thousands at once keeps nobody waiting.
const STREAM_EVENTS: usize = 256;
/// Reports taken from one socket's error queue in one turn.
const ERRORS: usize = 64;
/// Inputs are counted for this long, to know how busy the next ones are.
const WINDOW: Duration = Duration::from_millis(50);
/// With more inputs than this in a window, turns are spaced out: falling asleep, waking up and finding code and tables in
/// no cache costs more than handling a message, so that many should share it.
const BUSY: usize = 50;
/// Between turns when busy. No message waits longer for its turn.
const REST: Duration = Duration::from_millis(5);
/// With more inputs than this, turns are long enough with a shorter rest, and the kernel may have no room for what comes
/// in a longer one.
const VERY_BUSY: usize = 500;
const SHORT_REST: Duration = Duration::from_millis(2);
/// Between tellings of what has changed.
const NEWS: Duration = Duration::from_millis(100);

/// Where the brain's outputs go.
pub struct Outlets {
    pub tcp: TcpSender,
    pub journal: Arc<JournalQueue>,
    pub media: Arc<MediaEngine>,
    pub live: Arc<LiveQueue>,
    pub captures: Arc<Mailbox>,
}

pub struct Signalling {
    brain: Switch,
    clock: Clock,
    inbox: Arc<Inbox>,
    outlets: Outlets,
    listeners: Vec<Watched>,
    epoll: OwnedFd,
    arrivals: Arrivals,
    journaled: Seq,
    /// Of the operators' requests under way.
    replies: HashMap<ControlId, oneshot::Sender<ControlReply>>,
    next_control: u64,
    records: Vec<(Seq, Record)>,
    updates: Vec<LiveUpdate>,
    /// Not before then are changes told again.
    next_news: Tick,
    pace: Pace,
}

/// How much there is to do.
#[derive(Default)]
struct Pace {
    /// Between turns; `None`: as soon as there is something.
    rest: Option<Duration>,
    inputs: usize,
    window_ends: Tick,
}

impl Pace {
    fn turn(&mut self, now: Tick) {
        if now >= self.window_ends {
            let rest = if self.inputs > VERY_BUSY { SHORT_REST } else { REST };
            let rest = (self.inputs > BUSY).then_some(rest);
            *self = Pace { rest, inputs: 0, window_ends: now + WINDOW };
        }
    }
}

/// A UDP listener with what `epoll` said of it.
struct Watched {
    socket: UdpListener,
    readable: bool,
    failing: bool,
}

impl Signalling {
    pub fn new(
        brain: Switch,
        clock: Clock,
        inbox: Arc<Inbox>,
        listeners: Vec<UdpListener>,
        outlets: Outlets,
    ) -> io::Result<Signalling> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, inbox.bell(), bell, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        for (i, socket) in listeners.iter().enumerate() {
            let data = epoll::EventData::new_u64(i as u64);
            epoll::add(&epoll, socket.fd(), data, epoll::EventFlags::IN)?;
        }
        let watched = |socket| Watched { socket, readable: false, failing: false };
        Ok(Signalling {
            brain,
            clock,
            inbox,
            outlets,
            listeners: listeners.into_iter().map(watched).collect(),
            epoll,
            arrivals: Arrivals::default(),
            journaled: Seq(0),
            replies: HashMap::new(),
            next_control: 0,
            records: Vec::new(),
            updates: Vec::new(),
            next_news: Tick(0),
            pace: Pace::default(),
        })
    }

    /// Runs until [`Inbox::stop`].
    pub fn run(mut self) -> io::Result<()> {
        let mut taken = Taken::default();
        loop {
            self.inbox.take(&mut taken);
            self.handle_taken(&mut taken);
            self.handle_datagrams();
            self.handle_time();
            self.let_out()?;
            if taken.stop {
                return Ok(());
            }
            self.wait(!taken.streams.is_empty())?;
        }
    }

    fn handle_taken(&mut self, taken: &mut Taken) {
        let now = self.clock.now();
        let journaled = self.inbox.last_journaled();
        self.pace.inputs += taken.media.len()
            + taken.streams.len().min(STREAM_EVENTS)
            + usize::from(journaled > self.journaled);
        if journaled > self.journaled {
            self.journaled = journaled;
            self.brain.handle_input(now, Input::Journaled(journaled));
        }
        if let Some(stopped) = taken.journal_stopped.take() {
            self.brain.handle_input(now, Input::JournalStopped(stopped));
        }
        if let Some(snapshot) = taken.snapshot.take() {
            self.brain.handle_input(now, Input::Configure(snapshot));
        }
        for event in taken.media.drain(..) {
            self.brain.handle_input(now, Input::Media(event));
        }
        let some = taken.streams.len().min(STREAM_EVENTS);
        for event in taken.streams.drain(..some) {
            let input = match &event {
                StreamEvent::Message { flow, bytes, .. } => Input::Message { flow: *flow, bytes },
                StreamEvent::Broken { flow } => Input::StreamError { flow: *flow },
                StreamEvent::Closed { flow } => Input::FlowClosed { flow: *flow },
            };
            self.brain.handle_input(now, input);
            if let (StreamEvent::Message { flow, bytes, .. }, true) = (&event, self.brain.has_heard()) {
                self.outlets.captures.message(now.utc, true, *flow, bytes);
            }
        }
        for Control { request, reply } in taken.controls.drain(..) {
            self.next_control += 1;
            let id = ControlId(self.next_control);
            self.replies.insert(id, reply);
            self.brain.handle_input(now, Input::Control { id, request });
        }
    }

    /// A few batches from each socket, so that a flood on one starves no other, and yet is read faster than it comes:
    /// what the kernel has no room for it drops without asking whose it is.
    fn handle_datagrams(&mut self) {
        let now = self.clock.now();
        for Watched { socket, readable, failing } in &mut self.listeners {
            let flow =
                |remote| Flow { listener: socket.id, transport: Transport::Udp, remote, connection: 0 };
            if std::mem::take(failing) {
                let errors = std::iter::from_fn(|| socket.take_error());
                for error in errors.take(ERRORS) {
                    if let Unreachable::Address(remote) = error {
                        self.brain.handle_input(now, Input::FlowClosed { flow: flow(remote) });
                    }
                }
            }
            if !std::mem::take(readable) {
                continue;
            }
            for _ in 0..BATCHES {
                let count = self.arrivals.receive(socket).unwrap_or_else(|_| {
                    *failing = true;
                    0
                });
                self.pace.inputs += count;
                for (remote, bytes) in (0..count).filter_map(|i| self.arrivals.get(i)) {
                    self.brain.handle_input(now, Input::Message { flow: flow(remote), bytes });
                    if self.brain.has_heard() {
                        self.outlets.captures.message(now.utc, true, flow(remote), bytes);
                    }
                }
                if count < BATCH {
                    break;
                }
            }
        }
    }

    fn handle_time(&mut self) {
        let now = self.clock.now();
        self.pace.turn(now.tick);
        if self.brain.poll_timeout().is_some_and(|at| at <= now.tick) {
            self.brain.handle_timeout(now);
        }
    }

    fn let_out(&mut self) -> io::Result<()> {
        let at = self.clock.now().utc;
        while let Some(output) = self.brain.poll_output() {
            match output {
                Output::Send { flow, bytes } => {
                    self.outlets.captures.message(at, false, flow, &bytes);
                    self.send(flow, bytes);
                }
                Output::Told { call, event } => self.outlets.captures.told(at, call, event),
                Output::Media(command) => self
                    .outlets
                    .media
                    .send(command)
                    .map_err(|_| io::Error::other("the media threads are gone"))?,
                Output::Journal { seq, record } => self.records.push((seq, record)),
                Output::Reply { id, reply } => {
                    if let Some(asked) = self.replies.remove(&id) {
                        // Who asked may be gone.
                        let _ = asked.send(reply);
                    }
                }
            }
        }
        self.outlets.journal.push(&mut self.records);
        self.listeners.iter_mut().for_each(|l| l.socket.flush());
        self.tell_news();
        Ok(())
    }

    /// Describing a call costs more than changing it, so that screens hear of what changed only as often as they look.
    fn tell_news(&mut self) {
        let now = self.clock.now().tick;
        if now >= self.next_news && self.brain.has_news() {
            self.next_news = now + NEWS;
            self.brain.take_news(&mut self.updates);
            self.outlets.live.push(&mut self.updates);
        }
    }

    fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        match flow.transport {
            Transport::Udp => {
                if let Some(l) = self.listeners.iter_mut().find(|l| l.socket.id == flow.listener) {
                    l.socket.queue(flow.remote, bytes);
                }
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.outlets.tcp.send(flow, bytes);
            }
        }
    }

    /// Sleeps until a datagram comes, the bell rings, or the brain's next timer is due; not at all when there is more
    /// to be done.
    fn wait(&mut self, more: bool) -> io::Result<()> {
        if let Some(rest) = self.pace.rest {
            std::thread::sleep(rest);
            // Trying to read costs less than asking whether there is something.
            self.listeners.iter_mut().for_each(|l| l.readable = true);
            return Ok(());
        }
        let sleep =
            if !more && self.inbox.may_sleep(self.journaled) { self.until_timer() } else { Some(NOT_AT_ALL) };
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 16];
        let events = match epoll::wait(&self.epoll, &mut events, sleep.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => &mut [],
            Err(e) => return Err(e.into()),
        };
        self.inbox.awake();
        for event in events {
            let position = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if let Some(listener) = self.listeners.get_mut(position) {
                let flags = event.flags;
                listener.readable = flags.contains(epoll::EventFlags::IN);
                listener.failing = flags.contains(epoll::EventFlags::ERR);
            }
        }
        Ok(())
    }

    fn until_timer(&self) -> Option<rustix::time::Timespec> {
        let news = self.brain.has_news().then_some(self.next_news);
        let due = [self.brain.poll_timeout(), news].into_iter().flatten().min()?;
        let wait = due.since(self.clock.now().tick);
        // No timer lies so far ahead that the conversion could fail.
        Some(wait.try_into().unwrap_or(NOT_AT_ALL))
    }
}

const NOT_AT_ALL: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
