//! Which numbers may pass: allowed and denied prefixes, lengths, and lists of numbers (`RTE-3`, `RTE-10`).

use vocab::explain::{NumberFault, Whose};
use vocab::prefix::{MAX_PREFIX, PrefixError, pack_prefix, prefixes_of};

/// Rules for both numbers of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRules {
    pub caller: NumberRule,
    pub called: NumberRule,
}

/// Rules for one number; what is empty restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRule {
    pub allowed: Vec<String>,
    pub denied: Vec<String>,
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
}

impl NumberRules {
    /// The first fault of the two numbers, given by their digits.
    pub fn fault(&self, caller: &str, called: &str) -> Option<(Whose, NumberFault)> {
        let caller = self.caller.fault(caller).map(|fault| (Whose::Caller, fault));
        caller.or_else(|| self.called.fault(called).map(|fault| (Whose::Called, fault)))
    }
}

impl NumberRule {
    fn fault(&self, digits: &str) -> Option<NumberFault> {
        let length = u32::try_from(digits.len()).unwrap_or(u32::MAX);
        let begins = |list: &[String]| list.iter().any(|prefix| digits.starts_with(prefix.as_str()));
        if self.min_length.is_some_and(|min| length < min) {
            Some(NumberFault::TooShort)
        } else if self.max_length.is_some_and(|max| length > max) {
            Some(NumberFault::TooLong)
        } else if begins(&self.denied) {
            Some(NumberFault::Denied)
        } else if !self.allowed.is_empty() && !begins(&self.allowed) {
            Some(NumberFault::NotAllowed)
        } else {
            None
        }
    }
}

/// Millions of numbers, or beginnings of numbers, to be found in a moment. Packed and sorted: 8 bytes for each of up
/// to 16 digits.
#[derive(Clone, Debug, Default)]
pub struct NumberList {
    exact: Sorted,
    prefixes: Sorted,
    /// Bit n: there is a prefix of n characters.
    lengths: u32,
}

#[derive(Clone, Debug, Default)]
struct Sorted {
    short: Vec<u64>,
    long: Vec<u128>,
}

impl Sorted {
    fn push(&mut self, key: u128) {
        match u64::try_from(key >> 64) {
            Ok(high) if key << 64 == 0 => self.short.push(high),
            _ => self.long.push(key),
        }
    }

    fn finish(&mut self) {
        self.short.sort_unstable();
        self.short.dedup();
        self.long.sort_unstable();
        self.long.dedup();
        self.short.shrink_to_fit();
    }

    fn contains(&self, key: u128) -> bool {
        match u64::try_from(key >> 64) {
            Ok(high) if key << 64 == 0 => self.short.binary_search(&high).is_ok(),
            _ => self.long.binary_search(&key).is_ok(),
        }
    }

    fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }
}

/// One line of a list: a number, or with `*` at its end the beginning of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry<'a> {
    pub digits: &'a str,
    pub prefix: bool,
}

impl<'a> ListEntry<'a> {
    /// Reads `8801712345678` or `88017*`; a `+` in front is passed over.
    pub fn parse(text: &'a str) -> Result<ListEntry<'a>, PrefixError> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let (digits, prefix) = text.strip_suffix('*').map_or((text, false), |begin| (begin, true));
        let entry = ListEntry { digits, prefix };
        pack_prefix(digits).map(|_| entry)
    }
}

impl NumberList {
    pub fn build<'a>(entries: impl IntoIterator<Item = ListEntry<'a>>) -> Result<NumberList, PrefixError> {
        let mut list = NumberList::default();
        for entry in entries {
            list.add(entry)?;
        }
        list.finish();
        Ok(list)
    }

    /// Adds an entry; after the last one comes [`NumberList::finish`].
    pub fn add(&mut self, entry: ListEntry<'_>) -> Result<(), PrefixError> {
        let key = pack_prefix(entry.digits)?;
        if entry.prefix {
            self.prefixes.push(key);
            self.lengths |= 1 << entry.digits.len().min(MAX_PREFIX);
        } else {
            self.exact.push(key);
        }
        Ok(())
    }

    pub fn finish(&mut self) {
        self.exact.finish();
        self.prefixes.finish();
    }

    /// Is the number in the list, itself or by its beginning?
    pub fn contains(&self, digits: &str) -> bool {
        let exact = || pack_prefix(digits).is_ok_and(|key| self.exact.contains(key));
        let begins = || {
            prefixes_of(digits)
                .any(|(length, key)| self.lengths & (1 << length) != 0 && self.prefixes.contains(key))
        };
        exact() || (self.lengths != 0 && begins())
    }

    pub fn len(&self) -> usize {
        self.exact.len() + self.prefixes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_beginnings_are_found() {
        let lines =
            ["8801712345678", "88018*", "+4420", "12345678901234567890", "1234567890123456789*", "0*"];
        let list = NumberList::build(lines.iter().map(|l| ListEntry::parse(l).unwrap())).unwrap();
        assert_eq!(list.len(), 6);
        for (number, want) in [
            ("8801712345678", true),
            ("88017123456789", false),
            ("880171234567", false),
            ("88018", true),
            ("880181", true),
            ("8801", false),
            ("4420", true),
            ("44201", false),
            ("12345678901234567890", true),
            ("123456789012345678912", true),
            ("0049", true),
            ("", false),
        ] {
            assert_eq!(list.contains(number), want, "{number}");
        }
        assert!(!NumberList::default().contains("1"));
        let all = NumberList::build([ListEntry::parse("*").unwrap()]).unwrap();
        assert!(all.contains("1") && all.contains(""));
        for bad in ["88x", "8*8*x", "12 34", &"1".repeat(32)] {
            assert!(ListEntry::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_fault_is_named() {
        let text = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let called = NumberRule {
            allowed: text(&["880", "44"]),
            denied: text(&["88017"]),
            min_length: Some(4),
            max_length: Some(8),
        };
        let rules = NumberRules { called, ..NumberRules::default() };
        for (number, want) in [
            ("8802345", None),
            ("44123", None),
            ("440", Some(NumberFault::TooShort)),
            ("880234567", Some(NumberFault::TooLong)),
            ("8801712", Some(NumberFault::Denied)),
            ("4912345", Some(NumberFault::NotAllowed)),
        ] {
            assert_eq!(rules.fault("", number), want.map(|fault| (Whose::Called, fault)), "{number}");
        }
    }
}
