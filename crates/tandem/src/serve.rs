//! `tandem serve`.

use crate::cli::{Failure, Out, ServeArgs};
use crate::program::{Program, reachable};
use crate::settings::Settings;
use std::io::Write;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub fn serve(args: ServeArgs) -> Result<(), Failure> {
    let settings = Settings::load(args.config.clone().as_deref(), args.overrides())?;
    crate::log::start(&settings.log)?;
    let program = Program::start(&settings, false).map_err(Failure::new)?;
    let stops = stop_requests(&program)?;
    introduce(&program)?;
    end(program.run(stops))
}

pub fn openapi() -> String {
    api::openapi_json()
}

/// One message for each SIGINT or SIGTERM.
pub fn stop_requests(program: &Program) -> Result<mpsc::Receiver<()>, Failure> {
    let (sender, receiver) = mpsc::channel(4);
    let _in_runtime = program.runtime().enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    program.runtime().spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// What a person needs to know after the start.
fn introduce(program: &Program) -> Result<(), Failure> {
    let mut lines = vec![format!("console and API: http://{}", reachable(program.addresses.api))];
    for listener in &program.addresses.listeners {
        lines.push(format!("SIP: {} {}", listener.transport, listener.address));
    }
    let ports = program.addresses.media_ports;
    lines.push(format!("media: ports {} to {}", ports.first, ports.last));
    if let Some(password) = &program.first_password {
        lines.push(format!("sign in as \"admin\" with the password {password} (it is shown only this once)"));
    }
    Out::default().text(&lines.join("\n"))
}

/// A switch of which a part failed may not go through an orderly end: what that part owns is in an unknown state.
pub fn end(outcome: Result<(), String>) -> Result<(), Failure> {
    if let Err(fault) = outcome {
        let _ = writeln!(std::io::stderr(), "tandem: {fault}");
        std::process::exit(1);
    }
    Ok(())
}
