//! One bar: a figure and the bound it must keep.

use std::fmt::Write;

/// Which side of its bound a figure must be on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// At most the bound.
    AtMost,
    /// At least the bound.
    AtLeast,
    /// Less than the bound.
    Below,
}

/// A figure and its bound.
#[derive(Clone, PartialEq, Debug)]
pub struct Bar {
    /// What kind of figure it is, such as `latency`.
    pub group: &'static str,
    /// What was measured.
    pub name: String,
    /// The figure; `None` where it could not be measured, which is no pass.
    pub figure: Option<f64>,
    /// Which side of the bound it must be on.
    pub side: Side,
    /// The bound.
    pub bound: f64,
    /// What the figure is of.
    pub unit: &'static str,
    /// What it comes from, for people.
    pub note: String,
}

impl Bar {
    /// Whether the figure keeps its bound.
    pub fn passes(&self) -> bool {
        self.figure.is_some_and(|figure| match self.side {
            Side::AtMost => figure <= self.bound,
            Side::AtLeast => figure >= self.bound,
            Side::Below => figure < self.bound,
        })
    }

    /// The bound as text, such as `≤ 0.88`.
    pub fn wanted(&self) -> String {
        let sign = match self.side {
            Side::AtMost => "≤",
            Side::AtLeast => "≥",
            Side::Below => "<",
        };
        format!("{sign} {}", number(self.bound))
    }

    /// The figure as text.
    pub fn found(&self) -> String {
        self.figure.map_or("not measured".into(), number)
    }
}

/// Three digits, or as many as an integer has.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        x if x < 1e-3 => format!("{value:.1e}"),
        x if x < 1.0 => format!("{value:.3}"),
        x if x < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// One line per bar and how many are reached.
pub fn table(bars: &[Bar]) -> String {
    let mut out = String::new();
    let width = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
    for bar in bars {
        let verdict = if bar.passes() { "pass" } else { "FAIL" };
        let (name, found, wanted) = (&bar.name, bar.found(), bar.wanted());
        let Bar { group, unit, note, .. } = bar;
        let line =
            format!("{verdict}  {group:<9} {name:<width$} {found:>12}  {wanted:<8} {unit}  {note}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let n_reached = bars.iter().filter(|bar| bar.passes()).count();
    let _ = writeln!(out, "{n_reached} of {} bars reached", bars.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(figure: Option<f64>, side: Side) -> Bar {
        let (name, note) = ("resnet18".to_string(), String::new());
        Bar { group: "latency", name, figure, side, bound: 1.0, unit: "x", note }
    }

    #[test]
    fn a_bar_is_kept_on_its_side_only() {
        assert!(bar(Some(1.0), Side::AtMost).passes() && !bar(Some(1.1), Side::AtMost).passes());
        assert!(bar(Some(1.0), Side::AtLeast).passes() && !bar(Some(0.9), Side::AtLeast).passes());
        assert!(!bar(Some(1.0), Side::Below).passes());
        assert!(!bar(None, Side::AtMost).passes());
        assert!(!bar(Some(f64::NAN), Side::AtMost).passes());
    }

    #[test]
    fn the_table_has_figure_bound_and_verdict() {
        let text = table(&[bar(Some(0.8765), Side::Below), bar(None, Side::AtLeast)]);
        let expected = "pass  latency   resnet18        0.876  < 1.00   x\n\
                        FAIL  latency   resnet18 not measured  ≥ 1.00   x\n\
                        1 of 2 bars reached\n";
        assert_eq!(text, expected);
    }
}
