//! Failed registrations, by address and name together (`SEC-3`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use vocab::Tick;

/// Pairs that are remembered.
const SUSPECTS: usize = 16_384;
/// Failures are forgotten after this long.
const MEMORY: Duration = Duration::from_secs(3600);
/// As much of a name as is looked at.
const NAME: usize = 64;

/// `SS_ENDPOINTREGISTERRETRY` and `SS_ENDPOINTREGISTERSUSPENDTIME`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegisterBounds {
    pub retry: u32,
    pub suspend_s: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Suspect {
    failures: u32,
    last: Tick,
    until: Tick,
}

#[derive(Debug, Default)]
pub(super) struct Suspects {
    table: HashMap<(IpAddr, Box<str>), Suspect>,
}

fn key(ip: IpAddr, name: &str) -> (IpAddr, Box<str>) {
    (ip.to_canonical(), name.chars().take(NAME).collect::<String>().into())
}

impl Suspects {
    pub fn is_suspended(&self, now: Tick, ip: IpAddr, name: &str) -> bool {
        // The common case of a flood costs no hashing.
        !self.table.is_empty() && self.table.get(&key(ip, name)).is_some_and(|s| now < s.until)
    }

    pub fn forgive(&mut self, ip: IpAddr, name: &str) {
        self.table.remove(&key(ip, name));
    }

    /// One more failure in a row; true when it was one too many.
    pub fn failed(&mut self, now: Tick, ip: IpAddr, name: &str, bounds: RegisterBounds) -> bool {
        if self.table.len() >= SUSPECTS {
            self.make_room(now);
        }
        let suspect = self.table.entry(key(ip, name)).or_default();
        suspect.failures = suspect.failures.saturating_add(1);
        suspect.last = now;
        if suspect.failures < bounds.retry {
            return false;
        }
        suspect.failures = 0;
        suspect.until = now + Duration::from_secs(bounds.suspend_s.into());
        true
    }

    /// First what is old, then those who have failed least.
    fn make_room(&mut self, now: Tick) {
        self.table.retain(|_, s| now < s.until || now.since(s.last) < MEMORY);
        if self.table.len() >= SUSPECTS {
            self.table.retain(|_, s| now < s.until);
        }
        if self.table.len() >= SUSPECTS {
            self.table.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_name_are_suspended_together() {
        let mut suspects = Suspects::default();
        let (here, there): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let bounds = RegisterBounds { retry: 3, suspend_s: 180 };
        let at = |s: u64| Tick(s * 1_000_000);
        assert!(!suspects.failed(at(1), here, "1001", bounds));
        assert!(!suspects.failed(at(2), here, "1001", bounds));
        suspects.forgive(here, "1001");
        assert!(!suspects.failed(at(3), here, "1001", bounds));
        assert!(!suspects.failed(at(4), here, "1001", bounds));
        assert!(suspects.failed(at(5), here, "1001", bounds));
        assert!(suspects.is_suspended(at(184), here, "1001"));
        assert!(!suspects.is_suspended(at(185), here, "1001"));
        assert!(!suspects.is_suspended(at(6), there, "1001"));
        assert!(!suspects.is_suspended(at(6), here, "1002"));
        for n in 0..2 * SUSPECTS {
            suspects.failed(at(7), there, &n.to_string(), bounds);
        }
        assert!(suspects.table.len() <= SUSPECTS);
    }
}
