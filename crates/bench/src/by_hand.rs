//! A network of 18, 32 and 12 numbers written by hand: what calling a compiled one is held against.
//!
//! Twice: with the loops of the definition, and with the weights as the vectors of a processor want
//! them, so that each step adds one row.

/// The numbers that go in.
pub const N_IN: usize = 18;
/// The numbers between the layers.
pub const N_HIDDEN: usize = 32;
/// The numbers that come out.
pub const N_OUT: usize = 12;

/// Two layers with a rectifier between, by the loops of the definition.
pub struct Plain {
    /// The first layer's weights by output.
    pub weight_1: [[f32; N_IN]; N_HIDDEN],
    /// The first layer's bias.
    pub bias_1: [f32; N_HIDDEN],
    /// The second layer's weights by output.
    pub weight_2: [[f32; N_HIDDEN]; N_OUT],
    /// The second layer's bias.
    pub bias_2: [f32; N_OUT],
}

impl Plain {
    /// A network whose parameters are `value` of their number, layer by layer, weights as PyTorch
    /// orders them before biases.
    pub fn new(value: impl Fn(usize) -> f32) -> Plain {
        let mut numbers = (0..).map(value);
        let mut next = || numbers.next().expect("the numbers do not end");
        Plain {
            weight_1: std::array::from_fn(|_| std::array::from_fn(|_| next())),
            bias_1: std::array::from_fn(|_| next()),
            weight_2: std::array::from_fn(|_| std::array::from_fn(|_| next())),
            bias_2: std::array::from_fn(|_| next()),
        }
    }

    /// The network's answer.
    pub fn forward(&self, x: &[f32; N_IN]) -> [f32; N_OUT] {
        let hidden = layer(&self.weight_1, &self.bias_1, x).map(|h| h.max(0.0));
        layer(&self.weight_2, &self.bias_2, &hidden)
    }
}

fn layer<const I: usize, const O: usize>(
    weight: &[[f32; I]; O],
    bias: &[f32; O],
    x: &[f32; I],
) -> [f32; O] {
    let mut out = *bias;
    for (sum, row) in out.iter_mut().zip(weight) {
        for (w, x) in row.iter().zip(x) {
            *sum += w * x;
        }
    }
    out
}

/// Two layers with a rectifier between, laid out for vectors.
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
    /// The network with the parameters of another.
    pub fn new(network: &Plain) -> ByHand {
        let Plain { weight_1, bias_1, weight_2, bias_2 } = network;
        ByHand {
            weight_1: std::array::from_fn(|i| std::array::from_fn(|o| weight_1[o][i])),
            bias_1: *bias_1,
            weight_2: std::array::from_fn(|i| std::array::from_fn(|o| weight_2[o][i])),
            bias_2: *bias_2,
        }
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
