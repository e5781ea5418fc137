//! Single kernels as small graphs, with what they must compute at least.

use std::fmt;

use tracelift::{
    frontend::{
        TraceError, Var, f32,
        nn::{self, Forward},
        trace,
    },
    ir::Graph,
};

/// The kinds of kernel, each with a roof of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A product of an activation and weights.
    Gemm,
    /// A product of one row and weights: as fast as the weights can be read.
    Gemv,
    /// A convolution over all channels.
    Convolution,
    /// A convolution over each channel by itself.
    Depthwise,
    /// The exact GELU.
    Gelu,
    /// Rows that are normalised.
    Rows,
}

/// A kernel to measure.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name, such as `gemm 128x768x3072`.
    pub name: String,
    /// What bounds it.
    pub kind: Kind,
    /// The operations that the usual count gives: two per multiply-add, products with padding
    /// included.
    pub flops: u64,
    /// The bytes of its operands and its result.
    pub bytes: u64,
    /// The number of elements of the result.
    pub n_elements: u64,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Product { m: usize, k: usize, n: usize },
    Image(Image),
    Gelu { rows: usize, columns: usize },
    Softmax { rows: usize, columns: usize },
    LayerNorm { rows: usize, columns: usize },
}

/// A convolution of a square image with padding that keeps its size, divided by the stride.
#[derive(Clone, Copy, Debug)]
struct Image {
    inputs: usize,
    outputs: usize,
    extent: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

/// Rows, depth and columns of the products measured.
pub const PRODUCTS: [(usize, usize, usize); 6] = [
    (1024, 1024, 1024),
    (128, 768, 768),
    (128, 768, 3072),
    (128, 3072, 768),
    (49, 2048, 512),
    (3136, 64, 256),
];

/// The convolutions of ResNet-50 of 1 × 1 and 3 × 3: input and output channels, extent of the
/// input, extent of the kernel, stride.
pub const RESNET50: [(usize, usize, usize, usize, usize); 22] = [
    (64, 64, 56, 1, 1),
    (64, 256, 56, 1, 1),
    (256, 64, 56, 1, 1),
    (256, 128, 56, 1, 1),
    (256, 512, 56, 1, 2),
    (128, 512, 28, 1, 1),
    (512, 128, 28, 1, 1),
    (512, 256, 28, 1, 1),
    (512, 1024, 28, 1, 2),
    (256, 1024, 14, 1, 1),
    (1024, 256, 14, 1, 1),
    (1024, 512, 14, 1, 1),
    (1024, 2048, 14, 1, 2),
    (512, 2048, 7, 1, 1),
    (2048, 512, 7, 1, 1),
    (64, 64, 56, 3, 1),
    (128, 128, 56, 3, 2),
    (128, 128, 28, 3, 1),
    (256, 256, 28, 3, 2),
    (256, 256, 14, 3, 1),
    (512, 512, 14, 3, 2),
    (512, 512, 7, 3, 1),
];

/// The depthwise convolutions of MobileNetV2: channels, extent of the input, stride.
pub const MOBILENET_V2: [(usize, usize, usize); 10] = [
    (32, 112, 1),
    (96, 112, 2),
    (144, 56, 1),
    (144, 56, 2),
    (192, 28, 1),
    (192, 28, 2),
    (384, 14, 1),
    (576, 14, 2),
    (576, 14, 1),
    (960, 7, 1),
];

/// Every kernel measured.
pub fn cases() -> Vec<Case> {
    let mut out: Vec<Case> =
        PRODUCTS.iter().map(|&(m, k, n)| product(Kind::Gemm, m, k, n)).collect();
    out.push(product(Kind::Gemv, 1, 768, 3072));
    for (inputs, outputs, extent, kernel, stride) in RESNET50 {
        let image = Image { inputs, outputs, extent, kernel, stride, groups: 1 };
        out.push(convolution(Kind::Convolution, image));
    }
    for (channels, extent, stride) in MOBILENET_V2 {
        let (inputs, outputs, groups) = (channels, channels, channels);
        let image = Image { inputs, outputs, extent, kernel: 3, stride, groups };
        out.push(convolution(Kind::Depthwise, image));
    }
    out.push(rows(Kind::Gelu, "gelu", Shape::Gelu { rows: 128, columns: 3072 }));
    out.push(rows(Kind::Rows, "softmax", Shape::Softmax { rows: 1536, columns: 128 }));
    out.push(rows(Kind::Rows, "layer norm", Shape::LayerNorm { rows: 128, columns: 768 }));
    out
}

fn product(kind: Kind, m: usize, k: usize, n: usize) -> Case {
    let name = if kind == Kind::Gemv { "gemv" } else { "gemm" };
    Case {
        name: format!("{name} {m}x{k}x{n}"),
        kind,
        flops: 2 * (m * k * n) as u64,
        bytes: 4 * (m * k + k * n + m * n) as u64,
        n_elements: (m * n) as u64,
        shape: Shape::Product { m, k, n },
    }
}

fn convolution(kind: Kind, image: Image) -> Case {
    let Image { inputs, outputs, extent, kernel, stride, groups } = image;
    let n_elements = outputs * extent.div_ceil(stride) * extent.div_ceil(stride);
    let n_weights = outputs * inputs / groups * kernel * kernel;
    let name = match kind {
        Kind::Depthwise => format!("depthwise {kernel}x{kernel}/{stride} {inputs}@{extent}"),
        _ => format!("conv {kernel}x{kernel}/{stride} {inputs}→{outputs}@{extent}"),
    };
    Case {
        name,
        kind,
        flops: 2 * (n_elements * (inputs / groups) * kernel * kernel) as u64,
        bytes: 4 * (inputs * extent * extent + n_weights + n_elements) as u64,
        n_elements: n_elements as u64,
        shape: Shape::Image(image),
    }
}

fn rows(kind: Kind, name: &str, shape: Shape) -> Case {
    let (Shape::Gelu { rows, columns }
    | Shape::Softmax { rows, columns }
    | Shape::LayerNorm { rows, columns }) = shape
    else {
        unreachable!("rows have rows and columns");
    };
    let n_elements = (rows * columns) as u64;
    let name = format!("{name} {rows}x{columns}");
    Case { name, kind, flops: 0, bytes: 8 * n_elements, n_elements, shape }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Case {
    /// The kernel as a graph of one layer.
    ///
    /// # Errors
    /// Never: the shapes fit.
    pub fn graph(&self) -> Result<Graph, TraceError> {
        match self.shape {
            Shape::Product { m, k, n } => one(&[m, k], |x| nn::Linear::new(k, n).forward(x)),
            Shape::Image(i) => {
                let layer = nn::Conv2d::new(i.inputs, i.outputs, i.kernel);
                let layer = layer.stride(i.stride).padding(i.kernel / 2).groups(i.groups);
                one(&[1, i.extent, i.extent, i.inputs], |x| {
                    layer.forward(&x.permute([0, 3, 1, 2])).permute([0, 2, 3, 1])
                })
            }
            Shape::Gelu { rows, columns } => one(&[rows, columns], |x| nn::GELU::new().forward(x)),
            Shape::Softmax { rows, columns } => {
                one(&[rows, columns], |x| nn::Softmax::new(-1).forward(x))
            }
            Shape::LayerNorm { rows, columns } => {
                one(&[rows, columns], |x| nn::LayerNorm::new([columns]).forward(x))
            }
        }
    }

    /// The share of the usual count's operations whose operand is not padding.
    pub fn unpadded_share(&self) -> f64 {
        let Shape::Image(i) = self.shape else { return 1.0 };
        let (pad, n_out) = (i.kernel / 2, i.extent.div_ceil(i.stride));
        let taps = |o: usize| {
            (0..i.kernel).filter(|t| (pad..pad + i.extent).contains(&(o * i.stride + t))).count()
        };
        let inside = (0..n_out).map(taps).sum::<usize>() as f64 / (n_out * i.kernel) as f64;
        inside * inside
    }
}

fn one(shape: &[usize], layer: impl FnOnce(&Var) -> Var) -> Result<Graph, TraceError> {
    trace("kernel", &[("x", f32(shape))], |[x]| layer(&x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_a_graph_of_the_result_it_says() {
        let cases = cases();
        assert_eq!(cases.len(), 6 + 1 + 22 + 10 + 3);
        for case in cases {
            let graph = case.graph().unwrap();
            let ty = graph.ty(graph.results()[0].value);
            let n: usize = ty.shape.as_consts().unwrap().iter().product();
            assert_eq!(n as u64, case.n_elements, "{}", case.name);
        }
    }

    #[test]
    fn the_convolutions_are_those_of_resnet_50() {
        // Its bottlenecks, without the first layer and the last: 7.72 GFLOP of 8.18 (torchvision
        // 0.29.2, torch's flop counter), counting how often each shape occurs.
        let count = |c: &(usize, usize, usize, usize, usize)| match *c {
            (64, 256, 56, 1, 1) => 4,
            (256, 64, 56, 1, 1) => 2,
            (128, 512, 28, 1, 1) | (64, 64, 56, 3, 1) => [4, 3][usize::from(c.3 == 3)],
            (512, 128, 28, 1, 1) | (128, 128, 28, 3, 1) => 3,
            (256, 1024, 14, 1, 1) => 6,
            (1024, 256, 14, 1, 1) | (256, 256, 14, 3, 1) => 5,
            (512, 2048, 7, 1, 1) => 3,
            (2048, 512, 7, 1, 1) | (512, 512, 7, 3, 1) => 2,
            _ => 1,
        };
        let flops = |&(inputs, outputs, extent, kernel, stride): &(_, _, _, _, _)| {
            let image = Image { inputs, outputs, extent, kernel, stride, groups: 1 };
            convolution(Kind::Convolution, image).flops
        };
        let total: u64 = RESNET50.iter().map(|c| count(c) * flops(c)).sum();
        let (first, last) = (2 * 112 * 112 * 64 * 147, 2 * 2048 * 1000);
        assert_eq!(total + first + last, 8_178_368_512);
    }

    #[test]
    fn padding_is_left_out_of_the_unpadded_share() {
        let case = |extent, stride| {
            let image = Image { inputs: 1, outputs: 1, extent, kernel: 3, stride, groups: 1 };
            convolution(Kind::Convolution, image).unpadded_share()
        };
        assert!((case(7, 1) - (19.0f64 / 21.0).powi(2)).abs() < 1e-12);
        assert!((case(56, 2) - (83.0f64 / 84.0).powi(2)).abs() < 1e-12);
        assert_eq!(product(Kind::Gemm, 2, 3, 4).unpadded_share(), 1.0);
    }
}
