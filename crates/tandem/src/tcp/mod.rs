//! SIP over TCP, TLS and WebSocket: accepts, connects on demand, cuts streams into messages, and keeps everyone within
//! limits.
//!
//! Each connection has a number that is never used twice. The signalling thread hands over whole messages through
//! [`TcpSender`], which never waits: a peer that does not read what it is sent is closed.

mod tls;
mod websocket;

pub use tls::Tls;

use crate::settings;
use crate::signalling::{Inbox, StreamEvent};
use params::TlsVerify;
use rustls::pki_types::ServerName;
use sip::framing::{Frame, Framer};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use switch::Snapshot;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use vocab::{Flow, ListenerId, Transport};

const CONNECT_TIME: Duration = Duration::from_secs(5);
/// For TLS, for the opening of a WebSocket, or for both one after the other (`R-26`).
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
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
    tls: Arc<Tls>,
    connections: Mutex<Connections>,
    next: AtomicU64,
    /// Who is a gateway and who is a stranger.
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

#[derive(Debug, Default)]
struct Connections {
    by_number: HashMap<u64, Arc<Connection>>,
    by_remote: HashMap<(ListenerId, Transport, SocketAddr), u64>,
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
    listeners: Vec<(ListenerId, Transport, std::net::TcpListener)>,
    limits: settings::Tcp,
    tls: Arc<Tls>,
    inbox: Arc<Inbox>,
) -> io::Result<TcpSender> {
    let local = |(id, _, l): &(ListenerId, Transport, std::net::TcpListener)| {
        Ok(Local { id: *id, address: l.local_addr()? })
    };
    let locals = listeners.iter().map(local).collect::<io::Result<Vec<_>>>()?;
    let next = AtomicU64::new(1);
    let shared = Arc::new(Shared {
        inbox,
        limits,
        locals,
        tls,
        connections: Mutex::default(),
        next,
        snapshot: Mutex::default(),
    });
    let _in_runtime = runtime.enter();
    for (id, transport, listener) in listeners {
        let listener = TcpListener::from_std(listener)?;
        runtime.spawn(accept(shared.clone(), id, transport, listener));
    }
    runtime.spawn(shared.tls.clone().watch());
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
            None if flow.connection != 0 || flow.transport.is_websocket() => {
                self.shared.tell(StreamEvent::Closed { flow })
            }
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

    /// Whose certificate is expected at this address, and whether it matters who issued it.
    fn vendor(&self, remote: SocketAddr) -> (ServerName<'static>, TlsVerify) {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gateways = snapshot.iter().flat_map(|s| s.routing_gateways.values());
        let mut there = gateways.filter(|g| g.transport == Transport::Tls && g.target == Some(remote));
        let gateway = there.next();
        let host = gateway.and_then(|g| ServerName::try_from(g.host.clone()?).ok());
        let params = gateway.map(|g| &g.params).or(snapshot.as_ref().map(|s| &s.params));
        (
            host.unwrap_or_else(|| ServerName::from(remote.ip())),
            params.map_or(TlsVerify::Trusted, |p| p.sip_tls_verify),
        )
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn find(&self, flow: Flow) -> Option<Arc<Connection>> {
        let connections = self.lock();
        if flow.connection != 0 {
            return connections.by_number.get(&flow.connection).cloned();
        }
        let number = connections.by_remote.get(&(flow.listener, flow.transport, flow.remote))?;
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
        connections.by_remote.insert((flow.listener, flow.transport, flow.remote), flow.connection);
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
        let key = (flow.listener, flow.transport, flow.remote);
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

async fn accept(shared: Arc<Shared>, id: ListenerId, transport: Transport, listener: TcpListener) {
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
        let flow = Flow { listener: id, transport, remote, connection: shared.number() };
        let (connection, receiver) = shared.register(flow, stranger);
        tokio::spawn(receive(shared.clone(), connection, receiver, stream));
    }
}

async fn connect(shared: Arc<Shared>, connection: Arc<Connection>, receiver: mpsc::Receiver<Vec<u8>>) {
    let flow = connection.flow;
    let local = shared.locals.iter().find(|l| l.id == flow.listener).map(|l| l.address);
    match timeout(CONNECT_TIME, dial(flow.remote, local)).await {
        Ok(Ok(stream)) if flow.transport == Transport::Tls => {
            let (name, verify) = shared.vendor(flow.remote);
            match timeout(HANDSHAKE_TIME, shared.tls.connect(stream, name, verify)).await {
                Ok(Ok(stream)) => carry(&shared, &connection, receiver, stream).await,
                Ok(Err(error)) => tracing::warn!(remote = %flow.remote, %error, "no TLS with this gateway"),
                Err(_) => tracing::warn!(remote = %flow.remote, "no TLS with this gateway: it took too long"),
            }
        }
        Ok(Ok(stream)) => carry(&shared, &connection, receiver, stream).await,
        Ok(Err(error)) => tracing::debug!(remote = %flow.remote, %error, "cannot connect"),
        Err(_) => {}
    }
    shared.forget(&connection);
}

/// From the listener's own address when it has one, with a port of the system's choice.
async fn dial(remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local.filter(|l| !l.ip().is_unspecified() && l.is_ipv4() == remote.is_ipv4()) {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let stream = socket.connect(remote).await?;
    // Without it a response would wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The whole life of a connection that was accepted.
async fn receive(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    receiver: mpsc::Receiver<Vec<u8>>,
    stream: TcpStream,
) {
    let _ = stream.set_nodelay(true);
    match connection.flow.transport {
        Transport::Udp | Transport::Tcp => carry(&shared, &connection, receiver, stream).await,
        Transport::Tls => {
            if let Some(stream) = in_time(&connection, shared.tls.accept(stream)).await {
                carry(&shared, &connection, receiver, stream).await;
            }
        }
        Transport::Ws => {
            if let Some(stream) = in_time(&connection, websocket::accept(stream)).await {
                websocket::carry(&shared, &connection, receiver, stream).await;
            }
        }
        Transport::Wss => {
            let opening = async { websocket::accept(shared.tls.accept(stream).await?).await };
            if let Some(stream) = in_time(&connection, opening).await {
                websocket::carry(&shared, &connection, receiver, stream).await;
            }
        }
    }
    shared.forget(&connection);
}

/// What the handshake brings, if it succeeds soon enough.
async fn in_time<T>(connection: &Connection, handshake: impl Future<Output = io::Result<T>>) -> Option<T> {
    let Flow { transport, remote, .. } = connection.flow;
    // Its state is large, and needed for a moment only.
    match timeout(HANDSHAKE_TIME, Box::pin(handshake)).await {
        Ok(Ok(opened)) => return Some(opened),
        Ok(Err(error)) => tracing::debug!(%transport, %remote, %error, "no handshake"),
        Err(_) => tracing::debug!(%transport, %remote, "no handshake in time"),
    }
    None
}

/// A connection's life once it is open.
async fn carry(
    shared: &Shared,
    connection: &Connection,
    receiver: mpsc::Receiver<Vec<u8>>,
    stream: impl AsyncRead + AsyncWrite,
) {
    let (mut from, mut to) = tokio::io::split(stream);
    {
        let write = write(connection, receiver, &mut to);
        tokio::pin!(write);
        tokio::select! {
            end = read(shared, connection, &mut from) => if end == End::Nonsense {
                // What the brain has to say about it, a 400 perhaps.
                shared.tell(StreamEvent::Broken { flow: connection.flow });
                let _ = timeout(LAST_WORDS, &mut write).await;
            },
            () = &mut write => {}
        }
    }
    // RFC 8446 §6.1: the peer shall know that nothing was cut off.
    let _ = timeout(LAST_WORDS, to.shutdown()).await;
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
            written = write_whole(stream, &bytes) => if written.is_err() { return },
            () = overrun(connection) => return,
        }
        if connection.overrun() {
            return;
        }
        connection.queued_bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

/// TLS keeps back what the socket has no room for until it is told to go on.
async fn write_whole(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Returns when the peer has let too much pile up.
async fn overrun(connection: &Connection) {
    while !connection.overrun() {
        sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests;
