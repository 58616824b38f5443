//! Draws the progress: in a terminal, a line that is redrawn; elsewhere, a line for each change.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Number of cells of a gauge.
const CELLS: u8 = 20;
/// The maximum interval between lines without a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// The difference, in percentage points, up to which the observed weight counts as equal to the
/// desired one.
const NEAR: f64 = 5.0;

/// The values to draw.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauges {
    /// Time since the push.
    pub(super) elapsed: Duration,
    /// The Rollout's phase.
    pub(super) phase: String,
    /// The progress as text; can be empty.
    pub(super) step: String,
    /// The desired weight, on the route, in percent.
    pub(super) desired: u64,
    /// The observed weight, in percent.
    pub(super) observed: f64,
    /// Number of requests that failed.
    pub(super) failed: u64,
    /// Number of requests.
    pub(super) requests: u64,
}

/// Where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    Terminal,
    Plain,
}

/// The standard output.
#[derive(Debug)]
pub(super) struct Screen {
    surface: Surface,
    drawn: Option<(Gauges, bool)>,
}

impl Screen {
    /// Returns the standard output, as a terminal if it is one.
    pub(super) fn new() -> Self {
        let surface = if io::stdout().is_terminal() { Surface::Terminal } else { Surface::Plain };
        Self { surface, drawn: None }
    }

    /// Prints one or more lines.
    pub(super) fn say(&mut self, text: &str) {
        self.end();
        put(&format!("{text}\n"));
    }

    /// Begins an act.
    pub(super) fn title(&mut self, title: &str, what: &str) {
        let (bold, plain) = if self.surface == Surface::Terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.say(&format!("\n{bold}{title}{plain}\n  {what}"));
        self.drawn = None;
    }

    /// Prints a line during a drawing; the drawing continues below it.
    pub(super) fn note(&mut self, text: &str) {
        if self.surface == Surface::Terminal && self.drawn.is_some() {
            put("\r\x1b[2K");
        }
        put(&format!("  {text}\n"));
    }

    /// Updates the drawing.
    pub(super) fn draw(&mut self, now: &Gauges) {
        let arrived = near(now);
        match (self.surface, &self.drawn) {
            (Surface::Terminal, last) => {
                // The line of the previous weight remains.
                let moved = last.as_ref().is_some_and(|(last, _)| last.desired != now.desired);
                put(&format!("{}\r\x1b[2K{}", if moved { "\n" } else { "" }, line(now, true)));
            }
            (Surface::Plain, Some((last, had_arrived)))
                if last.desired == now.desired
                    && last.phase == now.phase
                    && (*had_arrived || !arrived)
                    && now.elapsed < last.elapsed + PLAIN_EVERY =>
            {
                return;
            }
            (Surface::Plain, _) => put(&format!("{}\n", line(now, false))),
        }
        self.drawn = Some((now.clone(), arrived));
    }

    /// Ends the drawing.
    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() && self.surface == Surface::Terminal {
            put("\n");
        }
    }
}

/// Returns whether the observed weight is near the desired one.
fn near(now: &Gauges) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "a percentage")]
    let desired = now.desired as f64;
    (now.observed - desired).abs() <= NEAR
}

/// Returns a line with the desired weight and the observed one.
fn line(now: &Gauges, bars: bool) -> String {
    let bar = |percent: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20 cells")]
        let full =
            ((percent.clamp(0.0, 100.0) / 100.0 * f64::from(CELLS)).round() as usize).min(CELLS.into());
        if bars {
            format!(" {}{}", "█".repeat(full), "░".repeat(usize::from(CELLS) - full))
        } else {
            String::new()
        }
    };
    #[allow(clippy::cast_precision_loss, reason = "a percentage")]
    let desired = now.desired as f64;
    format!(
        "  {:5.1} s  {:<12} {:<4} desired {desired:>3.0} %{}  observed {:>3.0} %{}  {} failed of {}",
        now.elapsed.as_secs_f64(),
        now.phase,
        now.step,
        bar(desired),
        now.observed,
        bar(now.observed),
        now.failed,
        now.requests
    )
}

/// Prints and flushes. A closed output is not an error.
fn put(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_desired_and_the_observed_weight() {
        let now = Gauges {
            elapsed: Duration::from_millis(12_300),
            phase: "Stepping".into(),
            step: "2/3".into(),
            desired: 25,
            observed: 24.4,
            failed: 1,
            requests: 1200,
        };
        assert_eq!(
            line(&now, false),
            "   12.3 s  Stepping     2/3  desired  25 %  observed  24 %  1 failed of 1200"
        );
        let drawn = line(&now, true);
        assert_eq!(drawn.matches('█').count(), 10);
        assert_eq!(drawn.matches('░').count(), 30);
        assert!(near(&now));
        assert!(!near(&Gauges { desired: 50, ..now }));
    }
}
