//! What a process has cost so far, by the kernel's books.

use serde::Serialize;

/// CPU time and memory of one process.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Usage {
    pub(crate) name: String,
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Largest resident set, bytes.
    pub(crate) peak_rss: u64,
}

/// Clock ticks per second of `/proc/PID/stat`; 100 on every Linux.
const TICKS: f64 = 100.0;

/// The books of a running process.
pub(crate) fn usage(name: &str, pid: u32) -> anyhow::Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak_kb: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    Ok(Usage {
        name: name.to_owned(),
        cpu_seconds: cpu(pid).unwrap_or(0.0),
        peak_rss: peak_kb * 1024,
    })
}

fn cpu(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may hold anything; utime and stime are fields 14, 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS)
}

/// CPU time of all processes with this command name: for servers that run under a keeper.
pub(crate) fn cpu_by_name(name: &str) -> f64 {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return 0.0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.trim() == name)
        })
        .filter_map(cpu)
        .sum()
}
