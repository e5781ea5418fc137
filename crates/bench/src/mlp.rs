//! The network of [`crate::by_hand::ByHand`], traced.

use tracelift::{
    frontend::{
        TraceError, f32,
        nn::{self, Forward, Module},
        trace,
    },
    ir::Graph,
    tensor::Tensor,
};

use crate::by_hand::{ByHand, N_HIDDEN, N_IN, N_OUT, Plain};

/// The number of parameters.
pub const N_PARAMETERS: usize = N_HIDDEN * (N_IN + 1) + N_OUT * (N_HIDDEN + 1);

/// The parameter of a number, as both networks have it.
pub fn parameter(k: usize) -> f32 {
    ((k * 37 % 101) as f32 - 50.0) / 100.0
}

/// The network by hand, with plain loops.
pub fn plain() -> Plain {
    Plain::new(parameter)
}

/// The network by hand, laid out for vectors.
pub fn by_hand() -> ByHand {
    ByHand::new(&plain())
}

/// What goes in.
pub fn input() -> [f32; N_IN] {
    std::array::from_fn(|k| k as f32 / 9.0 - 1.0)
}

/// The network as a graph from `x: f32[1, 18]`.
///
/// # Errors
/// Never: the shapes fit.
///
/// # Panics
/// Never: the parameters are the network's.
pub fn graph() -> Result<Graph, TraceError> {
    let network = nn::sequential![
        nn::Linear::new(N_IN, N_HIDDEN),
        nn::ReLU::new(),
        nn::Linear::new(N_HIDDEN, N_OUT),
    ];
    let mut n_before = 0;
    let mut next = |name: &str, shape: &[usize]| {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (n_before..n_before + n).map(parameter).collect();
        n_before += n;
        (name.to_string(), Tensor::new(shape, &values))
    };
    let parameters = [
        next("0.weight", &[N_HIDDEN, N_IN]),
        next("0.bias", &[N_HIDDEN]),
        next("2.weight", &[N_OUT, N_HIDDEN]),
        next("2.bias", &[N_OUT]),
    ];
    let parameters = nn::StateDict::from_iter(parameters);
    network.load_state_dict(&parameters).expect("the parameters are the network's");
    trace("mlp", &[("x", f32([1, N_IN]))], |[x]| network.forward(&x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runnable;
    use tracelift::{Model, Options};

    #[test]
    fn all_networks_have_1004_parameters_and_one_answer() {
        assert_eq!(N_PARAMETERS, 1004);
        let options = Options { compile_threads: 1, ..Options::default() };
        let compiled = Model::from_graph(graph().unwrap()).compile(&options).unwrap();
        let x = Tensor::new(&[1, N_IN], &input());
        let mut runnable = Runnable::with_inputs(&compiled, &[x], 1).unwrap();
        runnable.run().unwrap();
        let found = runnable.outputs()[0].chunks_exact(4);
        let found: Vec<f32> = found.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        for expected in [plain().forward(&input()), by_hand().forward(&input())] {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-5, "{found}, expected {expected}");
            }
        }
    }
}
