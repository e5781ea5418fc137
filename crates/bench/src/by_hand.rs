//! A network of 18, 32 and 12 numbers written by hand: what calling a compiled one is held against.
//!
//! The weights lie as the vectors of a processor want them, so that each step adds one row.

/// The numbers that go in.
pub const N_IN: usize = 18;
/// The numbers between the layers.
pub const N_HIDDEN: usize = 32;
/// The numbers that come out.
pub const N_OUT: usize = 12;

/// Two layers with a rectifier between.
pub struct ByHand {
    /// The first layer's weights by input.
    pub weight_1: [[f32; N_HIDDEN]; N_IN],
    /// The first layer's bias.
    pub bias_1: [f32; N_HIDDEN],
    /// The second layer's weights by input.
    pub weight_2: [[f32; N_OUT]; N_HIDDEN],
    /// The second layer's bias.
    pub bias_2: [f32; N_OUT],
}

impl ByHand {
    /// A network whose parameters are `value` of their number, layer by layer, weights as PyTorch
    /// orders them before biases.
    pub fn new(value: impl Fn(usize) -> f32) -> ByHand {
        let mut network = ByHand {
            weight_1: [[0.0; N_HIDDEN]; N_IN],
            bias_1: [0.0; N_HIDDEN],
            weight_2: [[0.0; N_OUT]; N_HIDDEN],
            bias_2: [0.0; N_OUT],
        };
        let mut numbers = (0..).map(value);
        let mut next = || numbers.next().expect("the numbers do not end");
        for output in 0..N_HIDDEN {
            network.weight_1.iter_mut().for_each(|row| row[output] = next());
        }
        network.bias_1.fill_with(&mut next);
        for output in 0..N_OUT {
            network.weight_2.iter_mut().for_each(|row| row[output] = next());
        }
        network.bias_2.fill_with(&mut next);
        network
    }

    /// The network's answer.
    pub fn forward(&self, x: &[f32; N_IN]) -> [f32; N_OUT] {
        let mut hidden = self.bias_1;
        for (x, row) in x.iter().zip(&self.weight_1) {
            add_scaled(&mut hidden, *x, row);
        }
        let hidden = hidden.map(|h| h.max(0.0));
        let mut out = self.bias_2;
        for (h, row) in hidden.iter().zip(&self.weight_2) {
            add_scaled(&mut out, *h, row);
        }
        out
    }
}

/// `sum += factor · row`.
fn add_scaled<const N: usize>(sum: &mut [f32; N], factor: f32, row: &[f32; N]) {
    for (sum, weight) in sum.iter_mut().zip(row) {
        // Where there is no such instruction, `mul_add` would call a function.
        *sum = match cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            true => factor.mul_add(*weight, *sum),
            false => factor * *weight + *sum,
        };
    }
}
