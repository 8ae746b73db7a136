//! The capture thread and what the API asks of it.

use super::files::TwoFiles;
use super::mailbox::{Batch, Entry, Mailbox};
use crate::clock;
use crate::log;
use api::{Seeing, TraceKind, TraceOrder, TraceState};
use diagnosis::capture::{Kind, MediaSample};
use diagnosis::{Capture, CaptureStore, Filter, Message, hep, mask, text};
use params::Params;
use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Sample;
use switch::live::{LiveUpdate, Totals};
use vocab::{CallId, ListenerId, Utc};

/// Between two looks into the mailbox.
const PERIOD: Duration = Duration::from_millis(50);
/// Pieces and bytes on their way to the trace files.
const PIECES: usize = 8192;
const PIECE_BYTES: usize = 16 << 20;
/// Calls that wait for the fraud watch.
const ENDED: usize = 20_000;

/// What the capture thread works with.
pub struct Observing {
    pub mailbox: Arc<Mailbox>,
    pub observer: Arc<Observer>,
    /// Where our listeners are reached.
    pub listeners: HashMap<ListenerId, SocketAddr>,
    pub params: Box<dyn Fn() -> Arc<Params> + Send>,
}

/// Captures, trace orders and their counters.
#[derive(Debug)]
pub struct Observer {
    store: Mutex<CaptureStore>,
    orders: Mutex<[Option<TraceOrder>; 2]>,
    folder: PathBuf,
    mailbox: Arc<Mailbox>,
    written: [AtomicU64; 2],
    dropped: [AtomicU64; 2],
    failing: [AtomicBool; 2],
    waiting_bytes: AtomicUsize,
    hep_sent: AtomicU64,
    hep_failed: AtomicU64,
    /// The data folder, and what the monitor last put together.
    data: PathBuf,
    sample: Mutex<Option<Sample>>,
    totals: Mutex<Totals>,
    open_alarms: AtomicU32,
    /// Calls whose record is on disk, for the fraud watch.
    ended: Mutex<VecDeque<CallId>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_name(kind: TraceKind) -> &'static str {
    match kind {
        TraceKind::Calls => "calls",
        TraceKind::Registers => "registers",
    }
}

impl Observer {
    pub fn new(data: PathBuf, mailbox: Arc<Mailbox>) -> Observer {
        Observer {
            store: Mutex::new(CaptureStore::default()),
            orders: Mutex::default(),
            folder: data.join("trace"),
            mailbox,
            written: Default::default(),
            dropped: Default::default(),
            failing: Default::default(),
            waiting_bytes: AtomicUsize::new(0),
            hep_sent: AtomicU64::new(0),
            hep_failed: AtomicU64::new(0),
            data,
            sample: Mutex::default(),
            totals: Mutex::default(),
            open_alarms: AtomicU32::new(0),
            ended: Mutex::default(),
        }
    }

    /// What the brain last said of itself.
    pub fn totals(&self) -> Totals {
        lock(&self.totals).clone()
    }

    pub fn keep_sample(&self, sample: Sample) {
        *lock(&self.sample) = Some(sample);
    }

    pub fn note_alarms(&self, open: u32) {
        self.open_alarms.store(open, Ordering::Relaxed);
    }

    /// Calls that have ended since the last time; if nobody asks, the oldest make room.
    pub fn take_ended(&self) -> VecDeque<CallId> {
        std::mem::take(&mut lock(&self.ended))
    }

    pub fn open_alarms(&self) -> u32 {
        self.open_alarms.load(Ordering::Relaxed)
    }

    /// Takes figures from the live updates.
    pub fn note(&self, update: &LiveUpdate) {
        if let LiveUpdate::Ended(call) = update {
            let mut ended = lock(&self.ended);
            if ended.len() >= ENDED {
                ended.pop_front();
            }
            ended.push_back(*call);
        }
        if let LiveUpdate::Totals(totals) = update {
            *lock(&self.totals) = totals.clone();
        }
        if let LiveUpdate::Media { call, a, b } = update {
            let sample = MediaSample {
                at: clock::utc(),
                packets_in: [a.packets_in, b.packets_in],
                lost: [a.lost, b.lost],
                jitter_us: [a.jitter_us, b.jitter_us],
            };
            lock(&self.store).media(*call, sample);
        }
    }

    fn order(&self, kind: TraceKind, now: Utc) -> Option<TraceOrder> {
        let mut orders = lock(&self.orders);
        let slot = &mut orders[kind as usize];
        if slot.as_ref().is_some_and(|o| o.until.is_some_and(|until| until <= now)) {
            *slot = None;
            lock(&self.store).stop_tracing(kind == TraceKind::Registers);
        }
        slot.clone()
    }
}

impl Seeing for Observer {
    fn capture(&self, call: CallId) -> Option<Capture> {
        lock(&self.store).of_call(call).cloned()
    }

    fn captures(&self, kind: Kind, filter: &Filter, most: usize) -> Vec<Capture> {
        lock(&self.store).find(kind, filter, most).into_iter().map(|(_, c)| c.clone()).collect()
    }

    fn traces(&self) -> Vec<TraceState> {
        let state = |kind: TraceKind| TraceState {
            kind,
            order: self.order(kind, clock::utc()),
            file_bytes: TwoFiles::paths(&self.folder, file_name(kind))
                .iter()
                .map(|path| path.metadata().map_or(0, |m| m.len()))
                .sum(),
            written: self.written[kind as usize].load(Ordering::Relaxed),
            dropped: self.dropped[kind as usize].load(Ordering::Relaxed) + self.mailbox.dropped(),
            failing: self.failing[kind as usize].load(Ordering::Relaxed),
        };
        [TraceKind::Calls, TraceKind::Registers].map(state).into()
    }

    fn set_trace(&self, kind: TraceKind, order: Option<TraceOrder>) {
        let ended = order.is_none();
        lock(&self.orders)[kind as usize] = order;
        if ended {
            lock(&self.store).stop_tracing(kind == TraceKind::Registers);
        }
    }

    fn trace_files(&self, kind: TraceKind) -> Vec<PathBuf> {
        TwoFiles::paths(&self.folder, file_name(kind)).into()
    }

    fn sample(&self) -> Option<Sample> {
        lock(&self.sample).clone()
    }

    fn log_levels(&self) -> api::LogLevels {
        log::levels()
    }

    fn set_log_levels(&self, levels: api::LogLevels) -> Result<(), String> {
        log::set_levels(levels)
    }

    fn log_files(&self) -> Vec<PathBuf> {
        log::files(&self.data)
    }

    fn figures(&self) -> api::SeeingFigures {
        let (captures, capture_bytes) = lock(&self.store).size();
        api::SeeingFigures {
            captures,
            capture_bytes,
            mailbox_depth: self.mailbox.depth(),
            mailbox_dropped: self.mailbox.dropped(),
            trace_dropped: self.dropped.iter().map(|d| d.load(Ordering::Relaxed)).sum(),
            hep_sent: self.hep_sent.load(Ordering::Relaxed),
            hep_failed: self.hep_failed.load(Ordering::Relaxed),
        }
    }
}

/// A piece of text on its way to a trace file.
type Piece = (TraceKind, String);

impl Observing {
    /// Runs until the mailbox is closed.
    pub fn run(self) -> std::io::Result<()> {
        let (sender, receiver) = sync_channel(PIECES);
        let (observer, sizes) = (self.observer.clone(), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let writer_sizes = sizes.clone();
        let writer = std::thread::Builder::new()
            .name("trace-files".into())
            .spawn(move || write_files(&observer, &receiver, &writer_sizes))?;
        let mut round = Round { orders: [None, None], hep: Hep::default(), sender, observing: self };
        let mut batch = Batch::roomy();
        loop {
            let closing = round.observing.mailbox.is_closed();
            round.look(&sizes);
            round.observing.mailbox.take(&mut batch);
            round.take(&mut batch);
            if closing {
                break;
            }
            std::thread::sleep(PERIOD);
        }
        drop(round);
        let _ = writer.join();
        Ok(())
    }
}

/// One look into the mailbox, with the orders and settings that hold in it.
struct Round {
    observing: Observing,
    orders: [Option<TraceOrder>; 2],
    hep: Hep,
    sender: SyncSender<Piece>,
}

#[derive(Default)]
struct Hep {
    server: Option<SocketAddr>,
    agent: u32,
    socket: Option<UdpSocket>,
    packet: Vec<u8>,
}

impl Hep {
    fn set(&mut self, params: &Params) {
        let server = params.trace_hep_server.parse().ok();
        self.agent = params.trace_hep_id;
        if server != self.server {
            (self.server, self.socket) = (server, None);
        }
    }

    /// A datagram to nobody, or to somebody slow, costs what any other does.
    fn send(&mut self, observer: &Observer, message: &Message, correlation: &str) {
        let Some(server) = self.server else { return };
        if self.socket.is_none() {
            let any: SocketAddr =
                if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
            self.socket = UdpSocket::bind(any).and_then(|s| s.set_nonblocking(true).map(|()| s)).ok();
        }
        let Some(socket) = &self.socket else { return };
        hep::encode(&mut self.packet, message, self.agent, correlation);
        let counter = match socket.send_to(&self.packet, server) {
            Ok(_) => &observer.hep_sent,
            Err(_) => &observer.hep_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Round {
    fn look(&mut self, sizes: &[AtomicU64; 2]) {
        let (now, params) = (clock::utc(), (self.observing.params)());
        let order = |kind| self.observing.observer.order(kind, now);
        self.orders = [order(TraceKind::Calls), order(TraceKind::Registers)];
        let in_mb = [params.trace_call_file_size_mb, params.trace_register_file_size_mb];
        for (size, mb) in sizes.iter().zip(in_mb) {
            size.store(u64::from(mb) << 20, Ordering::Relaxed);
        }
        self.hep.set(&params);
    }

    fn take(&mut self, batch: &mut Batch) {
        let observer = self.observing.observer.clone();
        let Batch { bytes, entries } = batch;
        for entry in entries.drain(..) {
            // The lock is held for one entry, so that a reader never keeps a whole batch waiting.
            match entry {
                Entry::Message { at, incoming, flow, start, length } => {
                    let Some(raw) = bytes.get_mut(start..start + length) else { continue };
                    mask::mask(raw);
                    let local = self.observing.listeners.get(&flow.listener).copied();
                    let message = Message {
                        at,
                        leg: 0,
                        incoming,
                        transport: flow.transport,
                        local: local.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
                        remote: flow.remote,
                        connection: flow.connection,
                        bytes: Arc::from(&*raw),
                    };
                    let mut store = lock(&observer.store);
                    let id = store.message(message.clone());
                    if self.hep.server.is_some()
                        && let Some(capture) = store.get(id)
                    {
                        self.hep.send(&observer, &message, capture.correlation());
                    }
                    self.trace(&mut store, id, |capture| text::message(capture, &message));
                }
                Entry::Told { at, call, event } => {
                    let mut store = lock(&observer.store);
                    let words = event.words();
                    if let Some(id) = store.event(at, call, event) {
                        self.trace(&mut store, id, |capture| text::event(capture, at, &words));
                    }
                }
            }
        }
    }

    /// Writes what is new of a conversation; all of it when an order turns out to mean it.
    fn trace(&self, store: &mut CaptureStore, id: u64, newest: impl FnOnce(&Capture) -> String) {
        let Some(capture) = store.get(id) else { return };
        let kind = if capture.kind == Kind::Register { TraceKind::Registers } else { TraceKind::Calls };
        let Some(order) = &self.orders[kind as usize] else { return };
        let piece = match store.is_traced(id) {
            true => newest(capture),
            false if order.filter.fits(capture) => text::whole(capture),
            false => return,
        };
        store.start_tracing(id);
        let (observer, length) = (&self.observing.observer, piece.len());
        let room = observer.waiting_bytes.load(Ordering::Relaxed) + length <= PIECE_BYTES;
        if room {
            observer.waiting_bytes.fetch_add(length, Ordering::Relaxed);
        }
        if !room || self.sender.try_send((kind, piece)).is_err() {
            observer.dropped[kind as usize].fetch_add(1, Ordering::Relaxed);
            if room {
                observer.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            }
        }
    }
}

fn write_files(observer: &Observer, pieces: &Receiver<Piece>, sizes: &[AtomicU64; 2]) {
    let new = |kind| TwoFiles::new(&observer.folder, file_name(kind), u64::MAX);
    let mut files = [new(TraceKind::Calls), new(TraceKind::Registers)];
    loop {
        let (kind, piece) = match pieces.recv_timeout(Duration::from_secs(3600)) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        observer.waiting_bytes.fetch_sub(piece.len(), Ordering::Relaxed);
        let n = kind as usize;
        files[n].set_size(sizes[n].load(Ordering::Relaxed));
        let outcome = files[n].write(piece.as_bytes());
        let counter = if outcome.is_ok() { &observer.written[n] } else { &observer.dropped[n] };
        counter.fetch_add(1, Ordering::Relaxed);
        let was = observer.failing[n].swap(outcome.is_err(), Ordering::Relaxed);
        if let (false, Err(error)) = (was, outcome) {
            tracing::error!(%error, "the trace cannot be written; calls are not touched");
        }
    }
}
