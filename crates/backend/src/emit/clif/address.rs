//! Sums of axes: what is computed where.
//!
//! A place `base + Σ stride · axis + constant` becomes a [`Linear`] sum and a constant offset that
//! the instruction takes as an immediate. The part of a sum known at the depth of a loop is
//! computed once where that loop's body begins, and shared by all places that have it.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use rustc_hash::FxHashSet;
use tracelift_loops::{AxisId, BufferId, Inst, Stmt, Tile};
use tracelift_scalar::{IndexExpr, IndexTerm, IndexTerms};

use super::Emitter;

/// The variable part of an address in bytes, or of an index where there is no buffer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Linear {
    pub(super) buffer: Option<BufferId>,
    pub(super) terms: IndexTerms,
}

/// A sum with its constant part.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) linear: Linear,
    pub(super) offset: i64,
}

/// The coordinates that are known while a tile is unrolled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) rows: (AxisId, usize),
    pub(super) columns: (AxisId, usize),
    /// The innermost loop's axis and where this copy of the body lies along it.
    pub(super) unrolled: Option<(AxisId, Step)>,
}

/// Where a copy of an unrolled body lies along the loop's axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// So many iterations after the loop's coordinate.
    Ahead(usize),
    /// At this coordinate.
    At(usize),
}

impl Point {
    /// An axis in terms of the axes that have a run-time coordinate.
    fn axis(&self, axis: AxisId, extents: &[usize]) -> IndexExpr {
        let fixed = |at: usize| IndexExpr::constant(at as i64);
        match self.unrolled {
            _ if axis == self.rows.0 => fixed(self.rows.1),
            _ if axis == self.columns.0 => fixed(self.columns.1),
            _ if extents[axis] <= 1 => fixed(0),
            Some((unrolled, Step::Ahead(n))) if unrolled == axis => {
                IndexExpr::axis(axis).offset(n as i64)
            }
            Some((unrolled, Step::At(at))) if unrolled == axis => fixed(at),
            _ => IndexExpr::axis(axis),
        }
    }

    /// An expression in terms of the axes that have a run-time coordinate.
    pub(super) fn resolve(&self, expr: &IndexExpr, extents: &[usize]) -> IndexExpr {
        let is_affine = expr.terms.iter().all(|(t, _)| matches!(t, IndexTerm::Axis(_)));
        if !is_affine {
            return expr.substitute(&|axis| self.axis(axis, extents), extents);
        }
        let mut out = IndexExpr::constant(expr.constant);
        for (term, c) in &expr.terms {
            if let IndexTerm::Axis(axis) = term {
                let by = self.axis(*axis, extents);
                out.constant += by.constant * c;
                out.terms.extend(by.terms.into_iter().map(|(t, one)| (t, one * c)));
            }
        }
        out
    }
}

impl Emitter<'_, '_> {
    /// The position of an element of a buffer, in bytes.
    pub(super) fn position(&self, buffer: BufferId, index: &IndexExpr, point: &Point) -> Position {
        let size = self.kernel.buffers[buffer].dtype.size_bytes() as i64;
        let index = point.resolve(index, &self.extents).scale(size);
        let linear = Linear { buffer: Some(buffer), terms: index.terms };
        Position { linear, offset: index.constant }
    }

    /// The value of a sum at this point of the program.
    pub(super) fn linear(&mut self, linear: &Linear) -> Value {
        if let Some(&value) = self.known.iter().rev().find_map(|known| known.get(linear)) {
            return value;
        }
        let Some(depth) = linear.terms.iter().map(|(t, _)| self.depth_of(t)).max() else {
            return match linear.buffer {
                Some(buffer) => self.bases[buffer],
                None => self.b.ins().iconst(types::I64, 0),
            };
        };
        let outer = self.outside(linear, depth);
        let is_zero = outer.buffer.is_none() && outer.terms.is_empty();
        let mut sum = (!is_zero).then(|| self.linear(&outer));
        for (term, factor) in &linear.terms {
            if self.depth_of(term) == depth {
                let value = self.term(term);
                let product = self.times(value, *factor);
                sum = Some(sum.map_or(product, |sum| self.b.ins().iadd(sum, product)));
            }
        }
        sum.expect("a sum with a depth has a term")
    }

    /// The part of a sum that is known outside the loop at `depth`.
    pub(super) fn outside(&self, linear: &Linear, depth: usize) -> Linear {
        let terms = linear.terms.iter().filter(|(t, _)| self.depth_of(t) < depth);
        Linear { buffer: linear.buffer, terms: terms.cloned().collect() }
    }

    /// The depth of the innermost loop that a term varies with.
    pub(super) fn depth_of(&self, term: &IndexTerm) -> usize {
        match term {
            IndexTerm::Axis(axis) => self.axes[*axis].map_or(usize::MAX, |a| a.depth),
            IndexTerm::Div(e, _) | IndexTerm::Rem(e, _) => {
                e.terms.iter().map(|(t, _)| self.depth_of(t)).max().unwrap_or(0)
            }
        }
    }

    fn term(&mut self, term: &IndexTerm) -> Value {
        match term {
            IndexTerm::Axis(axis) => self.axes[*axis].expect("a used axis is in scope").value,
            IndexTerm::Div(e, d) => self.quotient(e, *d),
            IndexTerm::Rem(e, d) => self.remainder(e, *d),
        }
    }

    /// The value of a resolved expression.
    pub(super) fn index(&mut self, expr: &IndexExpr) -> Value {
        let value = self.linear(&Linear { buffer: None, terms: expr.terms.clone() });
        self.add_constant(value, expr.constant)
    }

    /// Computes what of the given sums becomes known in the innermost loop, for use in all of it.
    pub(super) fn prepare(&mut self, sums: &[Linear]) {
        let depth = self.known.len() - 1;
        for linear in sums {
            let part = self.outside(linear, depth + 1);
            let is_new = part.terms.iter().any(|(t, _)| self.depth_of(t) == depth);
            if is_new && !self.known[depth].contains_key(&part) {
                let value = self.linear(&part);
                self.known[depth].insert(part, value);
            }
        }
    }

    /// Makes a sum's value in the innermost loop known.
    pub(super) fn know(&mut self, linear: Linear, value: Value) {
        self.known.last_mut().expect("a loop is open").insert(linear, value);
    }

    /// The sums of statements, each once.
    pub(super) fn sums_of(&self, stmts: &[Stmt]) -> Vec<Linear> {
        let mut sums = Sums::default();
        self.collect_stmts(stmts, &mut sums);
        sums.list
    }

    fn collect_stmts(&self, stmts: &[Stmt], sums: &mut Sums) {
        for stmt in stmts {
            match stmt {
                Stmt::For { body, .. } => self.collect_stmts(body, sums),
                Stmt::If { guards, body } => {
                    let nowhere = Point::outside_tiles();
                    for guard in guards {
                        let expr = nowhere.resolve(&guard.expr, &self.extents);
                        sums.add(Linear { buffer: None, terms: expr.terms });
                    }
                    self.collect_stmts(body, sums);
                }
                Stmt::Tile(tile) => self.collect_tile(tile, 0..tile.insts.len(), None, sums),
            }
        }
    }

    /// The sums of some instructions of a tile, each once.
    pub(super) fn sums_of_tile(
        &self,
        tile: &Tile,
        range: std::ops::Range<usize>,
        unrolled: Option<(AxisId, Step)>,
    ) -> Vec<Linear> {
        let mut sums = Sums::default();
        self.collect_tile(tile, range, unrolled, &mut sums);
        sums.list
    }

    fn collect_tile(
        &self,
        tile: &Tile,
        range: std::ops::Range<usize>,
        unrolled: Option<(AxisId, Step)>,
        sums: &mut Sums,
    ) {
        // Most places of a tile differ in their constant part only.
        let mut seen: FxHashSet<(Option<BufferId>, &IndexTerms)> = FxHashSet::default();
        for inst in &tile.insts[range] {
            for (buffer, expr) in expressions(inst) {
                let is_affine = expr.terms.iter().all(|(t, _)| matches!(t, IndexTerm::Axis(_)));
                if is_affine && !seen.insert((buffer, &expr.terms)) {
                    continue;
                }
                let n = |axis: AxisId| match expr.stride_of(axis) {
                    // An affine axis moves only the constant part.
                    Some(_) => self.extents[axis].min(1),
                    None => self.extents[axis],
                };
                for row in 0..n(tile.rows) {
                    for column in 0..n(tile.columns) {
                        let rows = (tile.rows, row);
                        let point = Point { rows, columns: (tile.columns, column), unrolled };
                        let position = match buffer {
                            Some(buffer) => self.position(buffer, expr, &point).linear,
                            None => {
                                let terms = point.resolve(expr, &self.extents).terms;
                                Linear { buffer: None, terms }
                            }
                        };
                        sums.add(position);
                    }
                }
            }
        }
    }
}

impl Point {
    /// The point of statements around tiles, where no axis has a known coordinate.
    pub(super) fn outside_tiles() -> Point {
        Point { rows: (usize::MAX, 0), columns: (usize::MAX, 0), unrolled: None }
    }
}

#[derive(Default)]
struct Sums {
    seen: FxHashSet<Linear>,
    list: Vec<Linear>,
}

impl Sums {
    fn add(&mut self, linear: Linear) {
        if self.seen.insert(linear.clone()) {
            self.list.push(linear);
        }
    }
}

/// The index expressions of an instruction, with the buffer where they are a place in one.
fn expressions(inst: &Inst) -> Vec<(Option<BufferId>, &IndexExpr)> {
    match inst {
        Inst::Index(expr) => vec![(None, expr)],
        Inst::Test(guards) => guards.iter().map(|g| (None, &g.expr)).collect(),
        Inst::Load { place, guards, .. } | Inst::Store { place, guards, .. } => {
            let guards = guards.iter().map(|g| (None, &g.expr));
            guards.chain([(Some(place.buffer), &place.index)]).collect()
        }
        _ => Vec::new(),
    }
}
