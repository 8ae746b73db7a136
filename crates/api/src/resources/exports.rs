//! Records as files: made in the background, followed, taken away, dropped (`BIL-20`).
//!
//! A file is written page by page, so that a year of calls takes no more memory than an hour of them. Files are kept
//! until they are deleted, the oldest ones make room, and a restart deletes them all.

use super::cdrs::{CdrsQuery, asked_for, summary};
use super::reports::{FileFormat, XLSX};
use crate::body::Asked;
use crate::clock::Timestamp;
use crate::problem::Problem;
use crate::records;
use crate::resources::held::held;
use crate::server::{Answer, Api};
use crate::sheet::{self, Xlsx};
use crate::sign_in::Caller;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{CdrFilter, Store};
use utoipa::ToSchema;

/// Files that are kept at most, and that are made at one time.
const KEPT: usize = 20;
const AT_ONCE: usize = 2;
/// Records in memory at a time.
const PAGE: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    Running,
    Done,
    Cancelled,
    Failed,
}

/// Records that are being written to a file, or were.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrExport {
    pub id: String,
    pub state: ExportState,
    pub format: String,
    /// How many records are written, and how many there are.
    pub written: u64,
    pub total: u64,
    pub started: Timestamp,
    pub by: String,
    pub error: Option<String>,
}

/// The exports of this run of the program.
#[derive(Default)]
pub(crate) struct Exports {
    jobs: Mutex<BTreeMap<u64, Arc<Job>>>,
    next: AtomicU64,
}

struct Job {
    id: u64,
    format: FileFormat,
    started: Timestamp,
    by: String,
    file: PathBuf,
    written: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
    /// `None` while it runs.
    end: Mutex<Option<Result<(), String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exports {
    /// Nothing of an earlier run is known any more.
    pub fn clear(store: &Store) {
        let _ = std::fs::remove_dir_all(store.exports_folder());
    }

    fn get(&self, id: &str) -> Result<Arc<Job>, Problem> {
        let found = id.parse::<u64>().ok().and_then(|id| lock(&self.jobs).get(&id).cloned());
        found.ok_or_else(|| Problem::not_found("export", id))
    }

    /// Room for one more: ended ones go, the oldest first.
    fn add(&self, job: impl FnOnce(u64) -> Job) -> Result<Arc<Job>, Problem> {
        let mut jobs = lock(&self.jobs);
        let running = jobs.values().filter(|j| lock(&j.end).is_none()).count();
        if running >= AT_ONCE {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                format!("{AT_ONCE} exports are being made already; wait for one or cancel it."),
            ));
        }
        while jobs.len() >= KEPT {
            let Some(id) = jobs.values().find(|j| lock(&j.end).is_some()).map(|j| j.id) else { break };
            if let Some(old) = jobs.remove(&id) {
                let _ = std::fs::remove_file(&old.file);
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Arc::new(job(id));
        jobs.insert(id, job.clone());
        Ok(job)
    }
}

impl Job {
    fn view(&self) -> CdrExport {
        let end = lock(&self.end).clone();
        let state = match &end {
            None => ExportState::Running,
            Some(Ok(())) => ExportState::Done,
            Some(Err(_)) if self.cancelled.load(Ordering::Relaxed) => ExportState::Cancelled,
            Some(Err(_)) => ExportState::Failed,
        };
        CdrExport {
            id: self.id.to_string(),
            state,
            format: self.extension().into(),
            written: self.written.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            started: self.started,
            by: self.by.clone(),
            error: end.and_then(Result::err).filter(|_| state == ExportState::Failed),
        }
    }

    fn extension(&self) -> &'static str {
        match self.format {
            FileFormat::Xlsx => "xlsx",
            _ => "csv",
        }
    }

    fn run(&self, store: &Store, filter: &CdrFilter) -> Result<(), String> {
        let words = |e: store::StoreError| e.to_string();
        let total = store.cdr_totals(filter).map_err(words)?.calls;
        self.total.store(total, Ordering::Relaxed);
        let mut file = Output::make(self.format, &self.file)?;
        let mut cursor: Option<String> = None;
        loop {
            let page = store.cdrs(filter, cursor.as_deref(), PAGE).map_err(words)?;
            for record in &page.items {
                file.line(&records::cells(&summary(record)))?;
            }
            self.written.fetch_add(page.items.len() as u64, Ordering::Relaxed);
            if self.cancelled.load(Ordering::Relaxed) {
                return Err("cancelled".into());
            }
            cursor = page.next;
            if cursor.is_none() {
                return file.finish(&self.file);
            }
        }
    }
}

enum Output {
    Csv(BufWriter<File>),
    Xlsx(Box<Xlsx>),
}

impl Output {
    fn make(format: FileFormat, path: &std::path::Path) -> Result<Output, String> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        }
        match format {
            FileFormat::Xlsx => {
                Ok(Output::Xlsx(Box::new(Xlsx::new(records::heading()).map_err(|e| e.to_string())?)))
            }
            _ => {
                let mut out = BufWriter::new(File::create(path).map_err(|e| e.to_string())?);
                sheet::csv_line(&mut out, &records::heading()).map_err(|e| e.to_string())?;
                Ok(Output::Csv(out))
            }
        }
    }

    fn line(&mut self, cells: &[sheet::Cell]) -> Result<(), String> {
        match self {
            Output::Csv(out) => sheet::csv_line(out, cells).map_err(|e| e.to_string()),
            Output::Xlsx(book) => book.line(cells).map_err(|e| e.to_string()),
        }
    }

    fn finish(self, path: &std::path::Path) -> Result<(), String> {
        match self {
            Output::Csv(mut out) => out.flush().map_err(|e| e.to_string()),
            Output::Xlsx(book) => book.save(path).map_err(|e| e.to_string()),
        }
    }
}

/// Begins to write the records of a query to a file, as CSV or XLSX.
#[utoipa::path(post, path = "/cdr-exports/{id}", tag = "cdrs", params(("id" = String, Path, description = "csv or xlsx"), CdrsQuery), responses((status = 202, body = CdrExport)))]
pub(crate) async fn begin_export(
    State(api): State<Api>,
    caller: Caller,
    Path(format): Path<String>,
    Asked(query): Asked<CdrsQuery>,
) -> Result<Response, Problem> {
    let format = match format.as_str() {
        "csv" => FileFormat::Csv,
        "xlsx" => FileFormat::Xlsx,
        _ => return Err(Problem::field("format", "expected csv or xlsx")),
    };
    let filter = asked_for(&api, held(&api, &caller).as_ref(), query)?;
    let (folder, started) = (api.store.exports_folder(), Timestamp(api.now()));
    let job = api.exports.add(|id| Job {
        id,
        format,
        started,
        by: caller.user.clone(),
        file: folder.join(id.to_string()),
        written: AtomicU64::new(0),
        total: AtomicU64::new(0),
        cancelled: AtomicBool::new(false),
        end: Mutex::new(None),
    })?;
    let (store, working) = (api.store.clone(), job.clone());
    tokio::task::spawn_blocking(move || {
        let outcome = working.run(&store, &filter);
        if outcome.is_err() {
            let _ = std::fs::remove_file(&working.file);
        }
        *lock(&working.end) = Some(outcome);
    });
    Ok((StatusCode::ACCEPTED, Json(job.view())).into_response())
}

/// Lists the exports since the start of the program.
#[utoipa::path(get, path = "/cdr-exports", tag = "cdrs", responses((status = 200, body = Vec<CdrExport>)))]
pub(crate) async fn list_exports(State(api): State<Api>) -> Answer<Vec<CdrExport>> {
    Ok(Json(lock(&api.exports.jobs).values().rev().map(|job| job.view()).collect()))
}

/// How far an export is.
#[utoipa::path(get, path = "/cdr-exports/{id}", tag = "cdrs", params(("id" = String, Path)), responses((status = 200, body = CdrExport)))]
pub(crate) async fn get_export(State(api): State<Api>, Path(id): Path<String>) -> Answer<CdrExport> {
    Ok(Json(api.exports.get(&id)?.view()))
}

/// The file of an export that is done.
#[utoipa::path(get, path = "/cdr-exports/{id}/file", tag = "cdrs", params(("id" = String, Path)), responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")))]
pub(crate) async fn get_export_file(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = api.exports.get(&id)?;
    if job.view().state != ExportState::Done {
        return Err(Problem::new(StatusCode::CONFLICT, "This export is not done."));
    }
    let path = job.file.clone();
    let file = tokio::task::spawn_blocking(move || File::open(path)).await.map_err(Problem::internal)?;
    let file = file.map_err(Problem::internal)?;
    let kind = if job.format == FileFormat::Xlsx { XLSX } else { "text/csv; charset=utf-8" };
    let disposition = format!("attachment; filename=\"records-{}.{}\"", job.id, job.extension());
    let headers = [(header::CONTENT_TYPE, kind.to_string()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(chunks(file))).into_response())
}

/// A file in pieces, read where it holds up nobody.
fn chunks(file: File) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> {
    futures_util::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; 64 << 10];
            let read = std::io::Read::read(&mut file, &mut piece)?;
            piece.truncate(read);
            Ok::<_, std::io::Error>((file, piece))
        });
        match read.await {
            Ok(Ok((_, piece))) if piece.is_empty() => None,
            Ok(Ok((file, piece))) => Some((Ok(piece), Some(file))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(error) => Some((Err(std::io::Error::other(error)), None)),
        }
    })
}

/// Cancels an export, or deletes its file.
#[utoipa::path(delete, path = "/cdr-exports/{id}", tag = "cdrs", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn drop_export(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let job = api.exports.get(&id)?;
    job.cancelled.store(true, Ordering::Relaxed);
    // One that runs stays in the list, as cancelled.
    if lock(&job.end).is_some() {
        lock(&api.exports.jobs).remove(&job.id);
        let _ = std::fs::remove_file(&job.file);
    }
    Ok(StatusCode::NO_CONTENT)
}
