//! Follows scores back to masks, for all rows at once.

use std::ops::Range;

use tracelift_ir::{NodeKind, Structure, Value};
use tracelift_scalar::{Expr, ExprId, ExprNode, IndexExpr, Op, linearise};
use tracelift_tensor::{DType, Scalar, Tensor, for_each_index};

use super::{HIGH, LOW, Lowering, MOST_VALUES, Visible};

/// The most elements of a mask looked at.
const MOST_ELEMENTS: usize = 1 << 26;
/// The most rows that are proven to have something visible.
const MOST_ROWS: usize = 1 << 16;

/// A walk through the expression of scores.
pub(super) struct Mask<'m, 'g> {
    pub(super) lowering: &'m Lowering<'g>,
    /// The product.
    pub(super) anchor: Value,
    /// The extents of the scores.
    extents: &'m [usize],
    n_values: usize,
    /// The axes of the scores that constants depend on.
    varies: Vec<bool>,
    /// Whether some of what is hidden is low but finite.
    is_finite: bool,
    /// Whether a constant is so high that it could outweigh a mask.
    is_high: bool,
}

/// The operands of an expression, and the index at which it is read.
type Site<'s> = (&'s [Value], &'s [IndexExpr]);

impl<'m, 'g> Mask<'m, 'g> {
    pub(super) fn new(lowering: &'m Lowering<'g>, anchor: Value, extents: &'m [usize]) -> Self {
        Mask {
            lowering,
            anchor,
            extents,
            n_values: 0,
            varies: vec![false; extents.len()],
            is_finite: false,
            is_high: false,
        }
    }

    /// The columns where scores may be above −∞ or what counts as that.
    pub(super) fn visible_scores(&mut self, scores: Value) -> Visible {
        let index: Vec<IndexExpr> = (0..self.extents.len()).map(IndexExpr::axis).collect();
        self.visible(scores, &index)
    }

    /// Whether what is hidden makes no difference to a softmax. What is −∞ never does; what is
    /// finite does in rows of nothing else, where it is as good as any other.
    pub(super) fn makes_no_difference(&self, scores: Value, visible: &Visible) -> bool {
        if self.is_high || !self.is_finite {
            return !self.is_high;
        }
        let outer = matrices(self.extents, |a| self.varies[a]);
        let mut is_sure = outer.iter().product::<usize>() * self.n_rows() <= MOST_ROWS;
        for_each_index(&outer, |index| {
            is_sure = is_sure
                && visible.iter().enumerate().all(|(row, columns)| {
                    let mut ends = [columns.end, columns.start + 1].into_iter();
                    !columns.is_empty()
                        && ends
                            .any(|end| self.is_visible(scores, &[index, &[row, end - 1]].concat()))
                });
        });
        is_sure
    }

    fn n_rows(&self) -> usize {
        self.extents[self.extents.len() - 2]
    }

    fn n_columns(&self) -> usize {
        self.extents[self.extents.len() - 1]
    }

    fn all(&self) -> Visible {
        vec![0..self.n_columns(); self.n_rows()]
    }

    fn none(&self) -> Visible {
        vec![0..0; self.n_rows()]
    }

    /// Whether the walk has been to enough values.
    fn is_far(&mut self) -> bool {
        self.n_values += 1;
        self.n_values > MOST_VALUES
    }

    /// The columns where a value may be above −∞ or what counts as that.
    fn visible(&mut self, value: Value, index: &[IndexExpr]) -> Visible {
        let graph = self.lowering.graph;
        if value == self.anchor || self.is_far() {
            return self.all();
        }
        if let NodeKind::Constant(_) = graph.node(value.node).kind {
            return self.visible_constant(value, index);
        }
        match self.structure(value) {
            Some(Structure::Move(_)) => match self.moved(value, index) {
                Some((operand, index)) => self.visible(operand, &index),
                None => self.all(),
            },
            Some(Structure::Map(expr)) => {
                self.visible_node(expr, expr.root(), (&graph.operands(value.node), index))
            }
            _ => self.all(),
        }
    }

    fn visible_node(&mut self, expr: &Expr, id: ExprId, site: Site<'_>) -> Visible {
        match &expr.nodes()[id.index()] {
            ExprNode::Input(k) => self.visible(site.0[*k as usize], site.1),
            ExprNode::Const(scalar) => self.visible_scalar(*scalar),
            ExprNode::Apply(Op::Select, args) => {
                let [yes, no] = [true, false].map(|want| self.may_be(expr, args[0], site, want));
                let [x, y] = [args[1], args[2]].map(|arg| self.visible_node(expr, arg, site));
                hull(&common(&x, &yes), &common(&y, &no))
            }
            ExprNode::Apply(Op::Add, args) => {
                let [x, y] = [args[0], args[1]].map(|arg| self.visible_node(expr, arg, site));
                common(&x, &y)
            }
            ExprNode::Apply(..) | ExprNode::Index(_) => self.all(),
        }
    }

    fn visible_scalar(&mut self, scalar: Scalar) -> Visible {
        let x = scalar.to_f64();
        self.is_finite |= x <= LOW && x.is_finite();
        self.is_high |= x >= HIGH;
        if x <= LOW { self.none() } else { self.all() }
    }

    fn visible_constant(&mut self, value: Value, index: &[IndexExpr]) -> Visible {
        if let Some(scalar) = self.lowering.graph.splat(value) {
            return self.visible_scalar(scalar);
        }
        let elements = self.elements(value, index).filter(|e| e.tensor.dtype() == DType::F32);
        let Some(elements) = elements else {
            self.is_high = true;
            return self.all();
        };
        let number = |bytes: &[u8]| {
            f64::from(f32::from_ne_bytes(bytes.try_into().expect("a float has four bytes")))
        };
        self.is_high |= elements.tensor.bytes().chunks_exact(4).any(|bytes| number(bytes) >= HIGH);
        let mut is_finite = false;
        let visible = elements.hull(self.extents, |bytes| {
            let x = number(bytes);
            is_finite |= x <= LOW && x.is_finite();
            x > LOW || x.is_nan()
        });
        self.is_finite |= is_finite;
        visible
    }

    /// The columns where a condition may have a value.
    fn may_be(&mut self, expr: &Expr, id: ExprId, site: Site<'_>, want: bool) -> Visible {
        match &expr.nodes()[id.index()] {
            ExprNode::Input(k) => self.value_may_be(site.0[*k as usize], site.1, want),
            ExprNode::Const(Scalar::Bool(is)) if *is != want => self.none(),
            ExprNode::Apply(Op::Not, args) => self.may_be(expr, args[0], site, !want),
            ExprNode::Apply(op @ (Op::And | Op::Or), args) => {
                let [x, y] = [args[0], args[1]].map(|arg| self.may_be(expr, arg, site, want));
                match (*op == Op::And) == want {
                    true => common(&x, &y),
                    false => hull(&x, &y),
                }
            }
            ExprNode::Apply(op @ (Op::Le | Op::Lt | Op::Ge | Op::Gt), args) => {
                match [args[0], args[1]].map(|arg| self.affine(expr, arg, site)) {
                    [Some(x), Some(y)] => self.compared(*op, [&x, &y], want),
                    _ => self.all(),
                }
            }
            _ => self.all(),
        }
    }

    fn value_may_be(&mut self, value: Value, index: &[IndexExpr], want: bool) -> Visible {
        let graph = self.lowering.graph;
        if self.is_far() {
            return self.all();
        }
        if let Some(scalar) = graph.splat(value) {
            return if scalar == Scalar::Bool(!want) { self.none() } else { self.all() };
        }
        if let NodeKind::Constant(_) = graph.node(value.node).kind {
            let elements = self.elements(value, index).filter(|e| e.tensor.dtype() == DType::Bool);
            return match elements {
                Some(elements) => elements.hull(self.extents, |byte| (byte[0] != 0) == want),
                None => self.all(),
            };
        }
        match self.structure(value) {
            Some(Structure::Move(_)) => match self.moved(value, index) {
                Some((operand, index)) => self.value_may_be(operand, &index, want),
                None => self.all(),
            },
            Some(Structure::Map(expr)) => {
                self.may_be(expr, expr.root(), (&graph.operands(value.node), index), want)
            }
            _ => self.all(),
        }
    }

    /// The columns where a comparison of two affine expressions has a value.
    fn compared(&mut self, op: Op, [x, y]: [&IndexExpr; 2], want: bool) -> Visible {
        // As `difference ≥ 0`, of integers.
        let [above, below] = [x.add(&y.scale(-1)), y.add(&x.scale(-1))];
        let difference = match (op, want) {
            (Op::Ge, true) | (Op::Lt, false) => above,
            (Op::Gt, true) | (Op::Le, false) => above.offset(-1),
            (Op::Le, true) | (Op::Gt, false) => below,
            _ => below.offset(-1),
        };
        let n = self.extents.len();
        let strides = [n - 2, n - 1].map(|a| difference.stride_of(a));
        let is_outer = (0..n - 2).any(|a| difference.mentions(a));
        let ([Some(down), Some(along)], false) = (strides, is_outer) else { return self.all() };
        let len = self.n_columns() as i64;
        let bounds = |row: usize| {
            let start = difference.constant + down * row as i64;
            // Of `start + along · column ≥ 0`.
            let (from, to) = match along {
                0 if start >= 0 => (0, len),
                0 => (0, 0),
                1.. => ((along - 1 - start).div_euclid(along), len),
                _ => (0, start.div_euclid(-along) + 1),
            };
            let (from, to) = (from.clamp(0, len), to.clamp(0, len));
            from as usize..to.max(from) as usize
        };
        (0..self.n_rows()).map(bounds).collect()
    }

    /// An integer as an affine expression of the scores' axes.
    fn affine(&mut self, expr: &Expr, id: ExprId, site: Site<'_>) -> Option<IndexExpr> {
        match &expr.nodes()[id.index()] {
            ExprNode::Input(k) => self.affine_value(site.0[*k as usize], site.1),
            ExprNode::Index(axis) => Some(site.1[*axis as usize].clone()),
            ExprNode::Const(Scalar::Signed(_, k)) => Some(IndexExpr::constant(*k)),
            ExprNode::Apply(op @ (Op::Add | Op::Sub), args) => {
                let [x, y] = [args[0], args[1]].map(|arg| self.affine(expr, arg, site));
                Some(x?.add(&y?.scale(if *op == Op::Add { 1 } else { -1 })))
            }
            _ => None,
        }
    }

    fn affine_value(&mut self, value: Value, index: &[IndexExpr]) -> Option<IndexExpr> {
        if self.is_far() {
            return None;
        }
        if let Some(Scalar::Signed(_, k)) = self.lowering.graph.splat(value) {
            return Some(IndexExpr::constant(k));
        }
        match self.structure(value)? {
            Structure::Move(_) => {
                let (operand, index) = self.moved(value, index)?;
                self.affine_value(operand, &index)
            }
            Structure::Map(expr) => {
                let operands = self.lowering.graph.operands(value.node);
                self.affine(expr, expr.root(), (&operands, index))
            }
            _ => None,
        }
    }

    pub(super) fn structure(&self, value: Value) -> Option<&'m Structure> {
        match self.lowering.graph.node(value.node).kind {
            NodeKind::Op(_) => Some(self.lowering.analysis.structure(value.node)),
            _ => None,
        }
    }

    /// What a plain movement reads.
    pub(super) fn read(&self, value: Value) -> Option<(Value, &'m [IndexExpr])> {
        if !self.lowering.analysis.is_plain_move(value.node) {
            return None;
        }
        let Structure::Move(movement) = self.structure(value)? else { return None };
        let read = &movement.pieces[0].read;
        Some((self.lowering.graph.operands(value.node)[read.operand], &read.index))
    }

    fn moved(&self, value: Value, index: &[IndexExpr]) -> Option<(Value, Vec<IndexExpr>)> {
        let (operand, read) = self.read(value)?;
        let over = |e: &IndexExpr| e.substitute(&|a| index[a].clone(), self.extents);
        Some((operand, read.iter().map(over).collect()))
    }

    /// The elements of a constant that lie at equal distances along all axes.
    fn elements(&mut self, value: Value, index: &[IndexExpr]) -> Option<Elements> {
        let tensor = self.lowering.graph.constant_tensor(value)?;
        let position = linearise(index, tensor.shape()).simplify(self.extents);
        let axes = 0..self.extents.len();
        let strides: Vec<i64> = axes.map(|a| position.stride_of(a)).collect::<Option<_>>()?;
        for (varies, stride) in self.varies.iter_mut().zip(&strides) {
            *varies |= *stride != 0;
        }
        Some(Elements { start: position.constant, strides, tensor })
    }
}

/// The elements of a constant that scores meet.
struct Elements {
    tensor: Tensor,
    /// The position of the first.
    start: i64,
    /// The distance between neighbours along each axis of the scores.
    strides: Vec<i64>,
}

impl Elements {
    /// For each row the columns from the first to the last whose element passes in any of the
    /// matrices.
    fn hull(&self, extents: &[usize], mut passes: impl FnMut(&[u8]) -> bool) -> Visible {
        let outer = matrices(extents, |a| self.strides[a] != 0);
        let [n_rows, n_columns] = [outer.len(), outer.len() + 1].map(|a| extents[a]);
        let n_matrices: usize = outer.iter().product();
        if n_matrices.saturating_mul(n_rows).saturating_mul(n_columns) > MOST_ELEMENTS {
            return vec![0..n_columns; n_rows];
        }
        let (size, bytes) = (self.tensor.dtype().size_bytes(), self.tensor.bytes());
        let [down, along] = [outer.len(), outer.len() + 1].map(|a| self.strides[a]);
        let mut out = vec![0..0; n_rows];
        for_each_index(&outer, |index| {
            let steps = index.iter().zip(&self.strides).map(|(&k, stride)| stride * k as i64);
            let start = self.start + steps.sum::<i64>();
            for (row, found) in out.iter_mut().enumerate() {
                let start = start + down * row as i64;
                let mut is_seen = |column: &usize| {
                    let at = (start + along * *column as i64) as usize * size;
                    passes(&bytes[at..at + size])
                };
                let Some(first) = (0..n_columns).find(&mut is_seen) else { continue };
                let last = (first..n_columns).rev().find(is_seen).unwrap_or(first);
                *found = union(found, &(first..last + 1));
            }
        });
        out
    }
}

/// The extents of the matrices of scores, 1 along axes where they are all the same.
fn matrices(extents: &[usize], differ: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..extents.len() - 2).map(|a| if differ(a) { extents[a] } else { 1 }).collect()
}

fn union(x: &Range<usize>, y: &Range<usize>) -> Range<usize> {
    match (x.is_empty(), y.is_empty()) {
        (true, _) => y.clone(),
        (_, true) => x.clone(),
        _ => x.start.min(y.start)..x.end.max(y.end),
    }
}

fn hull(x: &Visible, y: &Visible) -> Visible {
    x.iter().zip(y).map(|(x, y)| union(x, y)).collect()
}

fn common(x: &Visible, y: &Visible) -> Visible {
    let both = |(x, y): (&Range<usize>, &Range<usize>)| {
        let (start, end) = (x.start.max(y.start), x.end.min(y.end));
        if start < end { start..end } else { 0..0 }
    };
    x.iter().zip(y).map(both).collect()
}
