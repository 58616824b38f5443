//! The load of the machine's processors.

use std::fs;

/// Processor time of the whole machine since it booted, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    idle: u64,
    all: u64,
}

impl Ticks {
    /// Returns the current value, or `None` if the kernel does not report it.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Parses the first line, which sums up all processors: user, nice, system, idle, iowait, irq,
    /// softirq, steal.
    fn parse(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
        let ticks: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().sum() })
    }

    /// Returns the share of the time since `began` in which the processors were busy, with whatever
    /// work.
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more precision")]
    pub(super) fn busy_since(self, began: Self) -> f64 {
        let all = self.all.saturating_sub(began.all);
        let idle = self.idle.saturating_sub(began.idle).min(all);
        (all - idle) as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_neither_idle_nor_iowait_is_busy() {
        let began = Ticks::parse("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2").expect("ticks");
        let ended = Ticks::parse("cpu  130 0 120 740 105 0 5 0 90 0\n").expect("ticks");
        assert!((ended.busy_since(began) - 0.55).abs() < 1e-9);
        assert!(began.busy_since(began).abs() < 1e-9);
        assert_eq!(Ticks::parse("intr 1 2"), None);
    }

    #[test]
    fn this_machine_reports_its_processor_time() {
        assert!(Ticks::now().is_some());
    }
}
