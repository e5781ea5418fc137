//! Tables and sizes for people.

use std::fmt;

/// Rows of text under headings, aligned with spaces.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table; a heading that begins with `>` aligns its column to the right.
    pub fn new<const N: usize>(headings: [&'static str; N]) -> Table {
        Table { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.headings.len(), "a row has one cell per heading");
        self.rows.push(cells.map(printable).to_vec());
    }
}

/// Names come from files: a control character would reach the terminal.
fn printable(text: String) -> String {
    if text.contains(char::is_control) { text.escape_debug().to_string() } else { text }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = |h: &&'static str| h.trim_start_matches('>').to_string();
        let titles: Vec<String> = self.headings.iter().map(heading).collect();
        let lines = || std::iter::once(&titles).chain(&self.rows);
        let width =
            |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        for line in lines() {
            let mut text = String::from(" ");
            for ((cell, width), heading) in line.iter().zip(&widths).zip(&self.headings) {
                text += &match heading.starts_with('>') {
                    true => format!(" {cell:>width$}"),
                    false => format!(" {cell:<width$}"),
                };
                text.push(' ');
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes with a binary unit.
pub fn bytes(n: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let mut table = Table::new(["name", ">n"]);
        table.row(["a\u{1b}".into(), "1".into()]);
        table.row(["long name".into(), "100".into()]);
        let expected = "  name         n\n  a\\u{1b}      1\n  long name  100\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
