//! Which columns of a product's rows a mask leaves visible to a softmax.
//!
//! A mask known at compile time, such as a causal one or a sliding window, makes scores −∞, or so
//! low that their exponential is 0 beside that of any other. Kernels need neither compute nor read
//! them: they are hidden. Products, and what is added to masks, are taken to be finite and far from
//! the largest floats.

mod mask;
mod point;

use std::ops::Range;

use rustc_hash::FxHashMap;
use tracelift_ir::{NodeId, Structure, Value};
use tracelift_scalar::{Expr, ExprNode, Op};

use super::{Group, Lowering, fold::FoldSpace};
use mask::Mask;

/// Scores from here down count as hidden.
const LOW: f64 = -1e30;
/// What constants do not reach from below or above, unless they hide.
const HIGH: f64 = 1e20;

/// The most values that scores are followed back to.
const MOST_VALUES: usize = 200;

/// For each row the columns from the first visible one to the last.
pub(super) type Visible = Vec<Range<usize>>;

impl Lowering<'_> {
    /// The columns of each row of a product that a softmax after it needs, where a mask hides some;
    /// the rows and columns are the last two axes of the result.
    pub(super) fn visible(
        &self,
        anchor: Value,
        space: &FoldSpace,
        (first, rows): (&Group, &Group),
    ) -> Option<Visible> {
        let scores = first.outputs[0];
        let extents = &space.extents[..space.n_result];
        let mut mask = Mask::new(self, anchor, extents);
        let visible = mask.visible_scores(scores);
        let hides = visible.iter().any(|columns| columns.len() < extents[extents.len() - 1]);
        let is_sure = hides && mask.makes_no_difference(scores, &visible);
        (is_sure && self.ignores_low(rows, scores)).then_some(visible)
    }

    /// Whether rows come out the same if elements that are very low are left out: what they become
    /// neither changes a reduction nor the sum of products that the rows are for.
    fn ignores_low(&self, rows: &Group, scores: Value) -> bool {
        let mut kinds: FxHashMap<Value, Kind> = FxHashMap::default();
        kinds.insert(scores, Kind::Low);
        for &id in &rows.members {
            let operands = self.graph.operands(id);
            let known = |v: &Value| match self.graph.splat(*v) {
                Some(_) => Some(Kind::Fine),
                None => kinds.get(v).copied(),
            };
            let of: Option<Vec<Kind>> = operands.iter().map(known).collect();
            let kind = of.and_then(|of| self.kind_of(id, &of));
            let Some(kind) = kind else { return false };
            kinds.insert(Value { node: id, result: 0 }, kind);
        }
        kinds.get(&rows.outputs[0]) == Some(&Kind::Zero)
    }

    fn kind_of(&self, id: NodeId, operands: &[Kind]) -> Option<Kind> {
        match self.analysis.structure(id) {
            Structure::Map(expr) => Kind::of_expr(expr, operands),
            Structure::Move(_) if self.analysis.is_plain_move(id) => Some(operands[0]),
            Structure::Reduce(fold) => {
                match (fold.kind.op(), Kind::of_expr(&fold.term, operands)?) {
                    (Op::Max, Kind::Low) | (Op::Add, Kind::Zero) => Some(Kind::Fine),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What hidden elements of a row become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Lower than any other by so much that its exponential is 0.
    Low,
    Zero,
    /// A number that does not depend on hidden elements.
    Fine,
}

impl Kind {
    fn of_expr(expr: &Expr, operands: &[Kind]) -> Option<Kind> {
        let mut kinds: Vec<Kind> = Vec::with_capacity(expr.nodes().len());
        for node in expr.nodes() {
            kinds.push(match node {
                ExprNode::Input(k) => operands[*k as usize],
                ExprNode::Const(_) => Kind::Fine,
                ExprNode::Index(_) => return None,
                ExprNode::Apply(op, args) => {
                    let args: Vec<Kind> = args.iter().map(|a| kinds[a.index()]).collect();
                    Kind::of_op(*op, &args)?
                }
            });
        }
        kinds.get(expr.root().index()).copied()
    }

    fn of_op(op: Op, args: &[Kind]) -> Option<Kind> {
        match (op, args) {
            (_, args) if args.iter().all(|kind| *kind == Kind::Fine) => Some(Kind::Fine),
            (Op::Sub, [Kind::Low, Kind::Fine]) => Some(Kind::Low),
            (Op::Add, [Kind::Low, Kind::Fine] | [Kind::Fine, Kind::Low]) => Some(Kind::Low),
            (Op::Exp, [Kind::Low]) => Some(Kind::Zero),
            (Op::Mul | Op::Div, [Kind::Zero, Kind::Fine]) => Some(Kind::Zero),
            (Op::Mul, [Kind::Fine, Kind::Zero]) => Some(Kind::Zero),
            _ => None,
        }
    }
}
