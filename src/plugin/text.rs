//! Formatting of tables, durations, times and numbers.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// Returns rows as lines, each column as wide as its widest cell. Empty rows are left out.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let gap = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(gap))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().filter(|row| !row.is_empty()).map(line).collect()
}

/// Returns a row of a table.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Formats a duration as kubectl formats ages: the two largest units, down to seconds.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: i64, a: &str, small: i64, b: &str| {
        if small == 0 { format!("{large}{a}") } else { format!("{large}{a}{small}{b}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => two(minutes, "m", seconds % 60, "s"),
        (0, ..) => two(hours, "h", minutes, "m"),
        _ => two(days, "d", hours, "h"),
    }
}

/// Formats the time since `then`; `-` if it is unknown.
pub(super) fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "-".to_owned(), |then| span(now.duration_since(then)))
}

/// Formats a time in UTC; the date is left out if it is today.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let form = if at.date() == now.date() { "%H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%SZ" };
    at.strftime(form).to_string()
}

/// Formats a number with at most five significant digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole = if size < 1.0 { 0 } else { format!("{size:.0}").len() };
    let text = format!("{value:.*}", 5_usize.saturating_sub(whole));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Cuts a text to a width; an ellipsis marks the cut.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (286, "4m46s"),
            (3600, "1h"),
            (3660, "1h1m"),
            (86_400 * 3 + 7200, "3d2h"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn numbers_are_short_and_keep_their_order_of_magnitude() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.794_236_115, "0.79424"),
            (0.05, "0.05"),
            (12.345_678, "12.346"),
            (123_456.0, "123456"),
            (0.000_012_3, "1.230e-5"),
            (-0.5, "-0.5"),
            (2e12, "2.000e12"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_spaces() {
        let rows = [row(["NAME", "PHASE"]), row(["a-long-name", "Stable"]), row(["b", ""])];
        assert_eq!(table(&rows), ["NAME         PHASE", "a-long-name  Stable", "b"]);
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let now: Timestamp = "2026-03-02T00:00:10Z".parse().unwrap();
        assert_eq!(clock(now, now), "00:00:10Z");
        assert_eq!(clock("2026-03-01T23:59:59Z".parse().unwrap(), now), "2026-03-01 23:59:59Z");
    }
}
