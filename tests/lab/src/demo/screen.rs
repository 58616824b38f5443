//! Drawing: in a terminal a line that is redrawn, elsewhere a plain line for each thing that changed.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Cells of a gauge.
const CELLS: u8 = 20;
/// Without a terminal, a line at least so often.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Points in percent by which clients' split may differ from the weight asked for to be told as having arrived.
const NEAR: f64 = 5.0;

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauges {
    /// Since the push.
    pub(super) elapsed: Duration,
    /// The Rollout's phase.
    pub(super) phase: String,
    /// The step of how many; may be empty.
    pub(super) step: String,
    /// The weight on the route, in percent.
    pub(super) asked: u64,
    /// The new version's share in the answers, in percent.
    pub(super) seen: f64,
    /// Requests that failed.
    pub(super) failed: u64,
    /// All requests.
    pub(super) requests: u64,
}

/// Where it is drawn.
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
    /// The standard output, as a terminal if it is one.
    pub(super) fn new() -> Self {
        let surface = if io::stdout().is_terminal() { Surface::Terminal } else { Surface::Plain };
        Self { surface, drawn: None }
    }

    /// Prints a line, or several.
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

    /// Prints a line while something is drawn; the drawing goes on below it.
    pub(super) fn note(&mut self, text: &str) {
        if self.surface == Surface::Terminal && self.drawn.is_some() {
            put("\r\x1b[2K");
        }
        put(&format!("  {text}\n"));
    }

    /// Draws.
    pub(super) fn draw(&mut self, now: &Gauges) {
        let arrived = near(now);
        match (self.surface, &self.drawn) {
            (Surface::Terminal, last) => {
                // The line of a weight that is over stays.
                let moved = last.as_ref().is_some_and(|(last, _)| last.asked != now.asked);
                put(&format!("{}\r\x1b[2K{}", if moved { "\n" } else { "" }, line(now, true)));
            }
            (Surface::Plain, Some((last, had_arrived)))
                if last.asked == now.asked
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

    /// Ends a drawing.
    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() && self.surface == Surface::Terminal {
            put("\n");
        }
    }
}

/// Whether clients see the weight that is asked for.
fn near(now: &Gauges) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "a percentage")]
    let asked = now.asked as f64;
    (now.seen - asked).abs() <= NEAR
}

/// One line: the weight asked for, and what clients see.
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
    let asked = now.asked as f64;
    format!(
        "  {:5.1} s  {:<12} {:<4} asked {asked:>3.0} %{}  clients see {:>3.0} %{}  {} failed of {}",
        now.elapsed.as_secs_f64(),
        now.phase,
        now.step,
        bar(asked),
        now.seen,
        bar(now.seen),
        now.failed,
        now.requests
    )
}

/// Prints at once. A reader that went away is no reason to stop.
fn put(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_is_asked_for_beside_what_clients_see() {
        let now = Gauges {
            elapsed: Duration::from_millis(12_300),
            phase: "Stepping".into(),
            step: "2/3".into(),
            asked: 25,
            seen: 24.4,
            failed: 1,
            requests: 1200,
        };
        assert_eq!(
            line(&now, false),
            "   12.3 s  Stepping     2/3  asked  25 %  clients see  24 %  1 failed of 1200"
        );
        let drawn = line(&now, true);
        assert_eq!(drawn.matches('█').count(), 10);
        assert_eq!(drawn.matches('░').count(), 30);
        assert!(near(&now));
        assert!(!near(&Gauges { asked: 50, ..now }));
    }
}
