//! What the kernel charged to a process: user and system time, to the nanosecond.
//!
//! Takes a process id; gives readings to subtract. `/proc/PID/task/*/schedstat` has the same
//! time as utime + stime in `/proc/PID/stat`, but not rounded down to ticks of 10 ms, which
//! would be a tenth of a block. The ticks are read beside it as a check on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use anyhow::Context;

/// `USER_HZ`: 100 on every architecture that Linux exports `/proc/PID/stat` on to users.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time of one process at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuReading {
    thread_nanos: BTreeMap<u32, u64>,
    ticks: u64,
}

impl CpuReading {
    /// Reads the process `pid`.
    ///
    /// # Errors
    /// When it has ended, or the kernel keeps no such record.
    pub(crate) fn take(pid: u32) -> anyhow::Result<Self> {
        let mut thread_nanos = BTreeMap::new();
        let tasks = format!("/proc/{pid}/task");
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {tasks}"))? {
            let path = task?.path().join("schedstat");
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
            };
            let nanos = text
                .split_whitespace()
                .next()
                .and_then(|field| field.parse().ok());
            let thread = path
                .parent()
                .and_then(|task| task.file_name()?.to_str()?.parse().ok());
            if let (Some(thread), Some(nanos)) = (thread, nanos) {
                thread_nanos.insert(thread, nanos);
            }
        }
        let stat = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&stat).with_context(|| format!("cannot read {stat}"))?;
        let ticks =
            ticks(&text).with_context(|| format!("cannot read utime and stime in {stat}"))?;
        Ok(Self {
            thread_nanos,
            ticks,
        })
    }

    /// The time charged between `earlier` and this reading.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let nanos = self.thread_nanos.iter().map(|(thread, now)| {
            now.saturating_sub(earlier.thread_nanos.get(thread).copied().unwrap_or(0))
        });
        Duration::from_nanos(nanos.sum())
    }

    /// The same from `/proc/PID/stat`: coarse, but it keeps the time of threads that have ended.
    pub(crate) fn ticks_since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

/// Fields 14 and 15 of proc_pid_stat(5), counted after the name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ticks_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 1 2 3 4 150 25 9 9 20 0 1 0 5 0 0";
        assert_eq!(ticks(stat), Some(175));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn counts_a_new_thread_whole_and_an_old_one_since_then() {
        let reading = |threads: &[(u32, u64)]| CpuReading {
            thread_nanos: threads.iter().copied().collect(),
            ticks: 0,
        };
        let earlier = reading(&[(1, 100), (2, 50)]);
        let now = reading(&[(1, 130), (3, 7)]);
        assert_eq!(now.since(&earlier), Duration::from_nanos(37));
    }

    #[test]
    fn sees_this_process_at_work() {
        let earlier = CpuReading::take(std::process::id()).unwrap();
        let mut sum = 0_u64;
        for n in 0..20_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(n));
        }
        // The record of a running thread is brought up to date when it gives way.
        std::thread::yield_now();
        let now = CpuReading::take(std::process::id()).unwrap();
        assert!(now.since(&earlier) > Duration::ZERO);
    }
}
