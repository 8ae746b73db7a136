//! Storage with keys that never mean another entry: transactions and legs refer to each other by key, and a
//! timer may outlive what it was set for. Iteration goes by place, so that it is the same in every run.

/// Place in the low half, generation in the high half. Generations start at 1, so no key is 0.
pub(crate) type Key = u64;

#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { entries: Vec::new(), free: Vec::new(), len: 0 }
    }
}

fn split(key: Key) -> (usize, u32) {
    let place = usize::try_from(key & 0xffff_ffff).unwrap_or(usize::MAX);
    (place, u32::try_from(key >> 32).unwrap_or(0))
}

impl<T> Slab<T> {
    /// The key the next `insert` will return, for entries that must know their own.
    pub fn next_key(&self) -> Key {
        match self.free.last() {
            Some(&place) => {
                let generation = self.entries.get(place as usize).map_or(1, |e| e.0);
                u64::from(generation) << 32 | u64::from(place)
            }
            None => 1 << 32 | self.entries.len() as u64,
        }
    }

    /// Uses up the next key without storing anything under it.
    pub fn skip_key(&mut self) {
        match self.free.last().and_then(|&place| self.entries.get_mut(place as usize)) {
            Some(entry) => entry.0 = entry.0.wrapping_add(1).max(1),
            None => {
                self.free.push(u32::try_from(self.entries.len()).unwrap_or(0));
                self.entries.push((2, None));
            }
        }
    }

    pub fn insert(&mut self, value: T) -> Key {
        let key = self.next_key();
        self.len += 1;
        match self.free.pop() {
            Some(place) => {
                if let Some(entry) = self.entries.get_mut(place as usize) {
                    entry.1 = Some(value);
                }
            }
            None => self.entries.push((1, Some(value))),
        }
        key
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        let (place, generation) = split(key);
        self.entries.get(place).filter(|e| e.0 == generation)?.1.as_ref()
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (place, generation) = split(key);
        self.entries.get_mut(place).filter(|e| e.0 == generation)?.1.as_mut()
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (place, generation) = split(key);
        let entry = self.entries.get_mut(place).filter(|e| e.0 == generation)?;
        let value = entry.1.take()?;
        entry.0 = entry.0.wrapping_add(1).max(1);
        self.free.push(u32::try_from(place).unwrap_or(0));
        self.len -= 1;
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries.iter().enumerate().filter_map(|(place, (generation, value))| {
            Some((u64::from(*generation) << 32 | place as u64, value.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing() {
        let mut slab = Slab::default();
        let expected = slab.next_key();
        let a = slab.insert("a");
        assert_eq!(a, expected);
        assert_eq!(slab.remove(a), Some("a"));
        let b = slab.insert("b");
        assert_ne!(a, b);
        assert_eq!((slab.get(a), slab.get(b), slab.len()), (None, Some(&"b"), 1));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.iter().collect::<Vec<_>>(), vec![(b, &"b")]);
    }
}
