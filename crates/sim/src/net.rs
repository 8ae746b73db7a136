//! The network between the peers and the switch: loses, doubles, delays and so reorders datagrams, by a seed.

use std::collections::BTreeMap;
use std::time::Duration;
use vocab::{Random, Tick};

/// Faults of a link, in each direction alike. Chances are in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub loss: u64,
    pub duplication: u64,
    /// Bits flipped on the way.
    pub damage: u64,
    pub delay_min: Duration,
    /// Delays are spread evenly from the least to this: datagrams overtake each other when they differ.
    pub delay_max: Duration,
}

impl Link {
    /// One millisecond, nothing lost: the network of the ladders.
    pub const GOOD: Link = Link {
        loss: 0,
        duplication: 0,
        damage: 0,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(1),
    };

    /// When the copies of one datagram arrive: none when it is lost, two when it is doubled.
    pub fn arrivals(&self, now: Tick, random: &mut Random) -> Vec<Tick> {
        let copies = match () {
            () if random.below(1000) < self.loss => 0,
            () if random.below(1000) < self.duplication => 2,
            () => 1,
        };
        (0..copies).map(|_| now + self.delay(random)).collect()
    }

    fn delay(&self, random: &mut Random) -> Duration {
        let spread = u64::try_from((self.delay_max - self.delay_min).as_micros()).unwrap_or(0);
        self.delay_min + Duration::from_micros(random.below(spread + 1))
    }

    /// Flips one bit, sometimes.
    pub fn damage(&self, bytes: &mut [u8], random: &mut Random) {
        let length = u64::try_from(bytes.len()).unwrap_or(0);
        if random.below(1000) < self.damage
            && let Some(byte) = usize::try_from(random.below(length)).ok().and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << random.below(8);
        }
    }
}

/// A connection keeps order and loses nothing: each message arrives after the one before it.
#[derive(Debug, Default)]
pub struct Connections {
    last: BTreeMap<(u64, bool), Tick>,
}

impl Connections {
    pub fn arrival(
        &mut self,
        connection: u64,
        to_switch: bool,
        link: &Link,
        now: Tick,
        random: &mut Random,
    ) -> Tick {
        let earliest = self.last.get(&(connection, to_switch)).copied().unwrap_or_default();
        let at = (now + link.delay(random)).max(earliest);
        self.last.insert((connection, to_switch), at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_asked() {
        let link = Link { loss: 200, duplication: 100, delay_max: Duration::from_millis(400), ..Link::GOOD };
        let mut random = Random::from_number(1);
        let sent: Vec<_> = (0..10_000).map(|_| link.arrivals(Tick(0), &mut random)).collect();
        let lost = sent.iter().filter(|a| a.is_empty()).count();
        let doubled = sent.iter().filter(|a| a.len() == 2).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!((650..950).contains(&doubled), "{doubled}");
        let (least, most) = (Tick(1_000), Tick(400_000));
        assert!(sent.iter().flatten().all(|at| (least..=most).contains(at)));
    }

    #[test]
    fn connections_keep_order() {
        let link = Link { delay_max: Duration::from_millis(400), ..Link::GOOD };
        let (mut connections, mut random) = (Connections::default(), Random::from_number(1));
        let times: Vec<_> =
            (0..100).map(|i| connections.arrival(1, true, &link, Tick(i * 1000), &mut random)).collect();
        assert!(times.is_sorted());
    }
}
