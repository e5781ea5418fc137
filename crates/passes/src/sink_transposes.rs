//! `f(transpose(x)) = transpose(f'(x))`: laws that move transposes towards the graph's results.

use tracelift_ir::{
    Builder, Concat, Graph, NodeId, Op, Pad, Reduce, Slice, Transpose, TypeError, Value, Windows,
};

use crate::{Rewrite, elementwise::scalar_op, matching::made_by};

/// Moves a transpose below its only user.
pub(crate) fn sink_sole(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    sink(graph, node, &|graph, value, _| graph.use_count(value) == 1)
}

/// Moves a transpose from channels-last to channels-first order below each of its users.
pub(crate) fn sink_channels(graph: &Graph, node: NodeId) -> Option<Rewrite> {
    sink(graph, node, &|_, _, op| *op == channels_first(op.perm.len()))
}

/// The transpose from `N, spatial…, C` to `N, C, spatial…`.
pub(crate) fn channels_first(rank: usize) -> Transpose {
    let mut perm: Vec<usize> = (0..rank).collect();
    if rank > 1 {
        perm[1..].rotate_right(1);
    }
    Transpose { perm }
}

/// How an operator over `x` follows from one over a transposed `x`.
struct Sunk {
    op: Op,
    /// The transpose of its result.
    perm: Vec<usize>,
}

fn sink(
    graph: &Graph,
    node: NodeId,
    wanted: &dyn Fn(&Graph, Value, &Transpose) -> bool,
) -> Option<Rewrite> {
    let op = graph.op(node)?;
    let operands = graph.operands(node);
    let perm = common_perm(graph, &operands, wanted)?;
    let sunk = sunk(op, &perm, graph, node)?;
    let back = Transpose { perm: Transpose { perm }.inverse() };
    let sources: Vec<Source> = operands.iter().map(|v| source(graph, *v)).collect::<Option<_>>()?;
    Some(Rewrite::build1(node, move |b| {
        let turned = sources.into_iter().map(|s| turn(b, s, &back));
        let operands = turned.collect::<Result<Vec<Value>, TypeError>>()?;
        let y = b.op1(sunk.op, &operands)?;
        b.op1(Transpose { perm: sunk.perm }, &[y])
    }))
}

/// Where an operand in the order of the inner operator comes from.
enum Source {
    /// It is the operand of a transpose.
    Inner(Value),
    /// It is constant or repeats something smaller: transposing it costs little.
    Cheap(Value),
}

fn source(graph: &Graph, value: Value) -> Option<Source> {
    if let Some((_, x)) = made_by::<Transpose>(graph, value) {
        return Some(Source::Inner(x[0]));
    }
    is_cheap(graph, value).then_some(Source::Cheap(value))
}

fn is_cheap(graph: &Graph, value: Value) -> bool {
    graph.constant(value).is_some() || matches!(graph.op(value.node), Some(Op::Broadcast(_)))
}

fn turn(b: &mut Builder<'_>, source: Source, back: &Transpose) -> Result<Value, TypeError> {
    match source {
        Source::Inner(x) => Ok(x),
        Source::Cheap(x) => match b.graph().splat(x) {
            Some(scalar) => {
                let shape = b.shape(x);
                Ok(b.splat(
                    scalar,
                    back.perm.iter().map(|&a| shape[a].clone()).collect::<tracelift_ir::Shape>(),
                ))
            }
            None => b.op1(back.clone(), &[x]),
        },
    }
}

/// The permutation that all transposed operands share; every other operand is cheap.
fn common_perm(
    graph: &Graph,
    operands: &[Value],
    wanted: &dyn Fn(&Graph, Value, &Transpose) -> bool,
) -> Option<Vec<usize>> {
    let mut perm: Option<&Vec<usize>> = None;
    let mut worthwhile = false;
    for &value in operands {
        match made_by::<Transpose>(graph, value) {
            Some((op, x)) if perm.is_none_or(|p| *p == op.perm) && wanted(graph, value, op) => {
                perm = Some(&op.perm);
                // Two cheap operands would take turns at being transposed for ever.
                worthwhile |= !is_cheap(graph, x[0]);
            }
            Some(_) => return None,
            None if is_cheap(graph, value) => {}
            None => return None,
        }
    }
    perm.filter(|_| worthwhile).cloned()
}

/// `values[k]` speaks of axis `k` of the transposed tensor; the result speaks of the inner axes.
fn inner_order<T: Clone>(values: &[T], perm: &[usize]) -> Vec<T> {
    Transpose { perm: perm.to_vec() }.inverse().into_iter().map(|k| values[k].clone()).collect()
}

fn sunk(op: &Op, perm: &[usize], graph: &Graph, node: NodeId) -> Option<Sunk> {
    let same = |op: Op| Some(Sunk { op, perm: perm.to_vec() });
    match op {
        op if scalar_op(op).is_some() => same(op.clone()),
        Op::Pad(pad) => same(Op::Pad(Pad {
            low: inner_order(&pad.low, perm),
            high: inner_order(&pad.high, perm),
            interior: match pad.interior.as_slice() {
                [] => Vec::new(),
                interior => inner_order(interior, perm),
            },
            value: pad.value,
        })),
        Op::Slice(slice) => same(Op::Slice(Slice {
            starts: inner_order(&slice.starts, perm),
            limits: inner_order(&slice.limits, perm),
            strides: inner_order(&slice.strides, perm),
        })),
        Op::Concat(concat) => same(Op::Concat(Concat { axis: perm[concat.axis] })),
        Op::Windows(windows) => Some(sunk_windows(windows, perm)),
        Op::Reduce(reduce) => {
            let is_float = graph.node(node).types[0].dtype.is_float();
            sunk_reduce(reduce, perm, is_float)
        }
        _ => None,
    }
}

fn sunk_windows(op: &Windows, perm: &[usize]) -> Sunk {
    let mut order: Vec<usize> = (0..op.axes.len()).collect();
    order.sort_by_key(|&k| perm[op.axes[k]]);
    let mut outer = perm.to_vec();
    // The window axes come last, in the order of the axes they slide along.
    let place = Transpose { perm: order.clone() }.inverse();
    outer.extend(place.into_iter().map(|k| perm.len() + k));
    let inner = Windows {
        axes: order.iter().map(|&k| perm[op.axes[k]]).collect(),
        kernel: order.iter().map(|&k| op.kernel[k]).collect(),
        strides: order.iter().map(|&k| op.strides[k]).collect(),
        pads: order.iter().map(|&k| op.pads[k]).collect(),
        dilations: order.iter().map(|&k| op.dilations[k]).collect(),
        fill: op.fill,
    };
    Sunk { op: inner.into(), perm: outer }
}

/// The order in which floats are added or multiplied stays, or the law does not apply.
fn sunk_reduce(op: &Reduce, perm: &[usize], is_float: bool) -> Option<Sunk> {
    use tracelift_ir::ReduceKind::{Max, Min};
    let mut axes: Vec<usize> = op.axes.iter().map(|&a| perm[a]).collect();
    if is_float && !matches!(op.kind, Max | Min) && !axes.is_sorted() {
        return None;
    }
    axes.sort_unstable();
    let kept: Vec<usize> =
        (0..perm.len()).filter(|a| !op.axes.contains(a)).map(|a| perm[a]).collect();
    let mut inner_kept = kept.clone();
    inner_kept.sort_unstable();
    let place = |axis: &usize| inner_kept.binary_search(axis).expect("the same axes are kept");
    let outer = kept.iter().map(place).collect();
    Some(Sunk { op: Reduce { kind: op.kind, axes }.into(), perm: outer })
}
