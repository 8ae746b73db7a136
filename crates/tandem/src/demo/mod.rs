//! `tandem demo`: a switch with an example business, and customers and vendors that keep real calls with real media
//! going through it. It takes free ports where the usual ones are in use, and leaves nothing behind.

mod peers;

use crate::cli::{Client, DemoArgs, Failure, Out};
use crate::program::{Program, reachable};
use crate::serve::{end, stop_requests};
use crate::settings::{Listener, Overrides, SIP_PORT, Settings};
use peers::Peers;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// Ports tried after the usual one is found taken.
const TRIES: u16 = 100;
/// Between SIP ports that are tried: some peers take the one above for TLS.
const SIP_STEP: u16 = 2;

pub fn demo(args: DemoArgs) -> Result<(), Failure> {
    crate::log::start(&args.log)?;
    let folder = match args.data {
        Some(path) => DataFolder { path, temporary: false },
        None => DataFolder::temporary()?,
    };
    let settings = settings(&folder.path, args.log)?;
    let program = Program::start(&settings, true).map_err(Failure::new)?;
    let sip = settings.listeners.first().map_or(SIP_PORT, |l| l.address.socket().port());
    let peers = Peers::start(SocketAddr::from((Ipv4Addr::LOCALHOST, sip)))
        .map_err(|e| Failure::new(format!("starting the demo's customers and vendors: {e}")))?;
    let file = json!({ "name": "demo.toml", "text": peers.business });
    Client::local(program.folder())?.send("POST", "/apply", &json!({ "files": [file] }), None)?;
    peers.go();
    introduce(&program, &folder, sip)?;
    let stops = stop_requests(&program)?;
    let stops = stopping_peers(&program, stops, &peers, args.seconds);
    let outcome = program.run(stops);
    peers.end();
    end(outcome)
}

fn settings(data: &Path, log: String) -> Result<Settings, Failure> {
    let api = free_port(8080, 1, |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    let sip = free_port(SIP_PORT, SIP_STEP, |port| {
        let any = (Ipv4Addr::UNSPECIFIED, port);
        UdpSocket::bind(any).is_ok() && TcpListener::bind(any).is_ok()
    })?;
    let mut listeners = Vec::new();
    for ip in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
        for transport in ["udp", "tcp"] {
            let address = SocketAddr::new(ip, sip);
            let listener: Listener = format!("{transport}:{address}").parse().map_err(Failure::new)?;
            listeners.push(Listener { if_available: ip.is_ipv6(), ..listener });
        }
    }
    let overrides = Overrides {
        data: Some(data.to_path_buf()),
        log: Some(log),
        api: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, api))),
        listeners,
        ..Overrides::default()
    };
    // No settings file: the demo is the same everywhere.
    Ok(Settings::from_text("", "demo", overrides)?)
}

fn free_port(usual: u16, step: u16, is_free: impl Fn(u16) -> bool) -> Result<u16, Failure> {
    let ports = (0..TRIES).map(|n| usual + n * step);
    ports
        .into_iter()
        .find(|p| is_free(*p))
        .ok_or_else(|| Failure::new(format!("no free port from {usual} on")))
}

/// At the first request to stop, the peers hang up: their calls end as calls do. After `seconds`, if given, the demo
/// asks by itself.
fn stopping_peers(
    program: &Program,
    mut asked: mpsc::Receiver<()>,
    peers: &Peers,
    seconds: Option<u64>,
) -> mpsc::Receiver<()> {
    let (sender, stops) = mpsc::channel(4);
    let hang_up = peers.hang_up();
    program.runtime().spawn(async move {
        let limit = async {
            match seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = asked.recv() => {}
            () = limit => {}
        }
        hang_up();
        let _ = sender.send(()).await;
        while asked.recv().await.is_some() {
            let _ = sender.send(()).await;
        }
        // Without this the channel would close, which reads as a second request.
        std::future::pending::<()>().await;
    });
    stops
}

fn introduce(program: &Program, folder: &DataFolder, sip: u16) -> Result<(), Failure> {
    let data = folder.path.display();
    let sign_in = match &program.first_password {
        Some(password) => format!("user admin, password {password}"),
        None => "user admin, with the password shown at the first start on this folder".to_string(),
    };
    let ports = program.addresses.media_ports;
    let text = format!(
        "The Tandem demo is running. Simulated customers and vendors place real calls through it.\n\n  \
         console   http://{}\n  sign in   {sign_in}\n  SIP       port {sip}, UDP and TCP\n  \
         media     ports {} to {}\n  data      {data}{}\n  \
         commands  tandem calls list --data {data}\n\nCtrl-C stops it.\n",
        reachable(program.addresses.api),
        ports.first,
        ports.last,
        if folder.temporary { " (removed at the end)" } else { "" },
    );
    Out::default().text(&text)
}

/// A temporary folder goes with this value.
struct DataFolder {
    path: PathBuf,
    temporary: bool,
}

impl DataFolder {
    fn temporary() -> Result<DataFolder, Failure> {
        let mut random = [0u8; 4];
        getrandom::fill(&mut random).map_err(|e| Failure::new(format!("no random numbers: {e}")))?;
        let path = std::env::temp_dir().join(format!("tandem-demo-{:08x}", u32::from_ne_bytes(random)));
        // Fails when it is there already, so nobody can have put anything into it.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(DataFolder { path, temporary: true })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
