//! What threads and processes use, as `/proc` tells it: CPU time and memory.
//!
//! Invariant U-1: CPU time is the scheduler's own count in nanoseconds; the ticks of `/proc/<pid>/stat` are too coarse for a round.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a bench, and each binary uses a part"
)]

use std::{path::Path, time::Duration};

/// Returns the CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    run_time(Path::new("/proc/thread-self")).expect("this thread is there")
}

/// Returns the CPU time of all threads that a process has now; none stands for this one.
pub(crate) fn process_cpu(pid: Option<u32>) -> Duration {
    let threads = std::fs::read_dir(folder(pid) + "/task").expect("the process is there");
    // A thread may end between the listing and the look at it.
    threads
        .filter_map(|thread| run_time(&thread.ok()?.path()))
        .sum()
}

fn run_time(thread: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    let ns = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}

/// Returns the numbers of a process's threads whose name begins so.
pub(crate) fn threads(pid: u32, name: &str) -> Vec<i32> {
    let threads = std::fs::read_dir(folder(Some(pid)) + "/task").expect("the process is there");
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?;
            let named = std::fs::read_to_string(thread.path().join("comm")).ok()?;
            let number = thread.file_name().into_string().ok()?.parse().ok()?;
            named.starts_with(name).then_some(number)
        })
        .collect()
}

/// Returns the bytes of a process that are in memory.
pub(crate) fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// Returns the most bytes that were in memory since [`reset_peak`].
pub(crate) fn peak(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// Has the peak start at what is in memory now.
pub(crate) fn reset_peak(pid: u32) {
    std::fs::write(folder(Some(pid)) + "/clear_refs", "5").unwrap();
}

fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(folder(Some(pid)) + "/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

fn folder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"))
}
