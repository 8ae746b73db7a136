//! The prefix table that routing and rating share: longest-prefix match over dial strings.
//!
//! Prefixes are packed into integers, four bits a character, left-aligned and sorted; a binary search finds the
//! greatest prefix not above the number, and each entry knows its longest proper prefix in the table, so the
//! search ends after a few steps up that chain. An index over the first four characters cuts the search short.
//! Built once, then immutable and shared.

/// Longest prefix that a table can hold, in characters.
pub const MAX_PREFIX: usize = 31;

const NO_PARENT: u32 = u32::MAX;
const INDEX_BITS: u32 = 16;

/// Longest-prefix table from dial-string prefixes to values.
#[derive(Clone, Debug)]
pub struct PrefixTable<V> {
    /// Sorted packed prefixes.
    keys: Vec<u128>,
    /// For each key the index of its longest proper prefix in the table.
    parents: Vec<u32>,
    values: Vec<V>,
    /// For each leading 16 bits: the first key that starts with at least these bits.
    index: Vec<u32>,
}

/// Why a text cannot be a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    TooLong,
    BadCharacter(char),
}

impl std::fmt::Display for PrefixError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PrefixError::TooLong => write!(f, "longer than {MAX_PREFIX} characters"),
            PrefixError::BadCharacter(c) => write!(f, "{c:?} cannot stand in a prefix; digits, * and # can"),
        }
    }
}

/// Four-bit code of a character; 0 is reserved for "end", so that a prefix sorts before its extensions.
fn code(c: u8) -> Option<u128> {
    match c {
        b'0'..=b'9' => Some(u128::from(c - b'0') + 1),
        b'*' => Some(11),
        b'#' => Some(12),
        _ => None,
    }
}

/// Packs as many leading characters as fit; stops at the first that has no code.
fn pack_number(digits: &str) -> u128 {
    let mut key = 0;
    let mut shift = 128;
    for c in digits.bytes().take(MAX_PREFIX + 1) {
        let Some(code) = code(c) else { break };
        shift -= 4;
        key |= code << shift;
    }
    key
}

/// Checks and packs a prefix. The empty prefix is allowed and matches everything.
pub fn pack_prefix(prefix: &str) -> Result<u128, PrefixError> {
    if let Some(bad) = prefix.chars().find(|c| !matches!(c, '0'..='9' | '*' | '#')) {
        return Err(PrefixError::BadCharacter(bad));
    }
    if prefix.len() > MAX_PREFIX { Err(PrefixError::TooLong) } else { Ok(pack_number(prefix)) }
}

/// Length in characters of a packed prefix.
fn packed_len(key: u128) -> u32 {
    (128 - key.trailing_zeros()).div_ceil(4)
}

fn is_prefix(prefix: u128, number: u128) -> bool {
    let bits = packed_len(prefix) * 4;
    bits == 0 || (prefix ^ number) >> (128 - bits) == 0
}

fn unpack(key: u128) -> String {
    (0..packed_len(key))
        .map(|i| match (key >> (124 - 4 * i)) & 0xf {
            11 => '*',
            12 => '#',
            n => char::from(b'0' + u8::try_from(n).unwrap_or(1).saturating_sub(1)),
        })
        .collect()
}

impl<V> Default for PrefixTable<V> {
    fn default() -> Self {
        PrefixTable { keys: Vec::new(), parents: Vec::new(), values: Vec::new(), index: Vec::new() }
    }
}

impl<V> PrefixTable<V> {
    /// Builds the table. Of equal prefixes the last wins.
    pub fn build(entries: impl IntoIterator<Item = (u128, V)>) -> PrefixTable<V> {
        let mut entries: Vec<(u128, V)> = entries.into_iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        let mut keys: Vec<u128> = Vec::with_capacity(entries.len());
        let mut values: Vec<V> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if keys.last() == Some(&key) {
                values.pop();
                keys.pop();
            }
            keys.push(key);
            values.push(value);
        }
        let mut parents = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            // The longest proper prefix is the left neighbour or one of its ancestors.
            let mut at = index_or_none(i.checked_sub(1));
            while at != NO_PARENT && !is_prefix(keys[at as usize], *key) {
                at = parents[at as usize];
            }
            parents.push(at);
        }
        let mut index = Vec::with_capacity((1 << INDEX_BITS) + 1);
        let mut next = 0;
        for bucket in 0..=(1u128 << INDEX_BITS) {
            while next < keys.len() && keys[next] >> (128 - INDEX_BITS) < bucket {
                next += 1;
            }
            index.push(index_or_none(Some(next)));
        }
        PrefixTable { keys, parents, values, index }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The longest prefix of `digits` in the table.
    pub fn longest(&self, digits: &str) -> Option<(Matched, &V)> {
        self.matches(digits).next()
    }

    /// All prefixes of `digits` in the table, longest first.
    pub fn matches(&self, digits: &str) -> impl Iterator<Item = (Matched, &V)> {
        let number = pack_number(digits);
        let mut at = self.greatest_not_above(number);
        while at != NO_PARENT && !is_prefix(self.keys[at as usize], number) {
            at = self.parents[at as usize];
        }
        std::iter::from_fn(move || {
            let i = (at != NO_PARENT).then_some(at as usize)?;
            at = self.parents[i];
            Some((Matched(self.keys[i]), &self.values[i]))
        })
    }

    /// All entries in order of their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = (Matched, &V)> {
        self.keys.iter().map(|k| Matched(*k)).zip(&self.values)
    }

    fn greatest_not_above(&self, number: u128) -> u32 {
        if self.keys.is_empty() {
            return NO_PARENT;
        }
        let bucket = usize::try_from(number >> (128 - INDEX_BITS)).unwrap_or(0);
        let (low, high) = (self.index[bucket] as usize, self.index[bucket + 1] as usize);
        let above = low + self.keys[low..high].partition_point(|k| *k <= number);
        index_or_none(above.checked_sub(1))
    }
}

/// Tables are bounded far below 2³² entries by memory; a larger one would be cut, never misread.
fn index_or_none(i: Option<usize>) -> u32 {
    i.and_then(|i| u32::try_from(i).ok()).unwrap_or(NO_PARENT)
}

/// A prefix that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched(u128);

impl Matched {
    /// Length in characters.
    pub fn len(self) -> u32 {
        packed_len(self.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for Matched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&unpack(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn table(prefixes: &[&str]) -> PrefixTable<String> {
        PrefixTable::build(prefixes.iter().map(|p| (pack_prefix(p).unwrap(), p.to_string())))
    }

    #[test]
    fn longest_prefix_wins() {
        let t = table(&["880", "88017", "8801", "44", "", "0", "00", "*21#"]);
        for (number, want) in [
            ("8801712345678", "88017 8801 880 "),
            ("880", "880 "),
            ("88", ""),
            ("447", "44 "),
            ("000", "00 0 "),
            ("*21#5", "*21# "),
        ] {
            let all: Vec<_> = t.matches(number).map(|(m, v)| (m.to_string(), v.clone())).collect();
            assert!(all.iter().all(|(m, v)| m == v));
            let found: Vec<_> = all.into_iter().map(|(m, _)| m).collect();
            assert_eq!(found.join(" ").trim_end(), want.trim_end(), "{number}");
        }
        assert!(table(&[]).longest("1").is_none());
        assert!(table(&["880"]).longest("879").is_none());
        assert_eq!(pack_prefix("88x"), Err(PrefixError::BadCharacter('x')));
        assert_eq!(pack_prefix(&"1".repeat(32)), Err(PrefixError::TooLong));
    }

    #[test]
    fn agrees_with_a_plain_search() {
        let mut r = Random::from_number(1);
        let mut random_digits = |max: u64| -> String {
            let n = r.below(max + 1);
            (0..n).map(|_| char::from(b'0' + u8::try_from(r.below(3)).unwrap())).collect()
        };
        for _ in 0..200 {
            let prefixes: Vec<String> = (0..50).map(|_| random_digits(7)).collect();
            let refs: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let t = table(&refs);
            for _ in 0..50 {
                let number = random_digits(10);
                let want = refs.iter().filter(|p| number.starts_with(**p)).max_by_key(|p| p.len());
                assert_eq!(
                    t.longest(&number).map(|(_, v)| v.as_str()),
                    want.copied(),
                    "{number} in {refs:?}"
                );
            }
        }
    }
}
