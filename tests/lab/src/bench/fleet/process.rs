//! The memory and processor time of a process (proc(5)).

use std::fs;
use std::path::Path;

use super::Error;
use crate::components::Part;

/// The kernel's clock ticks per second, as it shows them to programs.
const TICKS: f64 = 100.0;

/// A process on the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process(u32);

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Processor time, in seconds.
    pub(super) cpu: f64,
    /// Resident memory now, in MiB.
    pub(super) memory: f64,
    /// The most resident memory since the last [`Process::forget_peak`], in MiB.
    pub(super) peak: f64,
}

impl Process {
    /// Returns the process of Steelyard in a pod.
    pub(super) fn of_pod(pod: &str) -> Result<Self, Error> {
        let variable = format!("POD_NAME={pod}");
        Self::find(&format!("pod {pod}"), |pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes()).then_some(())
        })
    }

    /// Returns the process of a part of the lab whose state is in this directory.
    pub(super) fn of_part(part: Part, lab: &Path) -> Result<Self, Error> {
        // A path ends with its last component: lab `ci` is not lab `ci-2`.
        let lab = format!("{}/", lab.display());
        Self::find(part.name(), |pid| {
            let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            (program.file_name()? == part.name() && line.contains(&lab)).then_some(())
        })
    }

    fn find(what: &str, is: impl Fn(u32) -> Option<()>) -> Result<Self, Error> {
        let all = fs::read_dir("/proc").map_err(Error::file("/proc"))?;
        let mut pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.find(|pid| is(*pid).is_some()).map(Self).ok_or_else(|| Error::Process(what.to_owned()))
    }

    /// Returns what it has used.
    pub(super) fn usage(self) -> Result<Usage, Error> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.0);
            fs::read_to_string(&path).map_err(Error::file(path))
        };
        let usage = parse(&read("stat")?, &read("status")?);
        usage.ok_or_else(|| Error::Process(format!("id {}", self.0)))
    }

    /// Makes the peak of its memory what it uses now.
    pub(super) fn forget_peak(self) -> Result<(), Error> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, "5").map_err(Error::file(path))
    }
}

/// Parses `/proc/PID/stat` and `/proc/PID/status`.
fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name of the program, in parentheses, may contain spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let mebibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_ascii_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
    };
    // Fields 14 and 15: time in the program and in the kernel.
    let cpu = (ticks(11)? + ticks(12)?) / TICKS;
    Some(Usage { cpu, memory: mebibytes("VmRSS:")?, peak: mebibytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_in_the_program_and_in_the_kernel() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 99 1 1";
        let status = "Name:\ta\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(parse(stat, status), Some(Usage { cpu: 2.0, memory: 2.0, peak: 4.0 }));
        assert_eq!(parse(stat, "Name:\ta\n"), None, "a process that has ended has no memory");
    }

    #[test]
    fn this_process_has_used_memory() {
        let usage = Process(std::process::id()).usage().expect("this process");
        assert!(usage.memory > 0.0 && usage.peak >= usage.memory, "{usage:?}");
    }
}
