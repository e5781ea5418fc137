//! Layers and methods against PyTorch.
//!
//! Values: PyTorch 2.15.0, `data/make_fixture.py`.

use std::path::Path;

use tracelift_frontend::{
    Var,
    nn::{self, Forward, Module, StateDict},
    spec, trace_list,
};
use tracelift_ir::{Graph, interpret};
use tracelift_tensor::{DType, Tensor};

const RTOL: f64 = 1e-5;
const ATOL: f64 = 1e-6;

struct Case {
    name: &'static str,
    inputs: Vec<Tensor>,
    parameters: StateDict,
    output: Tensor,
}

impl Case {
    fn read(all: &StateDict, name: &'static str) -> Case {
        let own = all.under(&format!("{name}/"));
        let inputs = (0..).map_while(|k| own.get(&format!("in.{k}")).cloned()).collect();
        let output = own.get("out").expect("the fixture has the case").clone();
        Case { name, inputs, parameters: own.under("param."), output }
    }

    fn trace(&self, f: impl FnOnce(&[Var]) -> Var) -> Graph {
        let names: Vec<String> = (0..self.inputs.len()).map(|k| format!("x{k}")).collect();
        let specs: Vec<_> = names
            .iter()
            .zip(&self.inputs)
            .map(|(name, x)| (name.as_str(), spec(x.dtype(), x.shape())))
            .collect();
        trace_list(self.name, &specs, f).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn check(&self, f: impl FnOnce(&[Var]) -> Var) {
        let found = interpret(&self.trace(f), &self.inputs).unwrap().remove(0);
        assert_eq!(found.dtype(), self.output.dtype(), "{}", self.name);
        assert_eq!(found.shape(), self.output.shape(), "{}", self.name);
        for (k, (a, b)) in found.iter().zip(self.output.iter()).enumerate() {
            let (a, b) = (a.to_f64(), b.to_f64());
            let fits = (a - b).abs() <= ATOL + RTOL * b.abs() || a == b;
            assert!(fits, "{}: element {k}: found {a}, expected {b}", self.name);
        }
    }
}

fn fixture() -> StateDict {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/modules.safetensors");
    StateDict::read(&path).unwrap()
}

/// Loads the parameters and compares the layer's result.
fn check(all: &StateDict, name: &'static str, module: impl Forward) {
    let case = Case::read(all, name);
    module.load_state_dict(&case.parameters).unwrap();
    case.check(|x| module.forward(&x[0]));
}

#[test]
fn convolutions_and_linear_layers_agree_with_pytorch() {
    let all = &fixture();
    check(all, "conv", nn::Conv2d::new(4, 6, 3));
    let options = nn::Conv2d::new(4, 8, (3, 2)).stride((2, 1)).padding((1, 2)).dilation((1, 2));
    check(all, "conv_options", options.groups(2).bias(false));
    check(all, "conv_depthwise", nn::Conv2d::new(4, 4, 3).padding(1).groups(4));
    check(all, "conv_unbatched", nn::Conv2d::new(4, 3, 1));
    check(all, "linear", nn::Linear::new(5, 3));
    check(all, "linear_vector", nn::Linear::new(5, 3).bias(false));
}

#[test]
fn poolings_agree_with_pytorch() {
    let all = &fixture();
    check(all, "max_pool", nn::MaxPool2d::new(2));
    let options = nn::MaxPool2d::new((3, 2)).stride(2).padding(1).dilation((1, 2));
    check(all, "max_pool_options", options);
    let wide = nn::MaxPool2d::new(3).stride(2).padding(1);
    check(all, "max_pool_ceil", wide.ceil_mode(true));
    check(all, "avg_pool", nn::AvgPool2d::new(2));
    let wide = nn::AvgPool2d::new(3).stride(2).padding(1);
    check(all, "avg_pool_pad", wide);
    check(all, "avg_pool_exclude", wide.count_include_pad(false));
    check(all, "avg_pool_ceil", wide.ceil_mode(true));
    let odd = nn::AvgPool2d::new((2, 3)).stride(3).padding(1).ceil_mode(true);
    check(all, "avg_pool_ceil_exclude", odd.count_include_pad(false));
}

#[test]
fn norms_and_embedding_agree_with_pytorch() {
    let all = &fixture();
    check(all, "batch_norm", nn::BatchNorm2d::new(4));
    check(all, "batch_norm_plain", nn::BatchNorm2d::new(4).eps(1e-2).affine(false));
    check(all, "layer_norm", nn::LayerNorm::new(8));
    check(all, "layer_norm_axes", nn::LayerNorm::new([9, 8]).eps(1e-3));
    check(all, "layer_norm_no_bias", nn::LayerNorm::new(8).bias(false));
    check(all, "layer_norm_plain", nn::LayerNorm::new(8).elementwise_affine(false));
    check(all, "embedding", nn::Embedding::new(7, 3));
}

#[test]
fn activations_and_structural_layers_agree_with_pytorch() {
    let all = &fixture();
    check(all, "relu", nn::ReLU::new());
    check(all, "gelu", nn::GELU::new());
    check(all, "gelu_tanh", nn::GELU::new().approximate(nn::GeluApproximation::Tanh));
    check(all, "silu", nn::SiLU::new());
    check(all, "tanh", nn::Tanh::new());
    check(all, "sigmoid", nn::Sigmoid::new());
    check(all, "softmax", nn::Softmax::new(-2));
    check(all, "dropout", nn::Dropout::new(0.3));
    check(all, "flatten", nn::Flatten::new());
    check(all, "flatten_axes", nn::Flatten::new().axes(2, -1));
    let cnn = nn::sequential![
        nn::Conv2d::new(1, 3, 3).padding(1),
        nn::BatchNorm2d::new(3),
        nn::ReLU::new(),
        nn::MaxPool2d::new(2),
        nn::Flatten::new(),
        nn::Linear::new(27, 8),
        nn::GELU::new(),
        nn::Dropout::new(0.5),
        nn::Linear::new(8, 4),
    ];
    check(all, "cnn", cnn);
}

#[test]
fn attention_agrees_with_pytorch() {
    let all = &fixture();
    let attend =
        |name, attention: nn::MultiheadAttention, masks: &dyn Fn(&[Var]) -> nn::Attention| {
            let case = Case::read(all, name);
            attention.load_state_dict(&case.parameters).unwrap();
            case.check(|x| {
                // One tensor given three times is self-attention, which projects in one product.
                let one = case.inputs[0] == case.inputs[1];
                let [k, v] = if one { [&x[0], &x[0]] } else { [&x[1], &x[2]] };
                attention.forward(&x[0], k, v, &masks(x))
            });
        };
    let attention = |heads| nn::MultiheadAttention::new(8, heads);
    let first = |heads| attention(heads).batch_first(true);
    attend("attention_self", first(2), &|_| nn::Attention::new());
    attend("attention_cross", attention(2), &|_| nn::Attention::new());
    attend("attention_no_bias", first(4).bias(false), &|_| nn::Attention::new());
    attend("attention_mask", first(2), &|x| nn::Attention::new().attn_mask(&x[3]));
    attend("attention_mask", first(2), &|_| nn::Attention::new().causal());
    attend("attention_float_mask", first(2), &|x| nn::Attention::new().attn_mask(&x[3]));
    let both = |x: &[Var]| nn::Attention::new().attn_mask(&x[3]).key_padding_mask(&x[4]);
    attend("attention_both_masks", first(2), &both);
}

#[test]
fn arithmetic_agrees_with_pytorch() {
    let all = &fixture();
    let check = |name, f: &dyn Fn(&[Var]) -> Var| Case::read(all, name).check(f);
    check("op_arithmetic", &|x| {
        let (a, b) = (&x[0], &x[1]);
        (2 - a) * b / (a * a + 1) - 3.0 * a + -b
    });
    check("op_remainder", &|x| &x[0] % &x[1] + x[0].fmod(&x[1]) % 0.7);
    check("op_where", &|x| {
        let a = &x[0];
        a.where_(&a.gt(0), -2.0).masked_fill(&(a.lt(0.5) & !a.lt(0.1)), 9.0)
    });
    check("op_to", &|x| (&x[0] * 10).to(DType::I32));
    check("op_clamp", &|x| {
        let a = &x[0];
        a.clamp(-0.5, 0.5) + a.abs().sqrt().rsqrt() + a.sign() * a.exp().log()
    });
    check("op_matmul", &|x| x[0].matmul(&x[1]));
    check("op_matmul_vector", &|x| x[0].matmul(&x[1]));
    check("op_matmul_row", &|x| x[0].matmul(&x[1]));
}

#[test]
fn reductions_agree_with_pytorch() {
    let all = &fixture();
    let check = |name, f: &dyn Fn(&[Var]) -> Var| Case::read(all, name).check(f);
    check("op_reduce", &|x| {
        let a = &x[0];
        a.sum(-1) + a.max(2) * a.mean(-1) - a.min(-1) + a.prod(-1) + a.logsumexp(2)
    });
    check("op_var", &|x| x[0].var([0, 2], 1) + x[0].var([2, 0], 0));
    check("op_integer_sum", &|x| x[0].sum(1));
    check("op_cumsum", &|x| x[0].cumsum(1));
    check("op_arg", &|x| x[0].argmax(-1) * 10 + x[0].argmin(-1));
    check("op_log_softmax", &|x| x[0].log_softmax(1));
    check("op_topk", &|x| {
        let [values, positions] = x[0].topk(2, 1);
        values + positions.to(DType::F32)
    });
}

#[test]
fn movement_agrees_with_pytorch() {
    let all = &fixture();
    let check = |name, f: &dyn Fn(&[Var]) -> Var| Case::read(all, name).check(f);
    check("op_shape", &|x| {
        let flat = x[0].permute([2, 0, 1]).reshape([4, -1]);
        flat.t().unsqueeze(-1).expand([-1, -1, 2]).flatten(1, -1)
    });
    check("op_slice", &|x| {
        let a = &x[0];
        let parts = [a.slice(1, ..-1).slice(2, -2..), a.narrow(2, 1, 2).slice(1, 2..)];
        a.slice(1, 1..).slice_step(2, .., 2).cat(&[&parts[0], &parts[1]], 1)
    });
    check("op_chunk", &|x| {
        let [low, high] = x[0].chunk(-1);
        high - low + x[0].split(&[1, 2], 1)[1].select(2, 3).unsqueeze(-1).sum_keepdim(1)
    });
    check("op_stack", &|x| x[0].stack(&[&x[1]], -2));
    check("op_gather", &|x| x[0].gather(2, &x[1]));
    check("op_index_select", &|x| x[0].index_select(1, &x[1]));
    check("op_tril", &|x| x[0].tril(-1) + x[0].triu(1) * 2);
}
