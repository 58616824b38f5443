//! Where lines go: redrawn in place in a terminal, one after the other elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use super::{text::cut, tree::Paint};

/// Standard output.
pub(super) struct Screen {
    terminal: bool,
    began: bool,
    last: String,
}

impl Screen {
    /// Standard output as it is.
    pub(super) fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), began: false, last: String::new() }
    }

    /// Whether lines can be redrawn.
    pub(super) fn redraws(&self) -> bool {
        self.terminal
    }

    /// Whether words may be coloured.
    pub(super) fn paint(&self) -> Paint {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if self.terminal && !plain { Paint::Colour } else { Paint::Plain }
    }

    /// Draws these lines over what was drawn before; the last of them are left out where the terminal is too low.
    pub(super) fn redraw(&mut self, lines: &[String]) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let (columns, rows) =
            size.map_or((0, 0), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let mut out = io::stdout().lock();
        out.write_all(frame(lines, columns, rows, !self.began).as_bytes())?;
        self.began = true;
        out.flush()
    }

    /// Prints a line, unless it says what the line before said.
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

/// What draws these lines: from the top left corner on, each line's rest and the screen's rest cleared. Nothing
/// flickers that stays the same. A size of 0 isn't known, and cuts nothing.
fn frame(lines: &[String], columns: usize, rows: usize, first: bool) -> String {
    let mut frame = if first { "\x1b[2J\x1b[H".to_owned() } else { "\x1b[H".to_owned() };
    let room = if rows == 0 { lines.len() } else { rows.saturating_sub(1) };
    for line in lines.iter().take(room) {
        // A line with colours is short; cut it would leave the colour on.
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
    fn a_frame_clears_what_it_does_not_draw_and_fits_the_terminal() {
        let lines = ["first line".to_owned(), "second".to_owned(), "third".to_owned()];
        assert_eq!(frame(&lines, 6, 3, true), "\x1b[2J\x1b[Hfirst…\x1b[K\nsecond\x1b[K\n\x1b[J");
        assert_eq!(frame(&lines[..1], 0, 0, false), "\x1b[Hfirst line\x1b[K\n\x1b[J");
    }
}
