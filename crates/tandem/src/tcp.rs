//! SIP over TCP: accepts, connects on demand, cuts streams into messages, and keeps everyone within limits.
//!
//! Each connection has a number that is never used twice. The signalling thread hands over whole messages through
//! [`TcpSender`], which never waits: a peer that does not read what it is sent is closed.

use crate::settings;
use crate::signalling::{Inbox, StreamEvent};
use sip::framing::{Frame, Framer};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use switch::Snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use vocab::{Flow, ListenerId, Transport};

const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a connection may still write after its peer has sent nonsense or stopped.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Queued for one peer: messages, bytes.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 1 << 20;
/// Messages of one connection under way to the signalling thread.
const UNHANDLED: usize = 64;
const READ_STEP: usize = 16 << 10;

/// A listener's address, for connections made from it.
#[derive(Clone, Copy, Debug)]
struct Local {
    id: ListenerId,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    inbox: Arc<Inbox>,
    limits: settings::Tcp,
    locals: Vec<Local>,
    connections: Mutex<Connections>,
    next: AtomicU64,
    /// Who is a gateway and who is a stranger.
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

#[derive(Debug, Default)]
struct Connections {
    by_number: HashMap<u64, Arc<Connection>>,
    by_remote: HashMap<(ListenerId, SocketAddr), u64>,
    by_source: HashMap<IpAddr, usize>,
    /// Those from addresses that are no gateway's.
    strangers: usize,
}

#[derive(Debug)]
struct Connection {
    flow: Flow,
    queue: mpsc::Sender<Vec<u8>>,
    queued_bytes: AtomicUsize,
    /// Messages were sent here by address alone: the brain knows this connection as number 0 too.
    by_address: AtomicBool,
    /// Messages that may wait for the signalling thread at a time: one peer's thousands stay in its connection.
    unhandled: Arc<Semaphore>,
    stranger: bool,
}

/// The signalling thread's end.
#[derive(Clone, Debug)]
pub struct TcpSender {
    shared: Arc<Shared>,
    runtime: Handle,
}

/// Opens the listening sockets.
pub fn bind(address: SocketAddr, dscp: u8) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    let tos = u32::from(dscp) << 2;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(tos)?;
    } else {
        socket.set_tos_v4(tos)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Starts accepting. The tasks end with the runtime.
pub fn start(
    runtime: &Handle,
    listeners: Vec<(ListenerId, std::net::TcpListener)>,
    limits: settings::Tcp,
    inbox: Arc<Inbox>,
) -> io::Result<TcpSender> {
    let local =
        |(id, l): &(ListenerId, std::net::TcpListener)| Ok(Local { id: *id, address: l.local_addr()? });
    let locals = listeners.iter().map(local).collect::<io::Result<Vec<_>>>()?;
    let next = AtomicU64::new(1);
    let shared = Arc::new(Shared {
        inbox,
        limits,
        locals,
        connections: Mutex::default(),
        next,
        snapshot: Mutex::default(),
    });
    let _in_runtime = runtime.enter();
    for (id, listener) in listeners {
        let listener = TcpListener::from_std(listener)?;
        runtime.spawn(accept(shared.clone(), id, listener));
    }
    Ok(TcpSender { shared, runtime: runtime.clone() })
}

impl TcpSender {
    /// From now on, these are the gateways.
    pub fn configure(&self, snapshot: Arc<Snapshot>) {
        *self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    /// Sends on the connection, or for number 0 on one to the address, which is made if there is none.
    pub fn send(&self, flow: Flow, bytes: Vec<u8>) {
        match self.shared.find(flow) {
            Some(connection) => connection.send(bytes),
            None if flow.connection != 0 => self.shared.tell(StreamEvent::Closed { flow }),
            None => {
                let (connection, receiver) =
                    self.shared.register(Flow { connection: self.shared.number(), ..flow }, false);
                connection.by_address.store(true, Ordering::Relaxed);
                connection.send(bytes);
                self.runtime.spawn(connect(self.shared.clone(), connection, receiver));
            }
        }
    }
}

impl Connection {
    fn send(&self, bytes: Vec<u8>) {
        let queued = self.queued_bytes.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        if queued > QUEUE_BYTES || self.queue.try_send(bytes).is_err() {
            // The writer sees this and closes: the peer does not read.
            self.queued_bytes.store(usize::MAX / 2, Ordering::Relaxed);
        }
    }

    fn overrun(&self) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) > QUEUE_BYTES
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is this a gateway's address?
    fn knows(&self, remote: SocketAddr) -> bool {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.as_ref().is_some_and(|s| s.knows(remote))
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn find(&self, flow: Flow) -> Option<Arc<Connection>> {
        let connections = self.lock();
        if flow.connection != 0 {
            return connections.by_number.get(&flow.connection).cloned();
        }
        let number = connections.by_remote.get(&(flow.listener, flow.remote))?;
        let found = connections.by_number.get(number).cloned()?;
        found.by_address.store(true, Ordering::Relaxed);
        Some(found)
    }

    fn register(&self, flow: Flow, stranger: bool) -> (Arc<Connection>, mpsc::Receiver<Vec<u8>>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let connection = Arc::new(Connection {
            flow,
            queue,
            queued_bytes: AtomicUsize::new(0),
            by_address: AtomicBool::new(false),
            unhandled: Arc::new(Semaphore::new(UNHANDLED)),
            stranger,
        });
        let mut connections = self.lock();
        connections.by_number.insert(flow.connection, connection.clone());
        connections.by_remote.insert((flow.listener, flow.remote), flow.connection);
        *connections.by_source.entry(flow.remote.ip()).or_default() += 1;
        connections.strangers += usize::from(stranger);
        (connection, receiver)
    }

    /// May this source have one more connection? Half of all are kept for gateways.
    fn room_for(&self, source: IpAddr, stranger: bool) -> bool {
        let connections = self.lock();
        connections.by_number.len() < self.limits.connections
            && (!stranger || connections.strangers < self.limits.connections.div_ceil(2))
            && connections.by_source.get(&source).copied().unwrap_or(0) < self.limits.connections_per_source
    }

    /// No new messages to this address are to go over this connection.
    fn unlist(&self, connection: &Connection) {
        let flow = connection.flow;
        let key = (flow.listener, flow.remote);
        let mut connections = self.lock();
        if connections.by_remote.get(&key) == Some(&flow.connection) {
            connections.by_remote.remove(&key);
        }
    }

    /// The connection is gone: nobody is to send on it, and the brain is to know.
    fn forget(&self, connection: &Connection) {
        self.unlist(connection);
        let flow = connection.flow;
        let mut connections = self.lock();
        if connections.by_number.remove(&flow.connection).is_some() {
            connections.strangers -= usize::from(connection.stranger);
        }
        if let Some(count) = connections.by_source.get_mut(&flow.remote.ip()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                connections.by_source.remove(&flow.remote.ip());
            }
        }
        drop(connections);
        self.tell(StreamEvent::Closed { flow });
        if connection.by_address.load(Ordering::Relaxed) {
            self.tell(StreamEvent::Closed { flow: Flow { connection: 0, ..flow } });
        }
    }

    /// For events that always fit.
    fn tell(&self, event: StreamEvent) {
        let _ = self.inbox.stream(event);
    }

    /// Hands over a message; waits while the signalling thread is behind.
    async fn deliver(&self, connection: &Connection, bytes: Vec<u8>) {
        let permit = connection.unhandled.clone().acquire_owned().await.ok();
        let mut event = StreamEvent::Message { flow: connection.flow, bytes, permit };
        while let Err(back) = self.inbox.stream(event) {
            event = back;
            sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn accept(shared: Arc<Shared>, id: ListenerId, listener: TcpListener) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, mostly: what is open goes on, and new ones wait.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let stranger = !shared.knows(remote);
        if !shared.room_for(remote.ip(), stranger) {
            tracing::debug!(%remote, "too many connections, closed");
            continue;
        }
        let flow = Flow { listener: id, transport: Transport::Tcp, remote, connection: shared.number() };
        let (connection, receiver) = shared.register(flow, stranger);
        tokio::spawn(carry(shared.clone(), connection, receiver, stream));
    }
}

async fn connect(shared: Arc<Shared>, connection: Arc<Connection>, receiver: mpsc::Receiver<Vec<u8>>) {
    let flow = connection.flow;
    let local = shared.locals.iter().find(|l| l.id == flow.listener).map(|l| l.address);
    match timeout(CONNECT_TIME, dial(flow.remote, local)).await {
        Ok(Ok(stream)) => carry(shared, connection, receiver, stream).await,
        Ok(Err(error)) => {
            tracing::debug!(remote = %flow.remote, %error, "cannot connect");
            shared.forget(&connection);
        }
        Err(_) => shared.forget(&connection),
    }
}

/// From the listener's own address when it has one, with a port of the system's choice.
async fn dial(remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local.filter(|l| !l.ip().is_unspecified() && l.is_ipv4() == remote.is_ipv4()) {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

/// A connection's whole life.
async fn carry(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    receiver: mpsc::Receiver<Vec<u8>>,
    stream: TcpStream,
) {
    // Without it a response would wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let (mut from, mut to) = stream.into_split();
    {
        let write = write(&connection, receiver, &mut to);
        tokio::pin!(write);
        tokio::select! {
            end = read(&shared, &connection, &mut from) => if end == End::Nonsense {
                // What the brain has to say about it, a 400 perhaps.
                shared.tell(StreamEvent::Broken { flow: connection.flow });
                let _ = timeout(LAST_WORDS, &mut write).await;
            },
            () = &mut write => {}
        }
    }
    shared.forget(&connection);
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer is gone, or late.
    Closed,
    Nonsense,
}

/// Until the peer closes, sends nonsense, or keeps us waiting.
async fn read(shared: &Shared, connection: &Connection, stream: &mut (impl AsyncReadExt + Unpin)) -> End {
    let idle = Duration::from_secs(shared.limits.idle_timeout_s.max(1));
    // who talks slowly holds a connection for no longer than this.
    let message_time = Duration::from_secs(shared.limits.message_timeout_s.max(1));
    let mut buffer: Vec<u8> = Vec::new();
    let mut framer = Framer::default();
    // Whom we do not know has not come to be silent.
    let mut begun: Option<Instant> = connection.stranger.then(Instant::now);
    loop {
        let until = begun.map_or_else(|| Instant::now() + idle, |at| at + message_time);
        buffer.reserve(if begun.is_some() { READ_STEP } else { 2048 });
        match timeout_at(until, stream.read_buf(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return End::Closed,
        }
        let Ok(rest) = cut(shared, connection, &mut framer, &buffer).await else {
            shared.unlist(connection);
            return End::Nonsense;
        };
        if rest < buffer.len() {
            // A peer that sends message after message is never late with one.
            begun = if rest > 0 { None } else { begun }.or_else(|| Some(Instant::now()));
            buffer.drain(..rest);
        } else {
            // An idle connection holds no buffer.
            (buffer, begun) = (Vec::new(), None);
        }
    }
}

/// Hands over the whole messages at the front of the buffer and says how many bytes they took.
async fn cut(
    shared: &Shared,
    connection: &Connection,
    framer: &mut Framer,
    buffer: &[u8],
) -> Result<usize, ()> {
    let mut at = 0;
    loop {
        let rest = buffer.get(at..).unwrap_or_default();
        match framer.next(rest) {
            Frame::NeedMore => return Ok(at),
            Frame::Broken => return Err(()),
            Frame::KeepAlive { length, ping } => {
                if ping {
                    connection.send(b"\r\n".to_vec());
                }
                at += length;
            }
            Frame::Message { length } => {
                let message = rest.get(..length).unwrap_or_default().to_vec();
                shared.deliver(connection, message).await;
                at += length;
            }
        }
        if at >= buffer.len() {
            return Ok(at);
        }
    }
}

/// Until the peer no longer takes what is written.
async fn write(
    connection: &Connection,
    mut queue: mpsc::Receiver<Vec<u8>>,
    stream: &mut (impl AsyncWriteExt + Unpin),
) {
    while let Some(mut bytes) = queue.recv().await {
        // What has queued up meanwhile goes in the same system call.
        while let Ok(more) = queue.try_recv() {
            bytes.extend_from_slice(&more);
        }
        let length = bytes.len();
        tokio::select! {
            biased;
            written = stream.write_all(&bytes) => if written.is_err() { return },
            () = overrun(connection) => return,
        }
        if connection.overrun() {
            return;
        }
        connection.queued_bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

/// Returns when the peer has let too much pile up.
async fn overrun(connection: &Connection) {
    while !connection.overrun() {
        sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::testing::Listen;
    use std::io::{Read, Write};

    const OPTIONS: &[u8] = b"OPTIONS sip:a@h SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n";

    struct Bench {
        _runtime: tokio::runtime::Runtime,
        inbox: Arc<Inbox>,
        sender: TcpSender,
        address: SocketAddr,
    }

    fn bench(limits: settings::Tcp) -> Bench {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = bind("127.0.0.1:0".parse().unwrap(), 24).unwrap();
        let address = listener.local_addr().unwrap();
        let inbox = Arc::new(Inbox::new().unwrap());
        let sender = start(runtime.handle(), vec![(ListenerId(3), listener)], limits, inbox.clone()).unwrap();
        Bench { _runtime: runtime, inbox, sender, address }
    }

    fn peer(bench: &Bench) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(bench.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    #[test]
    fn messages_come_whole_and_answers_go_back() {
        let bench = bench(settings::Tcp::default());
        let mut peer = peer(&bench);
        // Glued, and the second one in pieces.
        peer.write_all(&[b"\r\n\r\n", OPTIONS, &OPTIONS[..20]].concat()).unwrap();
        peer.write_all(&OPTIONS[20..]).unwrap();
        let mut pong = [0; 2];
        peer.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\r\n");
        let first = bench.inbox.next_message();
        assert_eq!((first.1.as_slice(), first.0.remote), (OPTIONS, peer.local_addr().unwrap()));
        assert_eq!(bench.inbox.next_message(), first);
        bench.sender.send(first.0, b"one".to_vec());
        // By address alone: the same connection.
        bench.sender.send(Flow { connection: 0, ..first.0 }, b"two".to_vec());
        let mut got = [0; 6];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"onetwo");
        drop(peer);
        assert_eq!(bench.inbox.next_closed(), first.0);
        assert_eq!(bench.inbox.next_closed(), Flow { connection: 0, ..first.0 });
        bench.sender.send(first.0, b"late".to_vec());
        assert_eq!(bench.inbox.next_closed(), first.0);
    }

    #[test]
    fn connections_are_made_on_demand_and_used_again() {
        let bench = bench(settings::Tcp::default());
        let vendor = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = vendor.local_addr().unwrap();
        let flow = Flow { listener: ListenerId(3), transport: Transport::Tcp, remote, connection: 0 };
        bench.sender.send(flow, b"a".to_vec());
        bench.sender.send(flow, b"b".to_vec());
        let (mut accepted, _) = vendor.accept().unwrap();
        let mut got = [0; 2];
        accepted.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ab");
        accepted.write_all(OPTIONS).unwrap();
        assert_eq!(bench.inbox.next_message().0.remote, remote);
        drop((accepted, vendor));
        assert!(bench.inbox.next_closed().connection > 0);
        assert_eq!(bench.inbox.next_closed(), flow);
        // Nobody is there any more.
        bench.sender.send(flow, b"c".to_vec());
        assert!(bench.inbox.next_closed().connection > 0);
        assert_eq!(bench.inbox.next_closed(), flow);
    }

    #[test]
    fn no_sip_is_told_and_closed() {
        let bench = bench(settings::Tcp::default());
        let mut peer = peer(&bench);
        peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let flow = bench.inbox.next_broken();
        bench.sender.send(flow, b"400".to_vec());
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert_eq!((got.as_slice(), bench.inbox.next_closed()), (&b"400"[..], flow));
    }

    #[test]
    fn one_source_gets_no_more_than_its_share() {
        let bench = bench(settings::Tcp { connections_per_source: 2, ..settings::Tcp::default() });
        let mut kept = [peer(&bench), peer(&bench)];
        for stream in &mut kept {
            stream.write_all(OPTIONS).unwrap();
            bench.inbox.next_message();
        }
        let mut third = peer(&bench);
        assert_eq!(third.read(&mut [0; 1]).unwrap_or(0), 0);
        let [first, _second] = kept;
        drop(first);
        bench.inbox.next_closed();
        let mut again = peer(&bench);
        again.write_all(OPTIONS).unwrap();
        bench.inbox.next_message();
    }

    #[test]
    fn a_peer_that_does_not_read_is_closed() {
        let bench = bench(settings::Tcp::default());
        let mut peer = peer(&bench);
        peer.write_all(OPTIONS).unwrap();
        let (flow, _) = bench.inbox.next_message();
        for _ in 0..400 {
            bench.sender.send(flow, vec![b'x'; 60_000]);
        }
        assert_eq!(bench.inbox.next_closed(), flow);
    }

    /// What came of bytes on one connection: messages, and whether it was closed as nonsense.
    fn heard(bench: &Bench, pieces: &[&[u8]], sent_alone: bool) -> (Vec<Vec<u8>>, bool) {
        let mut stream = peer(bench);
        stream.set_nodelay(true).unwrap();
        let (mut messages, mut broken) = (Vec::new(), false);
        for piece in pieces {
            // What the switch has closed already takes no more.
            if stream.write_all(piece).is_err() {
                break;
            }
            if sent_alone {
                std::thread::yield_now();
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
        loop {
            match bench.inbox.next_event() {
                StreamEvent::Message { bytes, .. } => messages.push(bytes),
                StreamEvent::Broken { .. } => broken = true,
                StreamEvent::Closed { .. } => return (messages, broken),
            }
        }
    }

    /// All SIP messages that there are: those of the specifications, and some of ours.
    fn corpus() -> Vec<Vec<u8>> {
        let root =
            std::env::var_os("TANDEM_SHARED").map_or("../../../shared".into(), std::path::PathBuf::from);
        let mut all = vec![OPTIONS.to_vec(), b"\r\n\r\n".to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec()];
        for folder in ["data/rfc4475", "data/rfc5118"] {
            let Ok(files) = std::fs::read_dir(root.join(folder)) else {
                eprintln!("SKIPPED: {folder} is not there");
                continue;
            };
            let mut files: Vec<_> = files.map(|f| f.unwrap().path()).collect();
            files.sort();
            let messages = files.iter().filter(|f| f.extension().is_some_and(|e| e == "dat"));
            all.extend(messages.map(|f| std::fs::read(f).unwrap()));
        }
        all
    }

    ///
    #[test]
    fn how_a_message_is_cut_changes_nothing() {
        let limits = settings::Tcp { connections_per_source: 10_000, ..settings::Tcp::default() };
        let bench = bench(limits);
        let (mut count, mut whole_ones) = (0, Vec::new());
        for message in corpus() {
            let whole = heard(&bench, &[&message], false);
            let bytes: Vec<&[u8]> = message.chunks(1).collect();
            assert_eq!(
                heard(&bench, &bytes, true),
                whole,
                "byte by byte: {}",
                String::from_utf8_lossy(&message)
            );
            let (front, back) = message.split_at(message.len() / 2);
            assert_eq!(
                heard(&bench, &[front, back], true),
                whole,
                "cut: {}",
                String::from_utf8_lossy(&message)
            );
            if whole == (vec![message.clone()], false) {
                whole_ones.push(message);
            }
            count += 1;
        }
        let glued = whole_ones.concat();
        assert_eq!(heard(&bench, &[&glued], false), (whole_ones.clone(), false));
        eprintln!(
            "{count} messages whole, cut and byte by byte; {} of them glued together",
            whole_ones.len()
        );
    }

    #[test]
    fn a_peer_that_sends_thousands_at_once_waits_and_nothing_is_lost() {
        let bench = bench(settings::Tcp::default());
        let mut stream = peer(&bench);
        let sender = std::thread::spawn(move || {
            stream.write_all(&OPTIONS.repeat(10_000)).unwrap();
            stream
        });
        let first = bench.inbox.next_event();
        // Another peer comes in between: no more than UNHANDLED messages are before its own.
        let mut other = peer(&bench);
        let mine = [&OPTIONS[..OPTIONS.len() - 2], b"X: mine\r\n\r\n"].concat();
        other.write_all(&mine).unwrap();
        // The permits of these are not given back before the other has been heard.
        let mut before = vec![first];
        loop {
            let event = bench.inbox.next_event();
            match &event {
                StreamEvent::Message { bytes, .. } if *bytes == mine => break,
                _ => before.push(event),
            }
        }
        assert!(before.len() <= UNHANDLED, "{}", before.len());
        let mut rest = 10_000 - before.len();
        drop(before);
        while rest > 0 {
            bench.inbox.next_message();
            rest -= 1;
        }
        drop(sender.join().unwrap());
    }

    #[test]
    fn strangers_take_half_of_the_connections_at_most() {
        let bench = bench(settings::Tcp { connections: 4, ..settings::Tcp::default() });
        let mut kept = [peer(&bench), peer(&bench)];
        for stream in &mut kept {
            stream.write_all(OPTIONS).unwrap();
            bench.inbox.next_message();
        }
        assert_eq!(peer(&bench).read(&mut [0; 1]).unwrap_or(0), 0);
        assert_eq!(bench.sender.shared.lock().strangers, 2);
        drop(kept);
        bench.inbox.next_closed();
        bench.inbox.next_closed();
        assert_eq!(bench.sender.shared.lock().strangers, 0);
    }

    /// a stranger that says nothing, and anybody who says a little now and then, is gone when time is up.
    #[test]
    fn slow_talkers_are_closed() {
        let bench = bench(settings::Tcp { message_timeout_s: 1, ..settings::Tcp::default() });
        let (mut silent, mut slow) = (peer(&bench), peer(&bench));
        slow.set_nodelay(true).unwrap();
        let mut polite = peer(&bench);
        polite.write_all(OPTIONS).unwrap();
        bench.inbox.next_message();
        let start = Instant::now();
        let mut written = 0;
        // Until its connection is closed under it.
        while slow.write_all(&OPTIONS[written % 20..=written % 20]).is_ok() {
            written += 1;
            std::thread::sleep(Duration::from_millis(50));
            assert!(start.elapsed() < Duration::from_secs(20), "still open");
        }
        assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
        // Who has said something may be silent for long.
        polite.write_all(OPTIONS).unwrap();
        while !matches!(bench.inbox.next_event(), StreamEvent::Message { .. }) {}
    }
}
