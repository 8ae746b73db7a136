//! The media engine: threads that own the RTP sockets and run [`media::Relay`] over them.
//!
//! The brain commands through [`MediaEngine::send`] and hears by the callback given to [`MediaEngine::start`]. Each
//! thread owns its share of the port range and whole sessions, so that no packet crosses threads, takes a lock or
//! allocates. Why the system calls are what they are: `docs/decisions/0003-media-io.md`.

pub mod mmsg;
mod ports;
mod protect;
mod reopen;
mod speech;
mod thread;

use media::{MediaCommand, MediaEvent};
use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Commands on their way to one thread. When full, `send` waits: the thread empties it at every wake-up, so this is
/// the back-pressure of a machine that is overloaded as a whole.
const COMMANDS: usize = 4096;

/// What the engine must know at start.
#[derive(Clone, Copy, Debug)]
pub struct MediaSettings {
    /// Where IPv4 ports are bound; the wildcard leaves the choice of the sender address to routing.
    pub bind_v4: IpAddr,
    /// The same for IPv6; `None`: there is none.
    pub bind_v6: Option<IpAddr>,
    /// The range, ends included (`SS_MEDIAPROXYPORT_START`, `…_END`).
    pub port_start: u16,
    pub port_end: u16,
    /// Media threads; one is enough for two cores.
    pub threads: u8,
    /// `SS_QOS_RTP`, 0 to 63.
    pub dscp: u8,
}

/// The engine is gone (it was stopped): nothing can be commanded any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Running media threads. Dropping it stops them.
pub struct MediaEngine {
    threads: Vec<Handle>,
}

/// The brain's end of one thread.
struct Handle {
    commands: Option<SyncSender<MediaCommand>>,
    doorbell: Arc<Doorbell>,
    join: Option<std::thread::JoinHandle<()>>,
}

/// Wakes a thread out of `epoll_wait`, at the cost of one system call for however many commands.
struct Doorbell {
    event: OwnedFd,
    rung: AtomicBool,
}

impl Doorbell {
    fn new() -> io::Result<Doorbell> {
        let event = rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Doorbell { event, rung: AtomicBool::new(false) })
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It can only fail when it is already rung 2⁶⁴ times.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// To be called before the commands are taken: a command put in before is then seen, one put in after rings anew.
    /// A swap and not a store, because a store might become visible only after the commands were looked at.
    fn silence(&self) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl MediaEngine {
    /// Starts the threads. `events` is called on them and must neither block nor be slow.
    pub fn start(
        settings: MediaSettings,
        events: impl Fn(MediaEvent) + Send + Sync + 'static,
    ) -> io::Result<MediaEngine> {
        raise_descriptor_limit();
        let events: Arc<dyn Fn(MediaEvent) + Send + Sync> = Arc::new(events);
        let settings = MediaSettings { threads: settings.threads.max(1), ..settings };
        let started = Instant::now();
        let start = |number| Handle::start(number, settings, started, Arc::clone(&events));
        Ok(MediaEngine { threads: (0..settings.threads).map(start).collect::<io::Result<_>>()? })
    }

    /// Hands a command to the thread it concerns.
    pub fn send(&self, command: MediaCommand) -> Result<(), Stopped> {
        match command {
            MediaCommand::Prepare { count, v6 } => self.prepare(count, v6),
            MediaCommand::Open { a, .. } | MediaCommand::Reopen { a, .. } => {
                self.to_thread(a.lease.thread, command)
            }
            MediaCommand::SetSide { config, .. } => self.to_thread(config.lease.thread, command),
            // Only the thread that has the session takes notice.
            MediaCommand::Close { .. } | MediaCommand::Press { .. } => {
                self.threads.iter().try_for_each(|t| t.send(command.clone()))
            }
        }
    }

    /// Ends the threads and waits for them. Sessions still open end without a word.
    pub fn stop(mut self) {
        self.join();
    }

    /// Each thread opens its share; the first ones take the rest.
    fn prepare(&self, count: u32, v6: bool) -> Result<(), Stopped> {
        let threads = u32::try_from(self.threads.len()).unwrap_or(u32::MAX).max(1);
        for (n, thread) in (0u32..).zip(&self.threads) {
            let share = count / threads + u32::from(n < count % threads);
            if share > 0 {
                thread.send(MediaCommand::Prepare { count: share, v6 })?;
            }
        }
        Ok(())
    }

    fn to_thread(&self, number: u8, command: MediaCommand) -> Result<(), Stopped> {
        // A lease of no thread at all is the first one's to refuse.
        let thread = self.threads.get(usize::from(number)).or(self.threads.first());
        thread.ok_or(Stopped)?.send(command)
    }

    fn join(&mut self) {
        for thread in &mut self.threads {
            // A closed channel is the order to end.
            thread.commands = None;
            thread.doorbell.ring();
        }
        for thread in &mut self.threads {
            if thread.join.take().is_some_and(|join| join.join().is_err()) {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

impl Drop for MediaEngine {
    fn drop(&mut self) {
        self.join();
    }
}

impl Handle {
    fn start(
        number: u8,
        settings: MediaSettings,
        started: Instant,
        events: Arc<dyn Fn(MediaEvent) + Send + Sync>,
    ) -> io::Result<Handle> {
        let (sender, receiver): (_, Receiver<MediaCommand>) = sync_channel(COMMANDS);
        let doorbell = Arc::new(Doorbell::new()?);
        let line = thread::CommandLine { doorbell: Arc::clone(&doorbell), commands: receiver };
        let epoll = thread::epoll_with(&doorbell)?;
        let join = std::thread::Builder::new().name(format!("media-{number}")).spawn(move || {
            crate::priority::go_first();
            thread::MediaThread::new(number, settings, started, epoll, events).run(&line);
        })?;
        Ok(Handle { commands: Some(sender), doorbell, join: Some(join) })
    }

    fn send(&self, command: MediaCommand) -> Result<(), Stopped> {
        let sender = self.commands.as_ref().ok_or(Stopped)?;
        sender.send(command).map_err(|_| Stopped)?;
        self.doorbell.ring();
        Ok(())
    }
}

/// A call takes four sockets, and usual soft limits (1024) are for programs that still use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

#[cfg(test)]
mod tests;
