//! What may happen to a packet, decided by a seed.

use std::time::Duration;
use vocab::Random;

/// Chances in parts of ten thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub loss: u32,
    pub duplicate: u32,
    /// Held back behind those that follow.
    pub reorder: u32,
    /// One bit is turned over.
    pub flip: u32,
    /// Each packet waits up to this long.
    pub delay_max: Duration,
}

/// A packet that is reordered waits this much longer.
const HOLD: Duration = Duration::from_millis(30);

/// What happens to one packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// When each copy goes on, counted from its arrival; none when it is lost.
    pub copies: Vec<Duration>,
    pub reordered: bool,
    /// This bit, counted from the first, wraps around the packet's length.
    pub flip: Option<u64>,
}

impl Faults {
    /// Only loss.
    pub fn loss(loss: u32) -> Faults {
        Faults { loss, ..Faults::default() }
    }

    pub fn decide(&self, random: &mut Random) -> Fate {
        let mut hit = |chance: u32| random.below(10_000) < u64::from(chance);
        let (lost, twice, reordered, flipped) =
            (hit(self.loss), hit(self.duplicate), hit(self.reorder), hit(self.flip));
        if lost {
            return Fate::default();
        }
        let most = u64::try_from(self.delay_max.as_micros()).unwrap_or(u64::MAX);
        let mut delay =
            || Duration::from_micros(random.below(most)) + if reordered { HOLD } else { Duration::ZERO };
        let copies = (0..if twice { 2 } else { 1 }).map(|_| delay()).collect();
        Fate { copies, reordered, flip: flipped.then(|| random.next_u64()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_out_and_seeds_repeat() {
        let faults = Faults {
            loss: 500,
            duplicate: 1000,
            reorder: 1000,
            flip: 100,
            delay_max: Duration::from_millis(400),
        };
        let fates = |seed| {
            let mut random = Random::from_number(seed);
            (0..100_000).map(|_| faults.decide(&mut random)).collect::<Vec<_>>()
        };
        let run = fates(7);
        assert_eq!(run, fates(7));
        let share = |f: fn(&Fate) -> bool| run.iter().filter(|x| f(x)).count();
        assert!((4_700..=5_300).contains(&share(|f| f.copies.is_empty())));
        assert!((9_000..=10_000).contains(&share(|f| f.copies.len() == 2)));
        assert!((9_000..=10_000).contains(&share(|f| f.reordered)));
        assert!((800..=1_100).contains(&share(|f| f.flip.is_some())));
    }
}
