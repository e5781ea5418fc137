//! Where each kernel stands under the machine's roofline.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    extend,
    profile::{Launch, Profile, shortened},
};
use crate::table::Table;

/// The picture's size in characters.
const COLUMNS: usize = 64;
const ROWS: usize = 14;

/// The launches of one kernel together.
struct Position<'p> {
    name: &'p str,
    /// What the first launch computes.
    label: &'p str,
    n_launches: usize,
    us: f64,
    flops: f64,
    bytes: f64,
    compute_us: f64,
    memory_us: f64,
}

impl Position<'_> {
    fn gflops(&self) -> f64 {
        self.flops / self.us.max(1e-3) * 1e-3
    }

    /// Floating-point operations per byte.
    fn intensity(&self) -> f64 {
        self.flops / self.bytes.max(1.0)
    }

    fn bound(&self) -> &'static str {
        if self.compute_us >= self.memory_us { "compute" } else { "memory" }
    }

    fn roof_percent(&self) -> f64 {
        100.0 * self.compute_us.max(self.memory_us) / self.us.max(1e-3)
    }
}

/// The kernels by time, the slowest first.
fn positions(profile: &Profile) -> Vec<Position<'_>> {
    let mut of_kernel: BTreeMap<usize, Position<'_>> = BTreeMap::new();
    for launch in &profile.launches {
        let Launch { kernel, name, label, us, cost, compute_us, memory_us, .. } = launch;
        let position = of_kernel.entry(*kernel).or_insert(Position {
            name,
            label,
            n_launches: 0,
            us: 0.0,
            flops: 0.0,
            bytes: 0.0,
            compute_us: 0.0,
            memory_us: 0.0,
        });
        position.n_launches += 1;
        position.us += us;
        position.flops += cost.flops as f64;
        position.bytes += cost.bytes() as f64;
        position.compute_us += compute_us;
        position.memory_us += memory_us;
    }
    let mut list: Vec<Position<'_>> = of_kernel.into_values().collect();
    list.sort_by(|a, b| b.us.total_cmp(&a.us));
    list
}

/// One line per kernel, then a picture.
pub fn to_text(profile: &Profile) -> String {
    let list = positions(profile);
    let total = profile.total_us().max(1e-3);
    let mut table = Table::new([
        "",
        ">launches",
        ">µs",
        ">%",
        ">FLOP/B",
        ">GFLOP/s",
        "bound by",
        ">% of roof",
        "",
        "kernel",
        "first from",
    ]);
    for (k, p) in list.iter().enumerate() {
        table.row([
            letter(k).to_string(),
            p.n_launches.to_string(),
            format!("{:.1}", p.us),
            format!("{:.1}", 100.0 * p.us / total),
            format!("{:.2}", p.intensity()),
            format!("{:.1}", p.gflops()),
            p.bound().to_string(),
            format!("{:.0}", p.roof_percent()),
            bar(p.roof_percent()),
            p.name.to_string(),
            shortened(p.label),
        ]);
    }
    let points: Vec<(f64, f64)> = list.iter().map(|p| (p.intensity(), p.gflops())).collect();
    let machine = &profile.machine;
    let picture = picture(&points, machine.gflops, machine.values_gb_per_s);
    format!("{table}\n{picture}{}", machine.to_text())
}

/// The description of the program, the machine, and the kernels by time.
pub fn to_json(profile: &Profile) -> Value {
    let kernels: Vec<Value> = positions(profile)
        .iter()
        .map(|p| {
            json!({
                "kernel": p.name,
                "from": p.label,
                "launches": p.n_launches,
                "us": p.us,
                "flops": p.flops,
                "bytes": p.bytes,
                "intensity": p.intensity(),
                "gflops": p.gflops(),
                "bound": p.bound(),
                "roof_percent": p.roof_percent(),
            })
        })
        .collect();
    let mut out = profile.describe();
    extend(&mut out, json!({ "total_us": profile.total_us(), "kernels": kernels }));
    out
}

/// The kernel's sign in the picture: the first 52 have letters.
fn letter(k: usize) -> char {
    ('a'..='z').chain('A'..='Z').nth(k).unwrap_or('+')
}

/// Ten characters for 100 percent.
fn bar(percent: f64) -> String {
    let n_full = (percent / 10.0).round().clamp(0.0, 10.0) as usize;
    "█".repeat(n_full) + &"·".repeat(10 - n_full)
}

/// The points (operations per byte, 10⁹ operations per second) under the roof, both logarithmic.
fn picture(points: &[(f64, f64)], gflops: f64, gb_per_s: f64) -> String {
    let ridge = gflops / gb_per_s;
    // Three factors of four below and above the ridge, and as many below the peak.
    let (left, step_x) = (ridge.log2() - 6.0, 12.0 / (COLUMNS - 1) as f64);
    let (top, step_y) = (gflops.log2(), 7.0 / (ROWS - 1) as f64);
    let row_of = |value: f64| ((top - value.max(1e-9).log2()) / step_y).round();
    let mut rows = vec![vec![' '; COLUMNS]; ROWS];
    for column in 0..COLUMNS {
        let intensity = (left + column as f64 * step_x).exp2();
        let row = row_of((intensity * gb_per_s).min(gflops)) as usize;
        if let Some(line) = rows.get_mut(row) {
            line[column] = if intensity < ridge { '/' } else { '─' };
        }
    }
    // The slowest kernels come first and stay visible.
    for (k, (intensity, speed)) in points.iter().enumerate().rev() {
        let column = ((intensity.max(1e-9).log2() - left) / step_x).round();
        let column = column.clamp(0.0, (COLUMNS - 1) as f64) as usize;
        let row = row_of(*speed).clamp(0.0, (ROWS - 1) as f64) as usize;
        rows[row][column] = letter(k);
    }
    let mut out = String::from("GFLOP/s\n");
    for (k, row) in rows.iter().enumerate() {
        let label = (top - k as f64 * step_y).exp2();
        let line: String = row.iter().collect();
        out += format!("{label:>8.1} │{line}").trim_end();
        out.push('\n');
    }
    out += &format!("{:>8} └{}\n", "", "─".repeat(COLUMNS));
    let (first, last) = (left.exp2(), (left + 12.0).exp2());
    let middle = format!("{first:<8.2}{:>w$.1}", ridge, w = COLUMNS / 2 - 7);
    out + &format!("{:>10}{middle:<w$}{last:>8.0} FLOP/B\n", "", w = COLUMNS - 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_the_roof_and_the_kernels() {
        let text = picture(&[(10.0, 100.0), (0.5, 5.0)], 100.0, 10.0);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), ROWS + 3);
        // The first stands where the roof bends, the second below the slope.
        let at = |line: usize, sign: char| lines[line].chars().position(|c| c == sign);
        let margin = 10;
        assert_eq!(at(1, 'a'), Some(margin + 32));
        let row_b = lines.iter().position(|line| line.contains('b')).unwrap();
        let slope = at(row_b, '/');
        assert_eq!(at(row_b, 'b').zip(slope).map(|(b, roof)| b.abs_diff(roof) <= 1), Some(true));
        assert!(lines[1].ends_with('─') && lines[ROWS + 2].ends_with("FLOP/B"));
    }

    #[test]
    fn bars_are_ten_characters() {
        assert_eq!(bar(0.0), "··········");
        assert_eq!(bar(96.0), "██████████");
        assert_eq!(bar(250.0), "██████████");
        assert_eq!(bar(44.0), "████······");
    }
}
