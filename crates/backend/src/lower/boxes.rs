//! Boxes: parts of a domain in each of which every condition on one axis is decided.
//!
//! A concatenation, a padding or a rotation that is computed inside its user reads from here up to
//! some position and from there after it. A kernel for each box has no test left in its loops.

use std::collections::BTreeSet;

use tracelift_ir::{Structure, Value};
use tracelift_scalar::{Guard, IndexExpr, IndexTerm};

use super::Lowering;

/// The most boxes of a domain; with more, conditions are tested.
const MAX_BOXES: usize = 12;
/// The fewest elements of a domain that is cut: little work is not worth several kernels.
const MIN_ELEMENTS: usize = 512;

impl Lowering<'_> {
    /// The boxes of a value that a kernel of its own computes: their first positions and extents.
    pub(super) fn boxes(&mut self, value: Value) -> Vec<(Vec<usize>, Vec<usize>)> {
        let dims = self.extents(value);
        let mut cuts: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); dims.len()];
        if self.count(value) >= MIN_ELEMENTS {
            let index: Vec<IndexExpr> = (0..dims.len()).map(IndexExpr::axis).collect();
            self.cuts_of(value, &index, &dims, &mut cuts);
        }
        let n_boxes: usize = cuts.iter().map(|cuts| cuts.len() + 1).product();
        if n_boxes > MAX_BOXES {
            cuts.iter_mut().for_each(BTreeSet::clear);
        }
        let mut out = vec![(Vec::new(), Vec::new())];
        for (cuts, &extent) in cuts.iter().zip(&dims) {
            let starts: Vec<usize> = [0].into_iter().chain(cuts.iter().copied()).collect();
            let ends = starts[1..].iter().copied().chain([extent]);
            let spans: Vec<(usize, usize)> = starts.iter().copied().zip(ends).collect();
            let with = |(at, dims): &(Vec<usize>, Vec<usize>), (start, end): (usize, usize)| {
                ([at.as_slice(), &[start]].concat(), [dims.as_slice(), &[end - start]].concat())
            };
            out = out.iter().flat_map(|b| spans.iter().map(move |span| with(b, *span))).collect();
        }
        out
    }

    /// Where conditions change that the definition of a value at an index tests.
    fn cuts_of(
        &mut self,
        value: Value,
        index: &[IndexExpr],
        dims: &[usize],
        cuts: &mut [BTreeSet<usize>],
    ) {
        let operands = self.graph.operands(value.node);
        let analysis = self.analysis;
        let mut reads: Vec<(Value, Vec<IndexExpr>)> = Vec::new();
        match analysis.structure(value.node) {
            Structure::Map(_) => reads.extend(operands.iter().map(|v| (*v, index.to_vec()))),
            Structure::Move(movement) => {
                let over = |e: &IndexExpr| e.substitute(&|a| index[a].clone(), dims);
                for piece in &movement.pieces {
                    for guard in &piece.guards {
                        add_cuts(
                            &Guard { expr: over(&guard.expr), extent: guard.extent },
                            dims,
                            cuts,
                        );
                    }
                    let at = piece.read.index.iter().map(over).collect();
                    reads.push((operands[piece.read.operand], at));
                }
            }
            _ => {}
        }
        for (operand, at) in reads {
            let is_leaf = self.is_in_memory(operand) || self.graph.splat(operand).is_some();
            if !is_leaf && analysis.is_pointwise(operand.node) {
                self.cuts_of(operand, &at, dims, cuts);
            }
        }
    }
}

/// The positions of an axis at which a condition on it alone begins or ceases to hold.
fn add_cuts(guard: &Guard, dims: &[usize], cuts: &mut [BTreeSet<usize>]) {
    let [(IndexTerm::Axis(axis), stride)] = guard.expr.terms.as_slice() else { return };
    let holds = |at: i64| (0..guard.extent).contains(&(stride * at + guard.expr.constant));
    // The first position at which `stride · at + constant` has reached a bound.
    let reaches = |bound: i64| {
        let distance = bound - guard.expr.constant;
        match *stride > 0 {
            true => distance.div_euclid(*stride) + i64::from(distance.rem_euclid(*stride) > 0),
            false => (-distance).div_euclid(-stride) + 1,
        }
    };
    for at in [0, guard.extent].map(reaches) {
        let is_inside = 0 < at && at < dims[*axis] as i64;
        if is_inside && holds(at - 1) != holds(at) {
            cuts[*axis].insert(at as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_do_not_change_between_cuts() {
        for stride in [-3, -1, 1, 2] {
            for constant in -9..9 {
                for extent in 1..9 {
                    let expr = IndexExpr::axis(0).scale(stride).offset(constant);
                    let guard = Guard { expr, extent };
                    let mut cuts = [BTreeSet::new()];
                    add_cuts(&guard, &[10], &mut cuts);
                    for at in 1..10 {
                        let changes = guard.holds(&[at - 1]) != guard.holds(&[at]);
                        assert_eq!(cuts[0].contains(&at), changes, "{guard:?} {at}");
                    }
                }
            }
        }
    }
}
