//! Maps by ids of our own: numbers that no stranger chooses, so that a cheap hash is safe.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// For keys that we have made ourselves. What a peer can choose belongs into a map with the standard hasher.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Multiplies and folds; ids differ in some bits, and every bit must reach those that the map looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

/// 2⁶⁴ over the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl IdHasher {
    fn add(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.add(u64::from(*b)));
    }

    fn write_u8(&mut self, n: u8) {
        self.add(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.add(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.add(n);
    }

    fn write_u128(&mut self, n: u128) {
        let half = |n: u128| u64::try_from(n & u128::from(u64::MAX)).unwrap_or(0);
        self.add(half(n) ^ half(n >> 64));
    }

    fn finish(&self) -> u64 {
        // A multiplication carries upwards only, and the map looks at both ends.
        (self.0 ^ self.0 >> 32).wrapping_mul(MULTIPLIER).rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_that_grow_in_steps_spread() {
        for step in [1u64, 1 << 10, 1 << 20, 1 << 32] {
            let hashes = (0..4096u64).map(|n| {
                let mut hasher = IdHasher::default();
                hasher.write_u64(n * step);
                hasher.finish()
            });
            // 4096 ids on 65,536 places: chance alone would leave some 3970 different.
            let low: HashSet<u64> = hashes.clone().map(|h| h & 0xffff).collect();
            let high: HashSet<u64> = hashes.map(|h| h >> 57).collect();
            assert!(low.len() > 3000 && high.len() == 128, "{step}: {} {}", low.len(), high.len());
        }
    }
}
