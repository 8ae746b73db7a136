//! The allocator of the program, with a count of what is in use.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use tikv_jemallocator::Jemalloc;

/// Counts for each thread, so that counting costs next to nothing; the parts that ask have one thread.
pub struct Counted;

thread_local! {
    static IN_USE: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: usize, sign: i64) {
    let _ = IN_USE.try_with(|n| n.set(n.get() + sign * i64::try_from(bytes).unwrap_or(0)));
}

/// Bytes that this thread has asked for and not given back.
pub fn in_use() -> i64 {
    IN_USE.with(Cell::get)
}

/// Bytes that `work` has asked for and keeps in what it returns.
pub fn kept<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = in_use();
    let value = work();
    (value, u64::try_from(in_use() - before).unwrap_or(0))
}

// SAFETY: everything is handed on to an allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        unsafe { Jemalloc.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { Jemalloc.dealloc(at, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted() {
        let (kept_bytes, bytes) = kept(|| {
            drop(vec![0u8; 5000]);
            let mut v: Vec<u8> = Vec::with_capacity(10);
            v.reserve_exact(1000);
            v
        });
        assert_eq!((kept_bytes.capacity() as u64, bytes), (1000, 1000));
    }
}
