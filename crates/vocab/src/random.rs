//! Randomness as an input: a seeded generator. The shell seeds it from the system, tests from a number.

/// ChaCha-like strength is not needed for jitter, but tags, Call-IDs and nonces must be unguessable
/// (`R-33`), so this is SipHash-2-4 in counter mode over a 128-bit secret seed.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u64; 2],
    counter: u64,
}

impl Random {
    pub fn from_seed(seed: [u8; 16]) -> Random {
        let half = |r: std::ops::Range<usize>| seed[r].iter().fold(0u64, |n, b| (n << 8) | u64::from(*b));
        Random { key: [half(0..8), half(8..16)], counter: 0 }
    }

    /// A generator for tests and simulations: the same number gives the same sequence.
    pub fn from_number(n: u64) -> Random {
        Random { key: [n, !n], counter: 0 }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        siphash_2_4(self.key, self.counter)
    }

    /// Uniform in `0..bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Lemire's multiply-shift; the bias of at most bound / 2^64 does not matter here.
        u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// A child generator whose sequence is independent of later draws from this one.
    pub fn fork(&mut self) -> Random {
        Random { key: [self.next_u64(), self.next_u64()], counter: 0 }
    }
}

/// SipHash-2-4 of one 64-bit word (Aumasson, Bernstein 2012).
fn siphash_2_4(key: [u64; 2], word: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let round = |v: &mut [u64; 4]| {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    };
    for block in [word, 8u64 << 56] {
        v[3] ^= block;
        round(&mut v);
        round(&mut v);
        v[0] ^= block;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_matches_the_reference_vector() {
        // Reference vectors, key 00..0f, message 00..07.
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(siphash_2_4(key, 0x0706_0504_0302_0100), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn below_stays_below() {
        let mut r = Random::from_number(7);
        assert!((0..1000).all(|_| r.below(10) < 10));
    }
}
