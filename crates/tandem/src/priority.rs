//! Threads that hold up calls and audio when they wait go before others, where the system allows it.

/// Niceness of such threads: on a busy machine it decides who gets a processor first, not whether the others get one.
const NICENESS: i32 = -10;

/// The calling thread goes before others from now on. Ordinary users may not do that; then all stays as it is.
pub fn go_first() {
    // Linux counts niceness by thread, and no id means the calling one.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    #[test]
    fn only_the_calling_thread_goes_first() {
        let niceness = || getpriority_process(None).unwrap();
        let before = niceness();
        let raised = std::thread::spawn(move || {
            super::go_first();
            niceness()
        });
        let raised = raised.join().unwrap();
        assert!(raised == super::NICENESS || raised == before, "{raised}");
        assert_eq!(niceness(), before);
    }
}
