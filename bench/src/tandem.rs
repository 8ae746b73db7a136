//! The switch under test, driven as an operator would.

use crate::Outcome;
use crate::ground::Ground;
use crate::process::{Running, free_ports, wait_for_port};
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What becomes of the media of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// It flows between the peers.
    Direct,
    /// As configured by default: it would flow through the switch, on ports that are leased for each call.
    Default,
}

pub struct Tandem {
    pub running: Running,
    program: PathBuf,
    data: PathBuf,
    pub port: u16,
}

/// More than any load here can use up, far from what others use for a short time.
const MEDIA_PORTS: &str = "10000-32000";

impl Tandem {
    /// Starts it on an empty data folder with a business whose vendors are at `next`.
    pub fn start(ground: &Ground, folder: &Path, media: Media, next: u16) -> Outcome<Tandem> {
        let program = ground.target.join("tandem");
        if !program.is_file() {
            return Err(format!("{} is not built", program.display()).into());
        }
        let [port, api] = free_ports()?;
        let values =
            [("API", api.to_string()), ("PORT", port.to_string()), ("MEDIA_PORTS", MEDIA_PORTS.to_owned())];
        let config = ground.fill("tandem.toml", folder, &values)?;
        let business = ground.fill("business.toml", folder, &[("NEXT", next.to_string())])?;
        let data = folder.join("data");
        let mut command = Command::new(&program);
        command.arg("serve").arg("--config").arg(config).arg("--data").arg(&data).current_dir(folder);
        let running = Running::start("tandem", &mut command, folder)?;
        let mut tandem = Tandem { running, program, data, port };
        wait_for_port(&mut tandem.running, port, folder)?;
        tandem.until("the API", |t| t.ask(&["account", "list"]).is_ok())?;
        tandem.ask(&["apply", &business.display().to_string()])?;
        if media == Media::Direct {
            tandem.ask(&["param", "set", "SS_MEDIAPROXYMODE", "Off"])?;
        }
        tandem.until("the opening balance", |t| {
            t.ask(&["account", "show", "customer"]).is_ok_and(|a| a.contains("1000000"))
        })?;
        Ok(tandem)
    }

    fn until(&self, what: &str, holds: impl Fn(&Tandem) -> bool) -> Outcome<()> {
        let end = Instant::now() + Duration::from_secs(15);
        while !holds(self) {
            if Instant::now() > end {
                return Err(format!("tandem: {what} did not come within 15 s").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// A command of the command line; what it prints with `--json`.
    fn ask(&self, arguments: &[&str]) -> Outcome<String> {
        let mut command = Command::new(&self.program);
        let output = command.args(arguments).arg("--json").arg("--data").arg(&self.data).output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(format!("tandem {}: {words}", arguments.join(" ")).into())
    }

    /// Answered calls on record, as far as `most`.
    pub fn records(&self, most: u64) -> Outcome<u64> {
        let limit = most.to_string();
        let text = self.ask(&["cdr", "list", "--answered", "true", "--limit", &limit])?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list["items"].as_array().or(list.as_array()).ok_or("cdr list: no list")?;
        Ok(items.len() as u64)
    }

    /// Do balances and entries, calls and records agree? In words what is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.ask(&["check"]).map(|_| ()).map_err(|e| e.to_string())
    }

    pub fn calls_in_progress(&self) -> Outcome<u64> {
        let text = self.ask(&["calls", "list"])?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list["items"].as_array().or(list.as_array()).ok_or("calls list: no list")?;
        Ok(items.len() as u64)
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) -> Outcome<()> {
        let status = self.running.stop(Signal::TERM, Duration::from_secs(15))?;
        if status.success() { Ok(()) } else { Err(format!("tandem ended with {status}").into()) }
    }
}
