//! Random inputs from a graph's signature.
//!
//! Floats lie in [−1, 1), bools are either. An integer input that looks up elements of a table gets
//! indices inside the table, at most 64 of them; any other gets 0 or 1, which suits masks.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};
use tracelift::{
    ir::{Graph, Op, Value},
    tensor::{DType, Scalar, Tensor, checked_count},
};

use crate::source::{input_name, require_exact};

/// The largest index made up.
const MOST_INDICES: usize = 64;

/// The most bytes made up for one input.
const MOST_BYTES: usize = 1 << 33;

/// One tensor per input, the same for the same seed.
///
/// # Errors
/// When an extent is a symbol, or an input is too large.
pub fn random_inputs(graph: &Graph, seed: u64) -> anyhow::Result<Vec<Tensor>> {
    require_exact(graph)?;
    let mut generator = Generator(seed);
    graph.inputs().map(|value| random_tensor(graph, value, &mut generator)).collect()
}

fn random_tensor(graph: &Graph, value: Value, random: &mut Generator) -> anyhow::Result<Tensor> {
    let ty = graph.ty(value);
    let name = input_name(graph, value);
    let shape = ty.shape.as_consts();
    let shape = shape.ok_or_else(|| anyhow!("input %{name}: {ty} is no shape"))?;
    let size = checked_count(&shape).and_then(|n| n.checked_mul(ty.dtype.size_bytes()));
    if size.is_none_or(|bytes| bytes > MOST_BYTES) {
        bail!("input %{name}: {ty} is too large to make up (expected at most {MOST_BYTES} bytes)");
    }
    let below = if ty.dtype.is_int() { index_bound(graph, value) } else { 2 };
    Ok(Tensor::from_fn(ty.dtype, &shape, |_| match ty.dtype {
        DType::F32 | DType::F64 => Scalar::from_f64(ty.dtype, random.unit() * 2.0 - 1.0),
        dtype => Scalar::from_i64(dtype, random.below(below)),
    }))
}

/// One more than the largest integer to make up for an input.
fn index_bound(graph: &Graph, input: Value) -> usize {
    let (mut seen, mut next) = (BTreeSet::from([input]), vec![input]);
    let mut smallest = None;
    while let Some(value) = next.pop() {
        for (node, operand) in graph.users(value) {
            if operand == 1
                && let Some(extent) = table_extent(graph, node)
            {
                smallest = Some(smallest.map_or(extent, |s: usize| s.min(extent)));
                continue;
            }
            let integers = graph.values(node).filter(|v| graph.ty(*v).dtype.is_int());
            next.extend(integers.filter(|v| seen.insert(*v)));
        }
    }
    smallest.map_or(2, |extent| extent.clamp(1, MOST_INDICES))
}

/// The extent of the axis that a node looks elements up along, where it does.
fn table_extent(graph: &Graph, node: tracelift::ir::NodeId) -> Option<usize> {
    let axis = match graph.op(node)? {
        Op::Take(take) => take.axis,
        Op::TakeAlongAxis(take) => take.axis,
        _ => return None,
    };
    let table = *graph.operands(node).first()?;
    graph.ty(table).shape.get(axis)?.as_const()
}

/// SplitMix64.  Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1) of 24 bits, so that it is exact in f32.
    fn unit(&mut self) -> f64 {
        (self.next() >> 40) as f64 / f64::from(1 << 24)
    }

    fn below(&mut self, n: usize) -> i64 {
        (self.next() % n as u64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelift::ir::parse_graph;

    fn graph(text: &str) -> Graph {
        parse_graph(text, &mut |_| None).expect("the text is a graph")
    }

    #[test]
    fn indices_lie_inside_the_table() {
        let g = graph(
            "graph @f(%t: f32[3, 2], %i: i64[50], %m: i64[50]) -> (f32[50, 2], i64[50]) {\n  \
             %j: i64[50] = add(%i, 0)\n  %y: f32[50, 2] = take(%t, %j, axis=0)\n  \
             %n: i64[50] = add(%m, 0)\n  return %y, %n\n}\n",
        );
        let inputs = random_inputs(&g, 1).unwrap();
        let largest = |k: usize| inputs[k].to_vec::<i64>().into_iter().max();
        assert_eq!((largest(1), largest(2)), (Some(2), Some(1)));
        assert_eq!(inputs, random_inputs(&g, 1).unwrap());
        assert_ne!(inputs, random_inputs(&g, 2).unwrap());
        assert!(inputs[0].to_vec::<f32>().iter().all(|x| (-1.0..1.0).contains(x)));
    }

    #[test]
    fn symbols_and_huge_inputs_are_refused() {
        let g = graph("graph @f(%x: f32[B, T]) -> f32[B, T] {\n  return %x\n}\n");
        let error = random_inputs(&g, 0).unwrap_err().to_string();
        assert!(error.contains("--set B=1 --set T=1"), "{error}");
        let g = graph(
            "graph @f(%x: f32[1000000, 1000000]) -> f32[1000000, 1000000] {\n  return %x\n}\n",
        );
        assert!(random_inputs(&g, 0).unwrap_err().to_string().contains("too large"));
    }
}
