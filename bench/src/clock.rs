//! Time of small things, and memory that is free.

use crate::Outcome;
use std::hint::black_box;

/// CPU nanoseconds for each of `count` calls of `work`, on this thread: the middle one of three rounds, which a
/// disturbance does not move.
pub fn nanoseconds<T>(count: usize, mut work: impl FnMut(usize) -> T) -> f64 {
    let mut rounds = [0.0; 3];
    for round in &mut rounds {
        let start = seconds_of(libc::CLOCK_THREAD_CPUTIME_ID);
        for i in 0..count {
            black_box(work(i));
        }
        *round = (seconds_of(libc::CLOCK_THREAD_CPUTIME_ID) - start) * 1e9 / count.max(1) as f64;
    }
    rounds.sort_by(f64::total_cmp);
    rounds[1]
}

/// CPU nanoseconds of one piece of work on this thread.
pub fn nanoseconds_once<T>(work: impl FnOnce() -> T) -> f64 {
    let start = seconds_of(libc::CLOCK_THREAD_CPUTIME_ID);
    black_box(work());
    (seconds_of(libc::CLOCK_THREAD_CPUTIME_ID) - start) * 1e9
}

/// By way of the C library, because valgrind knows no other.
fn seconds_of(clock: libc::clockid_t) -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is writable for the time of the call; both clocks are always there, so it cannot fail.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// CPU seconds of this process so far, in the kernel and out of it.
pub fn cpu_seconds() -> f64 {
    seconds_of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Bytes that are free for new programs.
pub fn memory_available() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:")).ok_or("meminfo")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
