//! Whether tasks write different elements.
//!
//! An index is read as a number in mixed radix, `Σ stride · digit`. Where the smaller digits cannot
//! reach the larger strides, equal indices have equal digits, and a digit that is a grid axis, or a
//! sum whose own digits are, tells the task. Sums that guards bound are digits too.

use std::collections::{BTreeMap, BTreeSet};

use tracelift_scalar::{Guard, IndexTerm};
use tracelift_tensor::DType;

use super::{
    Rule, Verifier,
    interval::Interval,
    place_in_region,
    range::value_ranges,
    region::{Linear, Region},
};
use crate::{AxisId, BufferId, BufferKind, Inst, Kernel, Place, Stmt, Tile};

/// Whether no two tasks of a verified kernel provably write the same element of an output.
///
/// False means that it could not be shown, not that tasks collide.
pub fn proves_disjoint_writes(kernel: &Kernel) -> bool {
    if kernel.n_tasks() <= 1 {
        return true;
    }
    let writes = writes(kernel);
    writes.iter().enumerate().all(|(k, a)| {
        writes[k..].iter().filter(|b| a.buffer == b.buffer).all(|b| tells_the_task(kernel, a, b))
    })
}

/// Reports stores that every task of some axis surely makes to one element.
pub(super) fn check_overlap(verifier: &mut Verifier) {
    let kernel = verifier.kernel;
    if kernel.n_tasks() <= 1 {
        return;
    }
    for write in writes(kernel).iter().filter(|w| w.is_certain) {
        let silent =
            |axis: &&AxisId| kernel.axes[**axis].extent > 1 && !write.mentioned.contains(*axis);
        for axis in kernel.grid.iter().filter(silent) {
            let message = || {
                let (axis, buffer) = (&kernel.axes[*axis].name, &kernel.buffers[write.buffer].name);
                format!("tasks that differ in {axis} write the same element of %{buffer}")
            };
            verifier.place = vec![format!("%{}", write.inst)];
            verifier.require(false, Rule::Overlap, message);
        }
    }
    verifier.place.clear();
}

/// A store to an output.
struct Write {
    inst: usize,
    buffer: BufferId,
    index: Linear,
    region: Region,
    /// Axes that decide where it goes or whether it happens.
    mentioned: Vec<AxisId>,
    /// Whether it happens for some point whatever the data and the task.
    is_certain: bool,
}

/// Every store to an output that may happen.
fn writes(kernel: &Kernel) -> Vec<Write> {
    let mut out = Vec::new();
    if kernel.n_tasks() > 0 {
        walk(kernel, &kernel.body, &mut Vec::new(), &mut out);
    }
    out
}

fn walk(kernel: &Kernel, stmts: &[Stmt], guards: &mut Vec<Guard>, out: &mut Vec<Write>) {
    for stmt in stmts {
        let n_guards = guards.len();
        match stmt {
            Stmt::For { axis, body } if kernel.axes[*axis].extent > 0 => {
                walk(kernel, body, guards, out);
            }
            Stmt::For { .. } => {}
            Stmt::If { guards: more, body } => {
                guards.extend(more.iter().cloned());
                walk(kernel, body, guards, out);
            }
            Stmt::Tile(tile) => tile_writes(kernel, tile, guards, out),
        }
        guards.truncate(n_guards);
    }
}

fn tile_writes(kernel: &Kernel, tile: &Tile, outer: &[Guard], out: &mut Vec<Write>) {
    let is_empty = |axis: &AxisId| kernel.axes[*axis].extent == 0;
    if is_empty(&tile.rows) || is_empty(&tile.columns) {
        return;
    }
    let axes: Vec<Interval> =
        kernel.axes.iter().map(|a| Interval::of_extent(a.extent.max(1))).collect();
    let buffer_dtypes: Vec<DType> = kernel.buffers.iter().map(|b| b.dtype).collect();
    let around = Region::new(axes.clone(), outer);
    let ranges = value_ranges(tile, &tile.dtypes(&buffer_dtypes), &around);
    for (k, inst) in tile.insts.iter().enumerate() {
        let Inst::Store { place, guards, condition, .. } = inst else { continue };
        let skipped = tile.body().contains(&k) && tile.loops.iter().any(is_empty);
        if skipped || kernel.buffers[place.buffer].kind != BufferKind::Output {
            continue;
        }
        let all = || outer.iter().chain(guards);
        let (index, region) = place_in_region(tile, place, &ranges, axes.clone(), all());
        let extents = kernel.extents();
        out.push(Write {
            inst: k,
            buffer: place.buffer,
            index,
            region,
            mentioned: mentioned(place, all()),
            is_certain: condition.is_none()
                && place.dynamic.is_empty()
                && all().all(|g| g.decide(&extents) == Some(true)),
        });
    }
}

fn mentioned<'g>(place: &Place, guards: impl Iterator<Item = &'g Guard>) -> Vec<AxisId> {
    let mut out = Vec::new();
    super::collect_axes(&place.index, &mut out);
    guards.for_each(|g| super::collect_axes(&g.expr, &mut out));
    out
}

/// Whether equal indices of the two writes come from the same task.
fn tells_the_task(kernel: &Kernel, a: &Write, b: &Write) -> bool {
    if a.region.is_empty() || b.region.is_empty() {
        return true;
    }
    let mut comparison = Comparison { a, b, known: BTreeSet::new() };
    comparison.equal_sums(&a.index, &b.index, &Taken::new());
    kernel.grid.iter().all(|&axis| {
        let axis = IndexTerm::Axis(axis);
        let (x, y) = (a.region.term(&axis), b.region.term(&axis));
        comparison.known.contains(&axis) || (x == y && x.span() == 0)
    })
}

/// Sums that guards bound and that were taken out of an index, as terms with coefficients.
type Taken = BTreeSet<Vec<(IndexTerm, i128)>>;

/// Two writes, and what is known to be the same in both where they write the same element.
struct Comparison<'w> {
    a: &'w Write,
    b: &'w Write,
    known: BTreeSet<IndexTerm>,
}

impl Comparison<'_> {
    /// Learns from two sums being equal.
    fn equal_sums(&mut self, x: &Linear, y: &Linear, taken: &Taken) {
        let (x, y) = (&settled(&self.a.region, x), &settled(&self.b.region, y));
        let (digits_a, taken_a) = digits(&self.a.region, x, taken);
        let (mut digits_b, taken_b) = digits(&self.b.region, y, taken);
        let strides: BTreeSet<i128> = digits_a.keys().chain(digits_b.keys()).copied().collect();
        let strides: Vec<i128> = strides.into_iter().collect();
        let mut shift = y.constant - x.constant;
        for stride in strides.iter().rev() {
            digits_b.entry(*stride).or_default().constant += shift / stride;
            shift %= stride;
        }
        if shift != 0 {
            return;
        }
        let now_taken: Taken = taken_a.union(&taken_b).cloned().collect();
        let is_simpler = strides.len() > 1 || now_taken.len() > taken.len();
        let none = Linear::default();
        let digits = strides.iter().map(|s| {
            let [x, y] = [&digits_a, &digits_b].map(|d| d.get(s).unwrap_or(&none));
            (*s, x, y)
        });
        for (x, y) in self.separate(&digits.collect::<Vec<_>>()) {
            match x.terms.keys().next() {
                Some(term) if x.terms.len() == 1 && x == y => self.equal_term(term, &now_taken),
                Some(_) if x.terms.len() > 1 && is_simpler => self.equal_sums(x, y, &now_taken),
                _ => {}
            }
        }
    }

    /// The digits, given by ascending stride, that are equal if the sums are.
    ///
    /// The sums can be cut at a stride where both parts must be equal on their own: where the
    /// digits below cannot reach the greatest common divisor of the strides above, or where each
    /// stride above is beyond the reach of all below it.
    fn separate<'d>(
        &self,
        digits: &[(i128, &'d Linear, &'d Linear)],
    ) -> Vec<(&'d Linear, &'d Linear)> {
        let n_digits = digits.len();
        let reach: Vec<i128> = (0..n_digits).map(|at| self.reach(&digits[..at])).collect();
        let mut is_cut = vec![true; n_digits + 1];
        let (mut is_chain, mut step) = (true, 0);
        for at in (0..n_digits).rev() {
            step = gcd(step, digits[at].0);
            is_chain &= digits[at].0 > reach[at];
            is_cut[at] = is_chain || step > reach[at];
        }
        let alone = (0..n_digits).filter(|k| is_cut[*k] && is_cut[*k + 1]);
        alone.map(|k| (digits[k].1, digits[k].2)).collect()
    }

    /// Learns from a term being the same.
    fn equal_term(&mut self, term: &IndexTerm, taken: &Taken) {
        self.known.insert(term.clone());
        let (e, other) = match term {
            IndexTerm::Axis(_) => return,
            IndexTerm::Div(e, d) => (e, IndexTerm::Rem(e.clone(), *d)),
            IndexTerm::Rem(e, d) => (e, IndexTerm::Div(e.clone(), *d)),
        };
        if self.known.contains(&other) {
            self.equal_sums(&Linear::of(e), &Linear::of(e), taken);
        }
    }

    /// How far apart the sums of some digits can be.
    fn reach(&self, digits: &[(i128, &Linear, &Linear)]) -> i128 {
        let (mut x, mut y) = (Some(Linear::default()), Some(Linear::default()));
        for (stride, of_a, of_b) in digits {
            x = x.and_then(|sum| sum.plus(of_a, *stride));
            y = y.and_then(|sum| sum.plus(of_b, *stride));
        }
        match (x, y) {
            (Some(x), Some(y)) => self.a.region.bounds(&x).join(self.b.region.bounds(&y)).span(),
            _ => i128::MAX,
        }
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// The sum with terms that have one value only added to the constant.
fn settled(region: &Region, sum: &Linear) -> Linear {
    let mut out = sum.clone();
    out.terms.retain(|term, c| {
        let interval = region.term(term);
        if interval.span() == 0 {
            out.constant = out.constant.saturating_add(c.saturating_mul(interval.low));
        }
        interval.span() > 0
    });
    out
}

/// The digits of a sum by stride, and what is taken after: multiples of guarded sums that are not
/// taken yet come first, then single terms; the constant is left out.
fn digits(region: &Region, sum: &Linear, taken: &Taken) -> (BTreeMap<i128, Linear>, Taken) {
    let mut out: BTreeMap<i128, Linear> = BTreeMap::new();
    let mut taken = taken.clone();
    let mut rest = Linear { constant: 0, terms: sum.terms.clone() };
    let mut add = |factor: i128, digit: &Linear| {
        let at = out.entry(factor.abs()).or_default();
        *at = at.plus(digit, factor.signum()).expect("a digit is no larger than its sum");
    };
    let bounded = region.facts().iter().map(|fact| settled(region, &fact.sum).terms);
    for terms in bounded.filter(|terms| terms.len() > 1) {
        let bounded = Linear { constant: 0, terms: terms.clone() };
        let key: Vec<(IndexTerm, i128)> = terms.into_iter().collect();
        let (first, c) = &key[0];
        let factor = rest.terms.get(first).map_or(0, |k| k / c);
        let is_part = key.iter().all(|(t, c)| rest.terms.get(t) == Some(&(c * factor)));
        if is_part && !taken.contains(&key) {
            rest = rest.plus(&bounded, -factor).expect("a part of a sum is no larger");
            add(factor, &bounded);
            taken.insert(key);
        }
    }
    for (term, c) in rest.terms {
        add(c, &Linear { constant: 0, terms: BTreeMap::from([(term, 1)]) });
    }
    (out, taken)
}
