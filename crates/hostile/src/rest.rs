//! Requests to the API, against a real store and a real brain without sockets.

use crate::files::scratch;
use api::{ApiServer, Brain, BrainGone, LiveBoard, Reply, Settings, ShellStatus};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use store::{SourceFile, Store};
use switch::interface::MediaAddressing;
use switch::{ControlId, ControlReply, ControlRequest, Input, Output, Restore, Switch, SwitchConfig};
use tower::ServiceExt;
use vocab::{Now, Seq, Tick, Utc};

const BUSINESS: &str = include_str!("business.toml");
/// 2026-11-22T16:04:33Z.
const NOW: Utc = Utc(1_795_363_473_000_000);
/// After so many requests a fresh world: what was created must not pile up.
const ROUNDS: u32 = 500;

/// The brain, asked directly; its journal is the database at once.
struct Direct {
    store: Store,
    switch: Mutex<Switch>,
}

impl Direct {
    fn ask(&self, request: ControlRequest) -> Option<ControlReply> {
        let mut switch = self.switch.lock().unwrap();
        let now = Now { tick: Tick(1_000_000), utc: NOW };
        let snapshot = self.store.snapshot(&HashMap::new()).unwrap();
        switch.handle_input(now, Input::Configure(snapshot));
        switch.handle_input(now, Input::Control { id: ControlId(1), request });
        let (mut reply, mut durable) = (None, Seq(0));
        loop {
            match switch.poll_output() {
                Some(Output::Journal { seq, record }) => {
                    self.store.applier().apply(&[(seq, record)]).unwrap();
                    durable = seq;
                }
                Some(Output::Reply { reply: said, .. }) => reply = Some(said),
                Some(_) => {}
                None if durable > Seq(0) => {
                    switch.handle_input(now, Input::Journaled(durable));
                    durable = Seq(0);
                }
                None => return reply,
            }
        }
    }
}

impl Brain for Direct {
    fn control(&self, request: ControlRequest) -> Reply {
        let reply = self.ask(request).ok_or(BrainGone);
        Box::pin(async move { reply })
    }

    fn status(&self) -> ShellStatus {
        ShellStatus {
            version: "0".into(),
            started_at: NOW,
            listeners: Vec::new(),
            media_ports: (10_000, 20_000),
            media_ports_used: 0,
            last_seq: Seq(0),
            applied_seq: Seq(0),
            journal_stopped: false,
            demo: false,
        }
    }
}

struct World {
    router: Router,
    token: String,
    rounds: u32,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = scratch();
        let store = Store::open(folder.path()).unwrap();
        let file = SourceFile { name: "business.toml".into(), text: BUSINESS.into() };
        store.apply(&[file], false, "fuzz").unwrap();
        let config = SwitchConfig {
            listeners: Vec::new(),
            media: MediaAddressing::default(),
            media_families: [false, false],
            media_threads: 1,
            boot: 1,
            seed: [1; 16],
            seal: [1; 32],
        };
        let snapshot = store.snapshot(&HashMap::new()).unwrap();
        let switch = Mutex::new(Switch::new(vocab::Now::default(), config, Restore::default(), snapshot));
        let brain = Arc::new(Direct { store: store.clone(), switch });
        let settings = Settings { clock: Arc::new(|| NOW), ..Settings::default() };
        let server = ApiServer::new(store, brain, Arc::new(LiveBoard::new()), settings);
        server.bootstrap().unwrap();
        let token = server.create_local_token().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        World { router: server.router(), token, rounds: 0, runtime, _folder: folder }
    }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// The first line is method and path below `/api/v1`, the rest the body. No request is our fault (5xx) or goes unanswered.
pub fn api(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (method, path) = head.split_once(' ').unwrap_or(("POST", head));
    WORLD.with_borrow_mut(|world| {
        if world.as_ref().is_none_or(|w| w.rounds >= ROUNDS) {
            *world = Some(World::new());
        }
        let world = world.as_mut().unwrap();
        world.rounds += 1;
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {}", world.token))
            .header("content-type", "application/json")
            .header("idempotency-key", "fuzz")
            .header("if-match", "*")
            .body(Body::from(body.get(1..).unwrap_or_default().to_vec()));
        let Ok(mut request) = request else { return };
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 9], 4000))));
        let response = world.runtime.block_on(world.router.clone().oneshot(request)).unwrap();
        assert!(!response.status().is_server_error(), "{head}: {}", response.status());
    });
}
