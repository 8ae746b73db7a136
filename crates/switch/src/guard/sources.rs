//! Rates of sources in a table of fixed size.

use super::Limits;
use sip::Peek;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;
use vocab::Tick;

/// Strangers that are remembered: `SETS` × `WAYS`, about a megabyte.
const SETS: usize = 4096;
const WAYS: usize = 4;
/// Messages by which a source counts as not heard before: a sign-in with a few lost packets.
const NEWCOMER_MESSAGES: u32 = 8;
/// A source that was silent for this long is new again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
const GUESTS: usize = 65_536;
/// A guest that was silent for this long is a stranger again. Longer than any session refresh.
const GUEST_LIFE: Duration = Duration::from_secs(3 * 3600);
/// How fresh the time of a guest is kept.
const GUEST_STEP: Duration = Duration::from_secs(60);

/// So many at once, and so many a second in the long run.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub rate: u32,
    pub burst: u32,
}

/// A token bucket as the time at which it will be full again (the generic cell rate algorithm of ITU-T I.371): whole
/// numbers, eight bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Tick,
}

impl Bucket {
    fn take(&mut self, now: Tick, limit: Limit) -> bool {
        let step = 1_000_000 / u64::from(limit.rate.max(1));
        let full_at = self.full_at.0.max(now.0) + step;
        let passed = full_at - now.0 <= step * u64::from(limit.burst.max(1));
        if passed {
            self.full_at = Tick(full_at);
        }
        passed
    }
}

/// Why a message is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Source,
    Total,
    Suspended,
}

/// One source. IPv6 addresses count by their /64, which is what one host commands.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// 0: empty.
    key: u64,
    last: Tick,
    messages: Bucket,
    registers: Bucket,
    suspended_until: Tick,
    /// Bytes it sent beyond those it was sent: what may still be answered.
    credit: u32,
    heard: u32,
    failures: u32,
}

/// Sources that are neither gateways nor guests.
#[derive(Debug)]
pub struct Strangers {
    slots: Box<[[Slot; WAYS]]>,
    secret: u64,
    newcomers: Bucket,
    others: Bucket,
}

impl Strangers {
    pub fn new(secret: u64) -> Strangers {
        let slots = vec![[Slot::default(); WAYS]; SETS].into_boxed_slice();
        Strangers { slots, secret, newcomers: Bucket::default(), others: Bucket::default() }
    }

    /// Counts a message; refused when the source sends more than its share.
    pub fn hear(&mut self, now: Tick, ip: IpAddr, length: usize, limit: Limit) -> Result<(), Refused> {
        let Some(slot) = self.slot(now, ip) else { return Err(Refused::Total) };
        if now.since(slot.last) > FORGOTTEN_AFTER {
            slot.heard = 0;
        }
        slot.last = now;
        slot.credit = slot.credit.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        if slot.messages.take(now, limit) { Ok(()) } else { Err(Refused::Source) }
    }

    /// Lets a message that was heard through to the engine, with the number of bytes that may be answered.
    pub fn admit(&mut self, now: Tick, ip: IpAddr, limits: &Limits, peek: &Peek<'_>) -> Result<u32, Refused> {
        let Some(slot) = self.slot(now, ip) else { return Err(Refused::Total) };
        // What belongs to a call is never suspended: else a BYE would be lost, and the call go on at somebody's cost.
        if now < slot.suspended_until && !peek.is_response && !peek.in_dialog {
            return Err(Refused::Suspended);
        }
        if peek.method == "REGISTER" && !slot.registers.take(now, limits.registers) {
            return Err(Refused::Source);
        }
        let newcomer = slot.heard < NEWCOMER_MESSAGES;
        slot.heard = slot.heard.saturating_add(1);
        let credit = slot.credit;
        let total = if newcomer { &mut self.newcomers } else { &mut self.others };
        if total.take(now, limits.total) { Ok(credit) } else { Err(Refused::Total) }
    }

    pub fn answered(&mut self, ip: IpAddr, bytes: u32) {
        if let Some(slot) = self.find(ip) {
            slot.credit = slot.credit.saturating_sub(bytes);
        }
    }

    pub fn forgive(&mut self, ip: IpAddr) {
        if let Some(slot) = self.find(ip) {
            slot.failures = 0;
        }
    }

    /// One more failure in a row; true when it was one too many.
    pub fn failed(&mut self, now: Tick, ip: IpAddr, limit: u32, suspend_s: u32) -> bool {
        let Some(slot) = self.slot(now, ip) else { return false };
        slot.failures = slot.failures.saturating_add(1);
        if slot.failures < limit {
            return false;
        }
        slot.failures = 0;
        slot.suspended_until = now + Duration::from_secs(suspend_s.into());
        true
    }

    fn find(&mut self, ip: IpAddr) -> Option<&mut Slot> {
        let key = key(ip);
        self.set(key)?.iter_mut().find(|s| s.key == key)
    }

    /// The slot of a source; for a new one, that of the source not heard of for longest.
    fn slot(&mut self, now: Tick, ip: IpAddr) -> Option<&mut Slot> {
        let key = key(ip);
        let set = self.set(key)?;
        let at = set.iter().position(|s| s.key == key);
        let taken = at.or_else(|| {
            let (oldest, slot) =
                set.iter_mut().enumerate().min_by_key(|(_, s)| s.last.max(s.suspended_until))?;
            *slot = Slot { key, last: now, ..Slot::default() };
            Some(oldest)
        });
        set.get_mut(taken?)
    }

    fn set(&mut self, key: u64) -> Option<&mut [Slot; WAYS]> {
        let mut hasher = DefaultHasher::new();
        (self.secret, key).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % SETS as u64).unwrap_or(0);
        self.slots.get_mut(index)
    }
}

/// Never 0.
fn key(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        // 0:1::/32 belongs to nobody.
        IpAddr::V4(v4) => 1 << 32 | u64::from(u32::from(v4)),
        IpAddr::V6(v6) => u64::try_from(u128::from(v6) >> 64).unwrap_or(0).max(1),
    }
}

/// Addresses that have proved that what is sent to them is received by a peer of ours.
#[derive(Debug, Default)]
pub struct Guests {
    until: HashMap<IpAddr, Tick>,
    next_clean: Tick,
}

impl Guests {
    /// Being heard keeps a guest.
    pub fn contains(&mut self, now: Tick, ip: IpAddr) -> bool {
        // The common case of a flood costs no hashing.
        if self.until.is_empty() {
            return false;
        }
        let Some(until) = self.until.get_mut(&ip.to_canonical()).filter(|until| now < **until) else {
            return false;
        };
        if until.since(now) < GUEST_LIFE.saturating_sub(GUEST_STEP) {
            *until = now + GUEST_LIFE;
        }
        true
    }

    pub fn welcome(&mut self, now: Tick, ip: IpAddr) {
        if self.until.len() >= GUESTS && now >= self.next_clean {
            self.next_clean = now + Duration::from_secs(1);
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() < GUESTS {
            self.until.insert(ip.to_canonical(), now + GUEST_LIFE);
        }
    }

    pub fn count(&self) -> u32 {
        u32::try_from(self.until.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Tick {
        Tick(1_000_000_000 + ms * 1000)
    }

    fn ip(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(n).into()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let limit = Limit { rate: 20, burst: 50 };
        let mut bucket = Bucket::default();
        // A thousand a second for ten seconds.
        let passed = (0..10_000).filter(|ms| bucket.take(at(*ms), limit)).count();
        assert_eq!(passed, 50 + 199);
        assert!(bucket.take(at(20_000), limit));
    }

    #[test]
    fn a_table_under_attack_keeps_its_size_and_forgets_the_oldest() {
        let mut strangers = Strangers::new(7);
        let limit = Limit { rate: 20, burst: 50 };
        for n in 0..200_000 {
            assert_eq!(strangers.hear(at(u64::from(n)), ip(n), 400, limit), Ok(()));
        }
        let used = strangers.slots.iter().flatten().filter(|s| s.key != 0).count();
        assert_eq!((used, size_of_val(&*strangers.slots)), (SETS * WAYS, SETS * WAYS * size_of::<Slot>()));
        assert!(size_of_val(&*strangers.slots) <= 1 << 20);
        // The latest are still known: their burst is used up.
        let latest = ip(199_999);
        let more = (0..60).filter(|_| strangers.hear(at(200_000), latest, 400, limit).is_ok()).count();
        assert_eq!(more, 49);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let v6 = |text: &str| key(text.parse().unwrap());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:2"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.1"), v6("10.0.0.1"));
        assert_ne!(v6("::1"), 0);
    }

    #[test]
    fn guests_are_bounded_and_leave() {
        let mut guests = Guests::default();
        for n in 0..70_000 {
            guests.welcome(at(0), ip(n));
        }
        assert_eq!(guests.count(), 65_536);
        assert!(guests.contains(at(0), ip(5)) && !guests.contains(at(0), ip(69_999)));
        let later = at(u64::try_from(GUEST_LIFE.as_millis()).unwrap() + 1000);
        assert!(!guests.contains(later, ip(5)));
        guests.welcome(later, ip(69_999));
        assert_eq!(guests.count(), 1);
    }
}
