//! Prints lines: redrawn in place in a terminal, one after the other elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use super::{text::cut, tree::Paint};

/// Standard output.
pub(super) struct Screen {
    terminal: bool,
    drawn: bool,
    last: String,
}

impl Screen {
    /// Creates a screen for standard output.
    pub(super) fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), drawn: false, last: String::new() }
    }

    /// Returns whether lines can be redrawn.
    pub(super) fn redraws(&self) -> bool {
        self.terminal
    }

    /// Returns whether output is colored: in a terminal, unless `NO_COLOR` is set.
    pub(super) fn paint(&self) -> Paint {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if self.terminal && !plain { Paint::Color } else { Paint::Plain }
    }

    /// Replaces the lines on the screen; lines that do not fit the height of the terminal are left
    /// out.
    pub(super) fn redraw(&mut self, lines: &[String]) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let (columns, rows) =
            size.map_or((0, 0), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let mut out = io::stdout().lock();
        out.write_all(frame(lines, columns, rows, !self.drawn).as_bytes())?;
        self.drawn = true;
        out.flush()
    }

    /// Prints a line, unless it equals the previous line.
    pub(super) fn line(&mut self, stamp: &str, line: String) -> io::Result<()> {
        if line == self.last {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{stamp}  {line}")?;
        self.last = line;
        out.flush()
    }
}

/// Returns the control sequence that draws the lines from the top left corner and clears the rest
/// of each line and of the screen. Unchanged text does not flicker. A size of 0 is unknown and cuts
/// nothing.
fn frame(lines: &[String], columns: usize, rows: usize, first: bool) -> String {
    let mut frame = if first { "\x1b[2J\x1b[H".to_owned() } else { "\x1b[H".to_owned() };
    let room = if rows == 0 { lines.len() } else { rows.saturating_sub(1) };
    for line in lines.iter().take(room) {
        // Cutting a colored line could drop its reset code; colored lines are short.
        let fits = columns == 0 || line.contains('\x1b');
        frame.push_str(&if fits { line.clone() } else { cut(line, columns) });
        frame.push_str("\x1b[K\n");
    }
    frame.push_str("\x1b[J");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_clears_the_rest_of_the_screen_and_fits_the_terminal() {
        let lines = ["first line".to_owned(), "second".to_owned(), "third".to_owned()];
        assert_eq!(frame(&lines, 6, 3, true), "\x1b[2J\x1b[Hfirst…\x1b[K\nsecond\x1b[K\n\x1b[J");
        assert_eq!(frame(&lines[..1], 0, 0, false), "\x1b[Hfirst line\x1b[K\n\x1b[J");
    }
}
