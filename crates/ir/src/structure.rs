//! Structures: what kind of computation an operator is, as lowering sees it.
//!
//! All extents are exact. Index expressions speak of the result's axes, numbered from 0, then of
//! the folded axes where there are any.

use tracelift_scalar::{Expr, Guard, IndexExpr};
use tracelift_tensor::Scalar;

/// The kind of a computation.
#[derive(Clone, PartialEq, Debug)]
pub enum Structure {
    /// `result[i] = expr(operand_0[i], operand_1[i], …)`; the expression may read coordinates.
    Map(Expr),
    /// Elements taken from elsewhere, unchanged.
    Move(Movement),
    /// A reduction over whole axes of one operand.
    Reduce(Fold),
    /// A sum of products of two operands over shared axes.
    Contract(Fold),
    /// A sum of products of an operand's windows and weights.
    Window(Fold),
    /// A running fold along one axis.
    Scan(Scan),
    /// Elements taken from where an integer operand says.
    Gather(Gather),
    /// Elements put where an integer operand says.
    Scatter(Scatter),
    /// A stable sort along one axis; results are the values and their former positions.
    Sort(Sort),
    /// A body emitted by a generator of the backend, by name.
    Opaque(&'static str),
}

/// `result[i]` is the element of the first piece whose guards hold, else `fill`.
#[derive(Clone, PartialEq, Debug)]
pub struct Movement {
    /// The pieces in order of precedence.
    pub pieces: Vec<Piece>,
    /// The value where no piece applies; `None` when one always does.
    pub fill: Option<Scalar>,
}

/// A part of a movement.
#[derive(Clone, PartialEq, Debug)]
pub struct Piece {
    /// Conditions on the result's index, all of which must hold.
    pub guards: Vec<Guard>,
    /// The element read.
    pub read: Access,
}

/// One element of an operand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// The operand's number.
    pub operand: usize,
    /// One expression per axis of the operand.
    pub index: Vec<IndexExpr>,
}

/// How a fold combines two values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FoldKind {
    /// Addition, from 0.
    Sum,
    /// Multiplication, from 1.
    Product,
    /// The larger, from the lowest value; NaN propagates.
    Max,
    /// The smaller, from the highest value; NaN propagates.
    Min,
}

impl FoldKind {
    /// The scalar operation.
    pub fn op(self) -> tracelift_scalar::Op {
        match self {
            FoldKind::Sum => tracelift_scalar::Op::Add,
            FoldKind::Product => tracelift_scalar::Op::Mul,
            FoldKind::Max => tracelift_scalar::Op::Max,
            FoldKind::Min => tracelift_scalar::Op::Min,
        }
    }

    /// The value of an empty fold.
    pub fn identity(self, dtype: tracelift_tensor::DType) -> Scalar {
        match self {
            FoldKind::Sum => Scalar::zero(dtype),
            FoldKind::Product => Scalar::one(dtype),
            FoldKind::Max => Scalar::lowest(dtype),
            FoldKind::Min => Scalar::highest(dtype),
        }
    }
}

/// `result[i] = fold over r in the domain of term(reads at (i, r))`.
///
/// Where a guard fails, read 0 is not made and counts as 0. The folded axes are numbered after the result's. A sum of products of floats accumulates by
/// fused multiply-add.
#[derive(Clone, PartialEq, Debug)]
pub struct Fold {
    /// The extents of the folded axes.
    pub domain: Vec<usize>,
    /// Conditions on `(i, r)` for read 0.
    pub guards: Vec<Guard>,
    /// The inputs of the term.
    pub reads: Vec<Access>,
    /// The value folded, over the reads.
    pub term: Expr,
    /// How values combine.
    pub kind: FoldKind,
}

/// `result[.., k, ..] = fold of x[.., j, ..]` over `j ≤ k` (`j < k` when exclusive).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// The axis of the running fold.
    pub axis: usize,
    /// How values combine.
    pub kind: FoldKind,
    /// Whether element `k` itself is left out.
    pub exclusive: bool,
    /// Whether the fold runs from the end.
    pub reverse: bool,
}

/// Where one coordinate of an indirect access comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Coordinate {
    /// A function of the point.
    At(IndexExpr),
    /// The element of operand 1 at this index; a negative one counts from the end.
    Lookup(Vec<IndexExpr>),
}

/// `result[i] = operand_0[coordinates(i)]`; coordinates outside are clamped to the nearest inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gather {
    /// One coordinate per axis of operand 0.
    pub coordinates: Vec<Coordinate>,
}

/// How an update meets the element it lands on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScatterKind {
    /// Replaces it; the last update in row-major order stays.
    Replace,
    /// Combines with it, in row-major order of the updates.
    Fold(FoldKind),
}

/// `result = operand_0`, then for every point `u` of operand 2 in row-major order,
/// `result[coordinates(u)]` meets `operand_2[u]`; updates outside are dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scatter {
    /// One coordinate per axis of operand 0, over the axes of operand 2.
    pub coordinates: Vec<Coordinate>,
    /// What an update does.
    pub kind: ScatterKind,
}

/// A stable sort along an axis; NaN is the greatest value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sort {
    /// The axis sorted.
    pub axis: usize,
    /// Whether the greatest comes first.
    pub descending: bool,
}
