//! When two engines agree on a graph.
//!
//! Integers and booleans are equal. A float's error against the interpreter in f64 is at most four
//! times the f32 interpreter's plus a floor; NaN and infinities are compared apart. A graph may
//! amplify rounding without bound (a comparison, a cast to integer, a cancellation): where engines
//! differ, the interpreter is run again on inputs changed by an ulp or so, and what then moves in
//! the interpreter itself is allowed to move by as much in the engine.

use anyhow::{Result, bail};
use tracelift::ir::{ConstantData, Graph, NodeKind, interpret, rebuild};
use tracelift_tensor::{DType, Scalar, Tensor};

/// The floor of a float's error, relative to the largest finite element of its tensor.
const FLOOR: f64 = 2e-6;
/// How often the interpreter is run on changed inputs before a difference counts.
const N_CHANGED: u64 = 12;

/// Checks that results agree with the interpreter's.
///
/// # Errors
/// Names the result and element that do not.
pub fn check(graph: &Graph, inputs: &[Tensor], found: &[Tensor]) -> Result<()> {
    let reference = interpret(graph, inputs)?;
    if first_difference(&reference, &reference, found, &[]).is_none() {
        return Ok(());
    }
    let wide = wide_results(graph, inputs).unwrap_or_else(|| reference.clone());
    let mut samples = vec![reference];
    for seed in 0..N_CHANGED {
        let changed: Vec<Tensor> = inputs.iter().map(|x| nudge(x, seed)).collect();
        samples.push(interpret(&nudge_constants(graph, seed)?, &changed)?);
    }
    match first_difference(&wide, &samples[0], found, &samples) {
        None => Ok(()),
        Some(message) => bail!(message),
    }
}

/// The results in f64, where every operator exists there.
fn wide_results(graph: &Graph, inputs: &[Tensor]) -> Option<Vec<Tensor>> {
    let graph = graph.widened().ok()?;
    let inputs: Vec<Tensor> = inputs
        .iter()
        .map(|x| if x.dtype() == DType::F32 { x.cast(DType::F64) } else { x.clone() })
        .collect();
    interpret(&graph, &inputs).ok()
}

/// The graph with every dense constant moved.
fn nudge_constants(graph: &Graph, seed: u64) -> Result<Graph> {
    let moved = rebuild(graph, &mut |node, b, operands| match &node.kind {
        NodeKind::Op(op) => b.op(op.clone(), operands),
        NodeKind::Input => Ok(vec![b.graph_mut().add_input(&node.names[0], node.types[0].clone())]),
        NodeKind::Constant(constant) => {
            let ty = &node.types[0];
            let dense = match &constant.data {
                ConstantData::Dense(tensor) => tensor.clone(),
                ConstantData::Splat(scalar) => Tensor::splat(*scalar, &ty.extents()),
            };
            Ok(vec![b.constant(nudge(&dense, seed))])
        }
    })?;
    Ok(moved)
}

/// Every float moved by up to two ulps.
fn nudge(x: &Tensor, seed: u64) -> Tensor {
    if !x.dtype().is_float() {
        return x.clone();
    }
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let mut position = 0;
    Tensor::from_fn(x.dtype(), x.shape(), |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let steps = (state >> 33) as i64 % 5 - 2;
        let value = x.get(position);
        position += 1;
        let epsilon = f64::from(f32::EPSILON);
        Scalar::from_f64(x.dtype(), value.to_f64() * (1.0 + steps as f64 * epsilon))
    })
}

fn first_difference(
    wide: &[Tensor],
    narrow: &[Tensor],
    found: &[Tensor],
    samples: &[Vec<Tensor>],
) -> Option<String> {
    if found.len() != narrow.len() {
        return Some(format!("{} results, expected {}", found.len(), narrow.len()));
    }
    for (k, result) in found.iter().enumerate() {
        let expected = &narrow[k];
        if (result.dtype(), result.shape()) != (expected.dtype(), expected.shape()) {
            return Some(format!("result {k}: found {result:?}, expected {expected:?}"));
        }
        let finite = expected.iter().map(|x| x.to_f64().abs()).filter(|x| x.is_finite());
        let floor = FLOOR * finite.fold(0.0, f64::max).min(1e30);
        for at in 0..result.count() {
            let of = |tensors: &[Tensor]| tensors[k].get(at);
            let moved: Vec<Scalar> = samples.iter().map(|s| of(s)).collect();
            if !agrees(of(wide), of(narrow), of(found), &moved, floor) {
                let (found, expected) = (of(found), of(narrow));
                let reference = of(wide);
                return Some(format!(
                    "result {k}, element {at}: found {found}, expected {expected} (f64: {reference})"
                ));
            }
        }
    }
    None
}

fn agrees(wide: Scalar, narrow: Scalar, found: Scalar, moved: &[Scalar], floor: f64) -> bool {
    if found == narrow || moved.contains(&found) {
        return true;
    }
    let unstable = moved.iter().any(|m| *m != narrow);
    if !found.dtype().is_float() {
        return unstable;
    }
    let [w, n, f] = [wide, narrow, found].map(Scalar::to_f64);
    if n.is_nan() && f.is_nan() {
        return true;
    }
    let odd = |x: f64| !x.is_finite();
    if odd(n) || odd(f) {
        // Overflow and NaN may come or go with rounding only where the interpreter's do.
        return n == f || moved.iter().any(|m| odd(m.to_f64()) != odd(n)) || (odd(w) != odd(n));
    }
    let spread = moved.iter().map(|m| (m.to_f64() - n).abs()).fold(0.0, f64::max);
    let own = if odd(w) { 0.0 } else { (n - w).abs() };
    let middle = if odd(w) { n } else { w };
    let ulp = f64::from(f32::EPSILON) * n.abs();
    (f - middle).abs() <= 4.0 * own + 4.0 * spread + 8.0 * ulp + floor
}
