//! Who calls whom, for how long, and how it ends.

use super::business::{CUSTOMERS, DESTINATIONS, Vendor};
use std::time::Duration;
use vocab::Random;

/// What a caller means to do.
#[derive(Clone, Debug)]
pub struct Intention {
    /// Index into [`CUSTOMERS`].
    pub customer: usize,
    pub caller: String,
    pub called: String,
    /// Patience: the call is given up when nobody has answered by then.
    pub give_up_after: Duration,
    pub talk: Duration,
}

/// What a called side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Rings, with early media or without, then answers; hangs up itself after a while, or waits for the caller.
    Answer {
        ring: Duration,
        early_media: bool,
        hang_up_after: Option<Duration>,
    },
    Ring,
    Refuse {
        after: Duration,
        status: u16,
    },
}

/// Index of the item that a draw of hundredths falls on.
fn pick(shares: impl Iterator<Item = u64>, random: &mut Random) -> usize {
    let mut left = random.below(100);
    let mut index = 0;
    for share in shares {
        if left < share {
            break;
        }
        left -= share;
        index += 1;
    }
    index
}

fn seconds(least: u64, most: u64, random: &mut Random) -> Duration {
    Duration::from_millis(least * 1000 + random.below((most - least) * 1000))
}

fn digits(count: usize, random: &mut Random) -> String {
    (0..count).map(|_| char::from(b'0' + u8::try_from(random.below(10)).unwrap_or(0))).collect()
}

pub fn intention(random: &mut Random) -> Intention {
    let customer = pick(CUSTOMERS.iter().map(|c| c.share), random).min(CUSTOMERS.len() - 1);
    let at = pick(DESTINATIONS.iter().map(|d| d.share), random).min(DESTINATIONS.len() - 1);
    let destination = DESTINATIONS.get(at).or(DESTINATIONS.first());
    let (prefix, length) = destination.map_or(("1", 11), |d| (d.prefix, d.digits));
    let impatient = random.below(100) < 6;
    Intention {
        customer,
        caller: format!("4930{}", digits(7, random)),
        called: format!("{prefix}{}", digits(length.saturating_sub(prefix.len()), random)),
        give_up_after: if impatient { seconds(1, 6, random) } else { seconds(20, 40, random) },
        talk: talk(random),
    }
}

/// Many short calls, few long ones: 5 s to 3 minutes.
fn talk(random: &mut Random) -> Duration {
    match random.below(10) {
        0..5 => seconds(5, 30, random),
        5..8 => seconds(30, 75, random),
        _ => seconds(75, 180, random),
    }
}

pub fn reaction(vendor: &Vendor, random: &mut Random) -> Reaction {
    if random.below(100) < vendor.failing {
        return Reaction::Refuse { after: Duration::from_millis(20 + random.below(200)), status: 503 };
    }
    match random.below(100) {
        0..62 => Reaction::Answer {
            ring: seconds(1, 9, random),
            early_media: random.below(5) == 0,
            hang_up_after: (random.below(3) == 0).then(|| talk(random)),
        },
        62..78 => Reaction::Refuse { after: seconds(0, 3, random), status: 486 },
        78..90 => Reaction::Ring,
        90..94 => Reaction::Refuse { after: seconds(0, 2, random), status: 404 },
        94..97 => Reaction::Refuse { after: seconds(0, 2, random), status: 480 },
        _ => Reaction::Refuse { after: seconds(2, 8, random), status: 603 },
    }
}
