//! The program as a library, so that tests, benchmarks and the thin `main` share it.

pub mod media_io;
