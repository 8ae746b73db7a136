//! The prefix table that routing and rating share: longest-prefix match over dial strings.
//!
//! Prefixes are packed into integers, four bits a character, left-aligned and sorted. A search finds the greatest
//! prefix not above the number; each entry knows its longest proper prefix in the table, so what matches is found
//! a few steps up that chain. Above the sorted entries stands an index in levels: each repeats the first key of every
//! block of the level below. A search reads one block a level, without a branch that depends on the keys, so that a
//! look-up in a table of ten million waits two or three times for memory that is in no cache. Prefixes of up to 16
//! characters (all there are, as a rule) take 64-bit keys; longer ones stand in a second tier. Built once, then
//! immutable and shared.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// Longest prefix that a table can hold, in characters.
pub const MAX_PREFIX: usize = 31;

const NO_PARENT: u32 = u32::MAX;
/// Entries in a block: two lines of memory, which processors fetch as a pair.
const ENTRIES: usize = 8;
/// Keys in a block of the index, likewise.
const KEYS: usize = 16;

/// Longest-prefix table from dial-string prefixes to values.
#[derive(Clone, Debug)]
pub struct PrefixTable<V> {
    /// Prefixes of up to 16 characters.
    short: Tier<u64, V>,
    /// Longer ones.
    long: Tier<u128, V>,
}

/// Prefixes whose packed form fits one integer type.
#[derive(Clone, Debug)]
struct Tier<K, V> {
    /// Sorted by key.
    entries: Vec<Entry<K, V>>,
    /// The levels of the index one after another, the smallest first.
    index: Vec<K>,
    /// Where each level begins, and where the last one ends.
    levels: SmallVec<[u32; 8]>,
}

#[derive(Clone, Debug)]
struct Entry<K, V> {
    key: K,
    /// The longest proper prefix in this tier.
    parent: u32,
    value: V,
}

/// A packed prefix, left-aligned in its type.
trait Key: Copy + Ord {
    /// The leading characters that fit.
    fn of(packed: u128) -> Self;
    fn packed(self) -> u128;
}

impl Key for u64 {
    fn of(packed: u128) -> u64 {
        u64::try_from(packed >> 64).unwrap_or(u64::MAX)
    }
    fn packed(self) -> u128 {
        u128::from(self) << 64
    }
}

impl Key for u128 {
    fn of(packed: u128) -> u128 {
        packed
    }
    fn packed(self) -> u128 {
        self
    }
}

impl<K, V> Default for Tier<K, V> {
    fn default() -> Self {
        Tier { entries: Vec::new(), index: Vec::new(), levels: SmallVec::new() }
    }
}

impl<K: Key, V> Tier<K, V> {
    /// Builds the tier from sorted, distinct prefixes.
    fn build(sorted: Vec<(u128, V)>) -> Tier<K, V> {
        let mut entries: Vec<Entry<K, V>> = Vec::with_capacity(sorted.len());
        for (i, (key, value)) in sorted.into_iter().enumerate() {
            // The longest proper prefix is the left neighbour or one of its ancestors.
            let mut at = index_or_none(i.checked_sub(1));
            while let Some(entry) = entries.get(at as usize).filter(|e| !is_prefix(e.key.packed(), key)) {
                at = entry.parent;
            }
            entries.push(Entry { key: K::of(key), parent: at, value });
        }
        let mut levels: Vec<Vec<K>> = vec![entries.iter().step_by(ENTRIES).map(|e| e.key).collect()];
        while let Some(below) = levels.last().filter(|l| l.len() > KEYS) {
            levels.push(below.iter().step_by(KEYS).copied().collect());
        }
        let mut tier = Tier { entries, index: Vec::new(), levels: SmallVec::new() };
        for level in levels.iter().rev() {
            tier.levels.push(index_or_none(Some(tier.index.len())));
            tier.index.extend_from_slice(level);
        }
        tier.levels.push(index_or_none(Some(tier.index.len())));
        tier
    }

    /// Index of the longest prefix of the number, or [`NO_PARENT`].
    fn longest(&self, number: u128) -> u32 {
        let key = K::of(number);
        let mut at = 0;
        for level in self.levels.windows(2) {
            let keys = self.index.get(level[0] as usize..level[1] as usize).unwrap_or_default();
            at = last_not_above::<KEYS, _>(keys, at, |k| *k <= key);
        }
        let at = last_not_above::<ENTRIES, _>(&self.entries, at, |e| e.key <= key);
        self.first_prefix(index_or_none(Some(at)), number)
    }

    /// The first of an entry and its ancestors that is a prefix of the number.
    fn first_prefix(&self, mut at: u32, number: u128) -> u32 {
        while let Some(entry) = self.entries.get(at as usize) {
            if is_prefix(entry.key.packed(), number) {
                return at;
            }
            at = entry.parent;
        }
        NO_PARENT
    }

    fn matches(&self, number: u128) -> impl Iterator<Item = (Matched, &V)> {
        let mut at = self.longest(number);
        std::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.parent;
            Some((Matched(entry.key.packed()), &entry.value))
        })
    }

    fn iter(&self) -> impl Iterator<Item = (Matched, &V)> {
        self.entries.iter().map(|e| (Matched(e.key.packed()), &e.value))
    }
}

/// Place of the last in the block that is not above what is sought; the first when all are above.
/// `BLOCK` is a power of two.
fn last_not_above<const BLOCK: usize, T>(all: &[T], block: usize, not_above: impl Fn(&T) -> bool) -> usize {
    let start = block * BLOCK;
    let rest = all.get(start..).unwrap_or_default();
    let Some(full) = rest.first_chunk::<BLOCK>() else {
        return start + rest.partition_point(not_above).saturating_sub(1);
    };
    let mut at = 0;
    let mut step = BLOCK / 2;
    while step > 0 {
        // `at + step` stays below BLOCK; the mask tells the compiler so.
        at += step * usize::from(not_above(&full[(at + step) & (BLOCK - 1)]));
        step /= 2;
    }
    start + at
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

/// The packed beginnings of a number, from none of it on, with their lengths.
pub fn prefixes_of(digits: &str) -> impl Iterator<Item = (u32, u128)> {
    let key = pack_number(digits);
    let longest = packed_len(key).min(u32::try_from(MAX_PREFIX).unwrap_or(u32::MAX));
    (0..=longest)
        .map(move |length| (length, if length == 0 { 0 } else { key & (u128::MAX << (128 - 4 * length)) }))
}

/// Length in characters of a packed prefix.
fn packed_len(key: u128) -> u32 {
    (128 - key.trailing_zeros()).div_ceil(4)
}

fn is_prefix(prefix: u128, number: u128) -> bool {
    let bits = packed_len(prefix) * 4;
    bits == 0 || (prefix ^ number) >> (128 - bits) == 0
}

impl<V> Default for PrefixTable<V> {
    fn default() -> Self {
        PrefixTable { short: Tier::default(), long: Tier::default() }
    }
}

impl<V> PrefixTable<V> {
    /// Builds the table. Of equal prefixes the last wins.
    pub fn build(entries: impl IntoIterator<Item = (u128, V)>) -> PrefixTable<V> {
        let mut entries: Vec<(u128, V)> = entries.into_iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        entries.reverse();
        entries.dedup_by_key(|(key, _)| *key);
        entries.reverse();
        let is_long = |key: u128| key << 64 != 0;
        let long: Vec<_> = entries.extract_if(.., |(key, _)| is_long(*key)).collect();
        PrefixTable { short: Tier::build(entries), long: Tier::build(long) }
    }

    pub fn len(&self) -> usize {
        self.short.entries.len() + self.long.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest prefix of `digits` in the table.
    pub fn longest(&self, digits: &str) -> Option<(Matched, &V)> {
        self.longest_of(Packed::of(digits))
    }

    /// The same for a number that was packed once for several tables.
    pub fn longest_of(&self, number: Packed) -> Option<(Matched, &V)> {
        self.matches_of(number).next()
    }

    /// All prefixes of `digits` in the table, longest first.
    pub fn matches(&self, digits: &str) -> impl Iterator<Item = (Matched, &V)> {
        self.matches_of(Packed::of(digits))
    }

    /// The same for a number that was packed once for several tables.
    pub fn matches_of(&self, number: Packed) -> impl Iterator<Item = (Matched, &V)> {
        self.long.matches(number.0).chain(self.short.matches(number.0))
    }

    /// All entries in order of their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = (Matched, &V)> {
        let (mut short, mut long) = (self.short.iter().peekable(), self.long.iter().peekable());
        std::iter::from_fn(move || match (short.peek(), long.peek()) {
            (Some((a, _)), Some((b, _))) if b.0 < a.0 => long.next(),
            (Some(_), _) => short.next(),
            (None, _) => long.next(),
        })
    }
}

/// Looks a number up in many tables side by side and forgets what it finds: the waits for memory of one table pass while
/// the next ones are asked, so that looking it up again in each of them does not wait. Prefixes of up to 16 characters.
pub fn warm<'a, V: 'a>(tables: impl IntoIterator<Item = &'a PrefixTable<V>>, number: Packed) {
    let key = u64::of(number.0);
    let mut places: SmallVec<[(&Tier<u64, V>, usize); 32]> =
        tables.into_iter().map(|table| (&table.short, 0)).collect();
    let deepest = places.iter().map(|(tier, _)| tier.levels.len()).max().unwrap_or(0);
    for level in 1..deepest {
        for (tier, at) in &mut places {
            let (Some(from), Some(to)) = (tier.levels.get(level - 1), tier.levels.get(level)) else {
                continue;
            };
            let keys = tier.index.get(*from as usize..*to as usize).unwrap_or_default();
            *at = last_not_above::<KEYS, _>(keys, *at, |k| *k <= key);
        }
    }
    for (tier, at) in &mut places {
        *at = last_not_above::<ENTRIES, _>(&tier.entries, *at, |e| e.key <= key);
    }
    // Two ancestors are what a number needs as a rule.
    for _ in 0..2 {
        for (tier, at) in &mut places {
            if let Some(entry) = tier.entries.get(*at).filter(|e| !is_prefix(e.key.packed(), number.0)) {
                *at = entry.parent as usize;
            }
        }
    }
    std::hint::black_box(places.iter().fold(0usize, |sum, (_, at)| sum.wrapping_add(*at)));
}

/// A number in the form that tables search by: its leading characters.
#[derive(Clone, Copy, Debug)]
pub struct Packed(u128);

impl Packed {
    pub fn of(digits: &str) -> Packed {
        Packed(pack_number(digits))
    }
}

/// Tables are bounded far below 2³² entries by memory; a larger one would be cut, never misread.
fn index_or_none(i: Option<usize>) -> u32 {
    i.and_then(|i| u32::try_from(i).ok()).unwrap_or(NO_PARENT)
}

/// A prefix that matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

impl Matched {
    /// Gives the text to `f` without allocating it.
    pub fn with_text<R>(self, f: impl FnOnce(&str) -> R) -> R {
        let mut text = [0; MAX_PREFIX + 1];
        let mut length = 0;
        for (place, i) in text.iter_mut().zip(0..self.len()) {
            *place = match (self.0 >> (124 - 4 * i)) & 0xf {
                11 => b'*',
                12 => b'#',
                n => b'0' + u8::try_from(n).unwrap_or(1).saturating_sub(1),
            };
            length += 1;
        }
        f(std::str::from_utf8(&text[..length]).unwrap_or_default())
    }
}

impl std::fmt::Display for Matched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl std::str::FromStr for Matched {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Matched, PrefixError> {
        pack_prefix(text).map(Matched)
    }
}

impl Serialize for Matched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Matched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Matched, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
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
        let long = "1234567890123456789";
        let t = table(&[long, "12345678901234567", "1234567890123456", "12", "123", "2"]);
        let all: Vec<_> = t.matches("12345678901234567890").map(|(m, _)| m.len()).collect();
        assert_eq!(all, [19, 17, 16, 3, 2]);
        let listed: Vec<_> = t.iter().map(|(m, v)| (m.to_string() == *v).then(|| m.len())).collect();
        assert_eq!(listed, [2, 3, 16, 17, 19, 1].map(Some), "in order of the prefixes");
        assert_eq!(t.longest("1234567890123456780").map(|(m, _)| m.len()), Some(17));
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
        for round in 0..200 {
            // Some tables of one block, some of three levels, some with prefixes in the second tier.
            let (count, longest) = [(10, 7), (50, 7), (700, 8), (300, 20)][round % 4];
            let prefixes: Vec<String> = (0..count).map(|_| random_digits(longest)).collect();
            let refs: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let t = table(&refs);
            for _ in 0..50 {
                let number = random_digits(24);
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
