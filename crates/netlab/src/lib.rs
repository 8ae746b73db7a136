//! A network that misbehaves on purpose, for tests of the whole program. Everything stays on the addresses that it is
//! given, keeps within the time that it is given, and counts exactly what it did.

mod faults;
pub mod flood;
mod relay;
pub mod rtp;

pub use faults::{Fate, Faults};
pub use relay::{Direction, Relay, Wires};

use std::io;
use std::time::Duration;

/// Waits until a socket can be read, or this long.
fn wait(sockets: &[&std::net::UdpSocket], at_most: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds: Vec<PollFd<'_>> = sockets.iter().map(|s| PollFd::new(*s, PollFlags::IN)).collect();
    let limit = Timespec {
        tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// As many open files as the system lets this process have.
pub fn allow_many_sockets() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What it does not allow shows when sockets are opened.
    let _ = setrlimit(Resource::Nofile, limit);
}
