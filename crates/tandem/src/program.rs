//! The switch put together: folder, store, journal, sockets, threads; and taken apart again in the right order.

use crate::clock::{self, Clock};
use crate::configuration::{self, Configurator, Resolved};
use crate::folder::{Folder, Run};
use crate::interfaces::local_addresses;
use crate::journal::{ApplierQueue, JournalQueue, Records, Writer};
use crate::live::LiveQueue;
use crate::media_io::{MediaEngine, MediaSettings};

use crate::operator::{Facts, Operator};
use crate::settings::{Listener, PortRange, Settings};
use crate::signalling::{Inbox, Outlets, Signalling, UdpListener};
use crate::tcp::{self, Tls};
use crate::trace::Observer;
use crate::watching::Watching;
use api::{ApiServer, LiveBoard};
use params::Params;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use store::journal::Recovered;
use store::{Applier, Journal, JournalOptions, Store};
use switch::interface::MediaAddressing;
use switch::live::LiveUpdate;
use switch::{ControlRequest, Record, Restore, Switch, SwitchConfig};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use vocab::net::LocalAddresses;
use vocab::{ListenerId, Transport};

/// How long calls may take to end once they have been told to.
const HANG_UP_TIME: Duration = Duration::from_secs(10);
/// How long the API may take to finish what it is answering.
const API_TIME: Duration = Duration::from_secs(2);
/// CDRs of today that the board is given at the start.
const BOARD_CDRS: usize = 20_000;

/// A thread of the switch came to its end without being told to: why.
pub type Fault = String;

/// A running switch.
pub struct Program {
    pub addresses: Addresses,
    /// Of the administrator, when this start has made one.
    pub first_password: Option<String>,
    pub operator: Arc<Operator>,
    folder: Folder,
    runtime: Runtime,
    inbox: Arc<Inbox>,
    journal: Arc<JournalQueue>,
    watching: Watching,
    media: Arc<MediaEngine>,
    threads: Vec<JoinHandle<()>>,
    faults: mpsc::UnboundedReceiver<Fault>,
    api_stop: oneshot::Sender<()>,
    api_ended: tokio::task::JoinHandle<()>,
    stop_wait: Duration,
}

/// Where it listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub api: SocketAddr,
    pub listeners: Vec<api::Listener>,
    pub media_ports: PortRange,
}

/// After a failed write the kernel may take for written what is not.
fn end_when_the_disk_fails(store: &Store, fault: &mpsc::UnboundedSender<String>) {
    let fault = fault.clone();
    store.on_failure(move |line| {
        let _ = fault.send(line.to_string());
    });
}

impl Program {
    /// Opens everything and starts all threads. On an error nothing is left running.
    pub fn start(settings: &Settings, demo: bool) -> Result<Program, String> {
        let clock = Clock::start();
        let folder = Folder::open(&settings.data)?;
        let store = Store::open(folder.path()).map_err(|e| e.to_string())?;
        let (journal, recovered) = open_journal(&folder, settings)?;
        let (restore, applier) = store.restore(&journal, recovered).map_err(|e| e.to_string())?;
        let snapshot = configuration::build(&store, &Resolved::new())?;
        let params = snapshot.params.clone();

        let local =
            local_addresses(&settings.media.addresses).map_err(|e| format!("reading our addresses: {e}"))?;
        let (sockets, tls) = open_sockets(settings, &folder, &params, &local)?;
        let api_listener = bind_api(settings.api)?;
        let addresses = Addresses {
            api: api_listener.local_addr().map_err(|e| e.to_string())?,
            listeners: sockets.shown(),
            media_ports: media_ports(settings, &params),
        };
        let media = media_settings(settings, &params, addresses.media_ports, &local);
        let reached = sockets.reached(&local);
        let config = switch_config(settings, &sockets, local, &media, (clock, store.journal_seal()))?;

        let runtime = api_runtime()?;
        let inbox = Arc::new(Inbox::new().map_err(|e| format!("making an eventfd: {e}"))?);
        inbox.journaled(restore.last_seq);
        let board = Arc::new(LiveBoard::new());
        fill_board(&store, &board);
        let live = Arc::new(LiveQueue::default());
        let applied = Arc::new(ApplierQueue::new(store.applied().map_err(|e| e.to_string())?));
        let facts = Arc::new(Facts::default());
        let (configured, in_force) = watch::channel(snapshot.version);
        let changes = configuration::watch(&store);
        let watching = Watching::new(folder.path());
        let operator = Arc::new(Operator {
            inbox: inbox.clone(),
            store: store.clone(),
            in_force,
            facts: facts.clone(),
            applied: applied.clone(),
            started_at: clock::utc(),
            addresses: addresses.clone(),
            demo,
            observer: watching.observer.clone(),
        });

        // From here on there are threads: what can fail has been done, or ends them by dropping what they read from.
        let (fault, faults) = mpsc::unbounded_channel();
        end_when_the_disk_fails(&store, &fault);
        let media = media_engine(media, inbox.clone())?;
        let journal_queue = Arc::new(JournalQueue::default());
        let tcp = tcp::start(runtime.handle(), sockets.tcp, settings.tcp.clone(), tls, inbox.clone())
            .map_err(|e| format!("starting TCP: {e}"))?;
        tcp.configure(snapshot.clone());
        let outlets = Outlets {
            tcp: tcp.clone(),
            journal: journal_queue.clone(),
            media: media.clone(),
            live: live.clone(),
            captures: watching.captures.clone(),
        };
        let brain = BrainStart { config, restore, snapshot, clock, sockets: sockets.udp, outlets };
        let gather = Duration::from_millis(settings.journal.gather_ms);
        let writer = Writer::new(journal, journal_queue.clone(), inbox.clone(), applied.clone(), gather);
        let mut threads = watching.start(&operator, reached, &journal_queue, &fault)?;
        threads.extend(start_threads(
            &fault,
            writer,
            (applied, applier, board.clone()),
            brain,
            inbox.clone(),
        )?);

        crate::records::start(runtime.handle(), &store, folder.path().join("cdr"), facts.clone());
        let server = ApiServer::new(store.clone(), operator.clone(), board.clone(), api::Settings::default());
        let first_password = server.bootstrap().map_err(|e| e.to_string())?;
        let token = server.create_local_token().map_err(|e| e.to_string())?;
        runtime.spawn(live.feed(inbox.clone(), tell_all(facts, watching.observer.clone(), board)));
        let configurator = Configurator { store, inbox: inbox.clone(), tcp, in_force: configured };
        runtime.block_on(configurator.pay_opening_balances());
        runtime.spawn(configurator.run(changes));
        let (api_stop, stop) = oneshot::channel::<()>();
        let api_ended = runtime.spawn(serve_api(server, api_listener, stop, fault));
        announce(&folder, &token, &addresses)?;
        Ok(Program {
            addresses,
            first_password,
            operator,
            folder,
            runtime,
            inbox,
            journal: journal_queue,
            watching,
            media,
            threads,
            faults,
            api_stop,
            api_ended,
            stop_wait: settings.stop_wait,
        })
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn runtime(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    /// Runs until somebody asks to stop, then until the calls have ended; at the latest at the second request.
    /// `Err` when a part of the switch failed: the process is to end at once, and the next start takes over from
    /// what is on disk.
    pub fn run(mut self, stops: mpsc::Receiver<()>) -> Result<(), Fault> {
        let operator = self.operator.clone();
        let stop_wait = self.stop_wait;
        let faults = &mut self.faults;
        self.runtime.handle().clone().block_on(async move {
            tokio::select! {
                Some(fault) = faults.recv() => Err(fault),
                () = until_quiet(&operator, stops, stop_wait) => Ok(()),
            }
        })?;
        self.stop()
    }

    /// Everything that is to be on disk is there when this returns.
    fn stop(mut self) -> Result<(), Fault> {
        let _ = self.api_stop.send(());
        let ended = self.api_ended;
        let _ = self.runtime.block_on(async move { tokio::time::timeout(API_TIME, ended).await });
        self.inbox.stop();
        // The signalling thread first: it is the one that fills the journal's queue.
        if let Some(signalling) = self.threads.pop() {
            let _ = signalling.join();
        }
        self.journal.close();
        self.watching.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.runtime.shutdown_timeout(API_TIME);
        if let Ok(media) = Arc::try_unwrap(self.media) {
            media.stop();
        }
        match self.faults.try_recv() {
            Ok(fault) => Err(fault),
            Err(_) => Ok(()),
        }
    }
}

/// Who hears of live updates.
fn tell_all(facts: Arc<Facts>, observer: Arc<Observer>, board: Arc<LiveBoard>) -> impl FnMut(LiveUpdate) {
    move |update| {
        facts.note(&update);
        observer.note(&update);
        board.update(update);
    }
}

/// No new calls; then the end of those that are up: by themselves, or by us when time is up or a second request
/// comes.
async fn until_quiet(operator: &Operator, mut stops: mpsc::Receiver<()>, wait: Duration) {
    stops.recv().await;
    tracing::info!("stopping: no new calls");
    let _ = operator.request(ControlRequest::UnregisterEverywhere).await;
    tokio::select! {
        _ = operator.request(ControlRequest::Drain) => return,
        _ = stops.recv() => {}
        () = tokio::time::sleep(wait) => {}
    }
    tracing::info!("ending the calls that are up");
    tokio::select! {
        _ = operator.request(ControlRequest::HangUpAll) => {}
        _ = stops.recv() => {}
        () = tokio::time::sleep(HANG_UP_TIME) => tracing::warn!("not every call has ended in time"),
    }
}

/// What the signalling thread builds its brain from; the brain itself never changes threads.
struct BrainStart {
    config: SwitchConfig,
    restore: Restore,
    snapshot: Arc<switch::Snapshot>,
    clock: Clock,
    sockets: Vec<UdpListener>,
    outlets: Outlets,
}

impl BrainStart {
    fn run(self, inbox: Arc<Inbox>) -> Result<(), Fault> {
        crate::priority::go_first();
        let brain = Switch::new(self.clock.now(), self.config, self.restore, self.snapshot);
        let signalling = Signalling::new(brain, self.clock, inbox, self.sockets, self.outlets);
        signalling.and_then(Signalling::run).map_err(|e| format!("signalling: {e}"))
    }
}

/// Starts a thread whose failure is told.
pub(crate) fn thread(
    name: &'static str,
    fault: &mpsc::UnboundedSender<Fault>,
    work: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Result<JoinHandle<()>, String> {
    let fault = fault.clone();
    let body = move || {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let failed = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => format!(
                "the {name} thread panicked: a bug of the switch; calls are recovered at the next start"
            ),
        };
        let _ = fault.send(failed);
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|e| format!("starting the {name} thread: {e}"))
}

fn open_journal(folder: &Folder, settings: &Settings) -> Result<(Journal, Recovered), String> {
    let options = JournalOptions { segment_bytes: settings.journal.segment_mb << 20 };
    let (journal, recovered) =
        Journal::open(&folder.path().join("journal"), options).map_err(|e| e.to_string())?;
    if let Some((file, offset, bytes)) = &recovered.cut {
        tracing::warn!(file = %file.display(), offset, bytes, "an unfinished write was cut off");
    }
    Ok((journal, recovered))
}

fn switch_config(
    settings: &Settings,
    sockets: &Sockets,
    local: LocalAddresses,
    media: &MediaSettings,
    (clock, seal): (Clock, [u8; 32]),
) -> Result<SwitchConfig, String> {
    let advertised_v4 = settings.media.advertised_v4.map(IpAddr::V4);
    let advertised_v6 = settings.media.advertised_v6.map(IpAddr::V6);
    Ok(SwitchConfig {
        listeners: sockets.for_brain()?,
        media: MediaAddressing { local, advertised_v4, advertised_v6 },
        media_families: [true, media.bind_v6.is_some()],
        media_threads: media.threads,
        boot: clock.boot(),
        seed: seed()?,
        seal,
    })
}

/// The threads of API and TCP.
fn api_runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).thread_name("api").enable_all().build();
    runtime.map_err(|e| format!("starting threads: {e}"))
}

/// Journal, database and brain, each on a thread of its own.
fn start_threads(
    fault: &mpsc::UnboundedSender<Fault>,
    writer: Writer,
    (applied, applier, board): (Arc<ApplierQueue>, Applier, Arc<LiveBoard>),
    brain: BrainStart,
    inbox: Arc<Inbox>,
) -> Result<Vec<JoinHandle<()>>, String> {
    let spare = writer.spare();
    Ok(vec![
        thread("spare", fault, move || {
            spare.keep_made();
            Ok(())
        })?,
        thread("journal", fault, move || writer.run().map_err(|e| e.to_string()))?,
        thread("applier", fault, move || {
            run_applier(&applied, applier, &board);
            Ok(())
        })?,
        thread("signalling", fault, move || brain.run(inbox))?,
    ])
}

fn run_applier(queue: &ApplierQueue, mut applier: Applier, board: &LiveBoard) {
    let apply = |records: &Records| applier.apply(records).map(|_| ()).map_err(|e| e.to_string());
    queue.run(apply, |records| {
        for (_, record) in records {
            if let Record::Ended { cdr, .. } = record {
                board.record(Arc::from(cdr));
            }
        }
    });
}

async fn serve_api(
    server: ApiServer,
    listener: std::net::TcpListener,
    stop: oneshot::Receiver<()>,
    fault: mpsc::UnboundedSender<Fault>,
) {
    let stopped = async {
        let _ = stop.await;
    };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => server.serve(listener, stopped).await,
        Err(error) => {
            let _ = fault.send(format!("the API: {error}"));
        }
    }
}

/// The figures of today go on where they were.
fn fill_board(store: &Store, board: &LiveBoard) {
    let midnight = vocab::Utc(clock::utc().day().saturating_mul(86_400_000_000));
    let filter = store::CdrFilter { from: Some(midnight), ..store::CdrFilter::default() };
    match store.cdrs(&filter, None, BOARD_CDRS) {
        Ok(page) => page.items.into_iter().rev().for_each(|cdr| board.record(Arc::new(cdr))),
        Err(error) => tracing::warn!(%error, "the calls of today cannot be read for the overview"),
    }
}

/// What SIP listens at, and the certificates for it.
fn open_sockets(
    settings: &Settings,
    folder: &Folder,
    params: &Params,
    local: &LocalAddresses,
) -> Result<(Sockets, Arc<Tls>), String> {
    let listeners = settings.listeners_with(params.sip_tls_port, params.sip_ws_port);
    let sockets = Sockets::bind(&listeners, params.qos_signal)?;
    let tls = Tls::load(&settings.tls, folder.path(), certified_names(&listeners, local))?;
    Ok((sockets, Arc::new(tls)))
}

/// The bound sockets with their settings.
struct Sockets {
    udp: Vec<UdpListener>,
    /// TCP and what goes over it.
    tcp: Vec<(ListenerId, Transport, std::net::TcpListener)>,
    /// In the order of their ids.
    bound: Vec<(Listener, SocketAddr)>,
}

impl Sockets {
    fn bind(listeners: &[Listener], dscp: u8) -> Result<Sockets, String> {
        let mut sockets = Sockets { udp: Vec::new(), tcp: Vec::new(), bound: Vec::new() };
        for listener in listeners {
            match sockets.bind_one(listener, dscp) {
                Ok(address) => sockets.bound.push((listener.clone(), address)),
                Err(error) if listener.if_available && lacks_family(&error) => {}
                Err(error) => {
                    let address = listener.socket();
                    return Err(format!("listening on {} {address}: {error}", listener.transport));
                }
            }
        }
        Ok(sockets)
    }

    fn bind_one(&mut self, listener: &Listener, dscp: u8) -> io::Result<SocketAddr> {
        let id = ListenerId(u16::try_from(self.bound.len()).unwrap_or(u16::MAX));
        let address = listener.socket();
        match listener.transport {
            Transport::Udp => {
                let socket = UdpListener::bind(id, address, dscp)?;
                let bound = socket.local();
                self.udp.push(socket);
                Ok(bound)
            }
            transport @ (Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss) => {
                let socket = tcp::bind(address, dscp)?;
                let bound = socket.local_addr()?;
                self.tcp.push((id, transport, socket));
                Ok(bound)
            }
        }
    }

    fn shown(&self) -> Vec<api::Listener> {
        let show = |(listener, address): &(Listener, SocketAddr)| api::Listener {
            transport: listener.transport,
            address: *address,
            advertised: advertised(listener),
        };
        self.bound.iter().map(show).collect()
    }

    /// Where each listener is reached, as one address: what captures say.
    fn reached(&self, local: &LocalAddresses) -> HashMap<ListenerId, SocketAddr> {
        let ip = |address: &SocketAddr| match address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => local.default_v4.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(_) => local.default_v6.unwrap_or(Ipv6Addr::LOCALHOST.into()),
        };
        let one = |(id, (_, address)): (u16, &(Listener, SocketAddr))| {
            (ListenerId(id), SocketAddr::new(ip(address), address.port()))
        };
        (0..).zip(&self.bound).map(one).collect()
    }

    fn for_brain(&self) -> Result<Vec<sip::ListenerConfig>, String> {
        let own = local_addresses(&[]).map_err(|e| format!("reading our addresses: {e}"))?;
        let config = |(id, (listener, address)): (u16, &(Listener, SocketAddr))| sip::ListenerConfig {
            id: ListenerId(id),
            transport: listener.transport,
            port: address.port(),
            advertised: advertised(listener),
            local: reached_at(&own, address.ip()),
        };
        Ok((0..).zip(&self.bound).map(config).collect())
    }
}

fn advertised(listener: &Listener) -> Option<String> {
    let address = listener.advertised?;
    Some(match address.port {
        Some(_) => address.socket().to_string(),
        None => address.ip.to_string(),
    })
}

/// What stands in a certificate of our own making.
fn certified_names(listeners: &[Listener], local: &LocalAddresses) -> Vec<String> {
    let advertised = listeners.iter().filter_map(|l| l.advertised).map(|a| a.ip);
    let bound = listeners.iter().map(|l| l.address.ip).filter(|ip| !ip.is_unspecified());
    let own = local.interfaces.iter().map(|(_, ip)| *ip);
    let addresses: BTreeSet<IpAddr> = advertised.chain(bound).chain(own).collect();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine =
        Some(machine.trim()).filter(|name| name.is_ascii() && !name.is_empty() && *name != "(none)");
    let names = ["localhost"].into_iter().chain(machine).map(str::to_owned);
    names.chain(addresses.iter().map(IpAddr::to_string)).collect()
}

/// The addresses at which a socket bound to `ip` is reached.
fn reached_at(own: &LocalAddresses, ip: IpAddr) -> LocalAddresses {
    let v4 = ip.is_ipv4();
    if ip.is_unspecified() {
        return LocalAddresses {
            interfaces: own.interfaces.iter().filter(|(_, own)| own.is_ipv4() == v4).copied().collect(),
            default_v4: own.default_v4.filter(|_| v4),
            default_v6: own.default_v6.filter(|_| !v4),
        };
    }
    LocalAddresses { interfaces: Vec::new(), default_v4: v4.then_some(ip), default_v6: (!v4).then_some(ip) }
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::ENOPROTOOPT))
}

fn bind_api(address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let listener = std::net::TcpListener::bind(address)
        .map_err(|e| format!("listening for the API on {address}: {e}"))?;
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    Ok(listener)
}

fn media_ports(settings: &Settings, params: &Params) -> PortRange {
    let from_parameters = PortRange { first: params.mediaproxyport_start, last: params.mediaproxyport_end };
    settings.media.ports.unwrap_or(from_parameters)
}

fn media_engine(settings: MediaSettings, inbox: Arc<Inbox>) -> Result<Arc<MediaEngine>, String> {
    let engine = MediaEngine::start(settings, move |event| inbox.media(event));
    engine.map(Arc::new).map_err(|e| format!("starting the media threads: {e}"))
}

fn media_settings(
    settings: &Settings,
    params: &Params,
    ports: PortRange,
    local: &LocalAddresses,
) -> MediaSettings {
    // With one address given, its ports alone are taken; with several, the wildcard serves them all.
    let only = |v4: bool| {
        let mut own = settings.media.addresses.iter().copied().filter(|a| a.is_ipv4() == v4);
        own.next().filter(|_| own.next().is_none())
    };
    MediaSettings {
        bind_v4: only(true).unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        bind_v6: local.default_v6.map(|_| only(false).unwrap_or(Ipv6Addr::UNSPECIFIED.into())),
        port_start: ports.first,
        port_end: ports.last,
        threads: u8::try_from(settings.media.threads.unwrap_or_else(media_threads)).unwrap_or(1),
        dscp: params.qos_rtp,
    }
}

/// One for every two processors: the other is for signalling, disk and API.
fn media_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)).min(16)
}

fn seed() -> Result<[u8; 16], String> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    Ok(seed)
}

fn announce(folder: &Folder, token: &str, addresses: &Addresses) -> Result<(), String> {
    folder
        .write_token(token)
        .and_then(|()| folder.announce(&run(addresses)))
        .map_err(|e| format!("writing to the data folder {}: {e}", folder.path().display()))
}

fn run(addresses: &Addresses) -> Run {
    Run {
        pid: std::process::id(),
        api: format!("http://{}", reachable(addresses.api)),
        listeners: addresses.listeners.iter().map(|l| format!("{} {}", l.transport, l.address)).collect(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// How this machine itself reaches a listening address.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
    }
}
