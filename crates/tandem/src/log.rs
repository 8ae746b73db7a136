//! The system log (`DBG-8`): lines on stderr, and in two files of the data folder. Levels change while it runs, of
//! everything or of one module. A disk that is slow or full costs lines, which are counted, and keeps nobody waiting.

use crate::cli::Failure;
use crate::trace::TwoFiles;
use api::LogLevels;
use params::{Params, TraceMask};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Lines on their way to the files.
const LINES: usize = 4096;
/// Name of the files.
const NAME: &str = "tandem";
/// Between two looks at the parameters.
const LOOK: Duration = Duration::from_secs(1);

static LOG: OnceLock<Log> = OnceLock::new();

type Filter<S> = reload::Handle<EnvFilter, S>;
/// Changes both filters; the types of the layers stay out of everybody's sight.
type Reload = Box<dyn Fn(EnvFilter, EnvFilter) + Send + Sync>;

struct Log {
    reload: Reload,
    /// From the settings.
    terminal: String,
    state: Mutex<State>,
    lines: Mutex<Option<Receiver<Vec<u8>>>>,
    dropped: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    /// From `SS_TRACE_MASK`; nothing is written before the parameters are known.
    mask: Option<&'static str>,
    levels: LogLevels,
}

/// Starts the log: lines on stderr at once, in files from [`write_files`] on.
pub fn start(filter: &str) -> Result<(), Failure> {
    let wrong = |e: tracing_subscriber::filter::ParseError| Failure::new(format!("log {filter:?}: {e}"));
    let terminal = EnvFilter::try_new(filter).map_err(wrong)?;
    let (sender, lines) = sync_channel(LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = Queue { sender, dropped: dropped.clone() };
    let (terminal, terminal_handle) = reload::Layer::new(terminal);
    let (files, files_handle) = reload::Layer::new(EnvFilter::new("off"));
    let colours = io::stderr().is_terminal();
    let on_terminal =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours).with_filter(terminal);
    let in_files = tracing_subscriber::fmt::layer().with_writer(queue).with_ansi(false).with_filter(files);
    Registry::default().with(on_terminal).with(in_files).init();
    let log = Log {
        reload: Box::new(move |terminal, files| {
            set(&terminal_handle, terminal);
            set(&files_handle, files);
        }),
        terminal: filter.to_owned(),
        state: Mutex::default(),
        lines: Mutex::new(Some(lines)),
        dropped,
    };
    let _ = LOG.set(log);
    Ok(())
}

fn set<S>(handle: &Filter<S>, filter: EnvFilter) {
    // It fails only when the subscriber is gone, and then there is no log.
    let _ = handle.reload(filter);
}

/// Writes the files until the process ends. Nothing to do where no log was started.
pub fn write_files(folder: &Path, params: impl Fn() -> Arc<Params> + Send + 'static) -> io::Result<()> {
    let Some(log) = LOG.get() else { return Ok(()) };
    let Some(lines) = lock(&log.lines).take() else { return Ok(()) };
    let mut files = TwoFiles::new(&self::folder(folder), NAME, u64::MAX);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        loop {
            let params = params();
            files.set_size(u64::from(params.trace_file_length_kb) << 10);
            log.set_mask(mask(&params));
            match lines.recv_timeout(LOOK) {
                Ok(line) => log.write(&mut files, &line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok(())
}

fn mask(params: &Params) -> &'static str {
    match params.trace_mask {
        _ if !params.tracetofile => "off",
        TraceMask::Error => "error",
        TraceMask::Warning => "warn",
        TraceMask::Info => "info",
        TraceMask::Debug => "debug",
    }
}

fn folder(data: &Path) -> PathBuf {
    data.join("log")
}

/// The two files, older first.
pub fn files(data: &Path) -> Vec<PathBuf> {
    TwoFiles::paths(&folder(data), NAME).into()
}

pub fn levels() -> LogLevels {
    LOG.get().map(|log| lock(&log.state).levels.clone()).unwrap_or_default()
}

/// Lines that found no room, or no disk.
pub fn dropped() -> u64 {
    LOG.get().map_or(0, |log| log.dropped.load(Ordering::Relaxed))
}

pub fn set_levels(levels: LogLevels) -> Result<(), String> {
    let Some(log) = LOG.get() else { return Err("there is no log".to_owned()) };
    let mut state = lock(&log.state);
    // Seen to be readable before anything is changed.
    filter(&log.terminal, &levels)?;
    state.levels = levels;
    log.apply(&state);
    Ok(())
}

impl Log {
    fn set_mask(&self, mask: &'static str) {
        let mut state = lock(&self.state);
        if state.mask != Some(mask) {
            state.mask = Some(mask);
            self.apply(&state);
        }
    }

    fn apply(&self, state: &State) {
        let files = match state.mask {
            // Switched off stays off, whatever the levels are.
            None | Some("off") => Ok(EnvFilter::new("off")),
            Some(mask) => filter(mask, &state.levels),
        };
        if let (Ok(terminal), Ok(files)) = (filter(&self.terminal, &state.levels), files) {
            (self.reload)(terminal, files);
        }
    }

    fn write(&self, files: &mut TwoFiles, line: &[u8]) {
        if files.write(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The default, unless there is a level for everything; then the modules.
fn filter(default: &str, levels: &LogLevels) -> Result<EnvFilter, String> {
    let mut words = vec![levels.level.clone().unwrap_or_else(|| default.to_owned())];
    words.extend(levels.modules.iter().map(|(module, level)| format!("{module}={level}")));
    EnvFilter::try_new(words.join(",")).map_err(|e| e.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes lines for the files.
struct Queue {
    sender: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;
    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: self, bytes: Vec::new() }
    }
}

/// One line; sent on as a whole when it is done.
struct Line<'a> {
    queue: &'a Queue,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.queue.sender.try_send(std::mem::take(&mut self.bytes)).is_err() {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
