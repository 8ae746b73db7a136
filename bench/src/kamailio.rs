//! Kamailio as a plain stateful proxy, with dialogs where calls in progress are to be compared.

use crate::Outcome;
use crate::ground::Ground;
use crate::process::{Running, find, wait_for_port};
use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Proxy,
    /// A proxy that keeps a record of each call that is up.
    ProxyWithDialogs,
}

/// `None` when it is not installed.
pub fn start(ground: &Ground, folder: &Path, role: Role, port: u16, next: u16) -> Outcome<Option<Running>> {
    let Some(program) = find("kamailio") else { return Ok(None) };
    let (modules, dialog) = match role {
        Role::Proxy => ("", ""),
        Role::ProxyWithDialogs => ("loadmodule \"pv.so\"\nloadmodule \"dialog.so\"", "dlg_manage();"),
    };
    let config = ground.fill(
        "kamailio.cfg",
        folder,
        &[
            ("PORT", port.to_string()),
            ("NEXT", next.to_string()),
            ("MODULES", modules.to_owned()),
            ("DIALOG", dialog.to_owned()),
        ],
    )?;
    let mut command = Command::new(program);
    // In the foreground, errors to stderr, the quickest of its allocators for shared and private memory.
    command.args(["-DD", "-E", "-m", "512", "-M", "16", "-x", "fm", "-X", "fm", "-Y"]).arg(folder);
    command.arg("-P").arg(folder.join("kamailio.pid")).arg("-f").arg(config);
    let mut running = Running::start("kamailio", &mut command, folder)?;
    wait_for_port(&mut running, port, folder)?;
    Ok(Some(running))
}
