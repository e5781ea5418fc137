//! What a user reads after a mistake in a traced program.

use tracelift_frontend::{
    Mistake, MistakeKind, Var, f32, i64,
    nn::{self, Forward, Module},
    trace,
};
use tracelift_tensor::DType;

/// The small CNN with a given first `Linear`, and the lines of its `Flatten` and that `Linear`.
struct SmallCnn {
    features: nn::Sequential,
    head: nn::Sequential,
}

impl Module for SmallCnn {
    fn visit(&self, visitor: &mut nn::Visitor<'_>) {
        visitor.child("features", &self.features).child("head", &self.head);
    }
}

/// The line of `SmallCnn::forward`.
const FORWARD: u32 = line!() + 4;

impl Forward for SmallCnn {
    fn forward(&self, x: &Var) -> Var {
        self.head.forward(&self.features.forward(x))
    }
}

fn small_cnn(features: usize) -> (SmallCnn, u32) {
    let model = SmallCnn {
        features: nn::sequential![
            nn::Conv2d::new(1, 32, 3).padding(1),
            nn::ReLU::new(),
            nn::MaxPool2d::new(2),
            nn::Conv2d::new(32, 64, 3).padding(1),
            nn::ReLU::new(),
            nn::MaxPool2d::new(2),
        ],
        head: nn::sequential![
            nn::Flatten::new(),
            nn::Linear::new(features, 128),
            nn::ReLU::new(),
            nn::Linear::new(128, 10),
        ],
    };
    (model, line!() - 5)
}

/// The only mistake of a function of `x: f32[2, 3]`.
fn only(f: impl FnOnce(Var) -> Var) -> Mistake {
    let error = trace("f", &[("x", f32([2, 3]))], |[x]| f(x)).unwrap_err();
    assert_eq!(error.mistakes.len(), 1, "{error}");
    error.mistakes.into_iter().next().unwrap()
}

#[test]
fn a_linear_layer_of_the_wrong_width_is_refused_at_its_line() {
    let (model, line) = small_cnn(64 * 6 * 6);
    let spec = [("x", f32([1, 1, 32, 32]))];
    let error = trace("cnn", &spec, |[x]| model.call(&x)).unwrap_err();
    let file = file!();
    let expected = [
        format!("error[TL0401]: {file}:{line}:13: Linear: input has 4096 features, expected 2304"),
        format!("  found:    f32[1, 4096]  (from Flatten at {file}:{})", line - 1),
        "  expected: last dimension 2304 (weight head.1.weight: f32[128, 2304])".into(),
        "  hint:     Linear(4096, 128) would fit this input".into(),
        "  module:   head.1".into(),
    ];
    let text = error.to_string();
    // The last line says where the sequence is applied.
    assert!(text.starts_with(&expected.join("\n")), "{text}");
    let applied = &error.mistakes[0].also.unwrap();
    assert_eq!((applied.0, applied.1.file(), applied.1.line()), ("applied", file, FORWARD));
    let (fitting, _) = small_cnn(64 * 8 * 8);
    assert!(trace("cnn", &spec, |[x]| fitting.call(&x)).is_ok());
}

#[test]
fn a_layer_applied_by_hand_is_refused_where_it_is_applied_and_says_where_it_was_built() {
    let layer = nn::Linear::new(4, 2);
    let built = line!() - 1;
    let mistake = only(|x| layer.forward(&x));
    assert_eq!((mistake.place.line(), mistake.place.file()), (line!() - 1, file!()));
    let (role, place) = mistake.also.unwrap();
    assert_eq!((role, place.line()), ("built", built));
    assert!(mistake.expected.contains("weight weight: f32[2, 4]"), "{mistake}");
}

#[test]
fn wrong_channels_are_refused() {
    let conv = nn::Conv2d::new(3, 8, 3);
    let spec = [("x", f32([1, 32, 32, 3]))];
    let error = trace("f", &spec, |[x]| conv.forward(&x)).unwrap_err().mistakes.remove(0);
    assert_eq!(error.kind, MistakeKind::LayerInput);
    assert_eq!(error.message, "Conv2d: input has 32 channels, expected 3");
    assert_eq!(error.hint, "the input looks channels-last; permute([0, 3, 1, 2]) it first");
    assert_eq!(error.found, "f32[1, 32, 32, 3]  (input x)");
    let norm = nn::BatchNorm2d::new(3);
    let error = trace("f", &[("x", f32([1, 4, 2, 2]))], |[x]| norm.forward(&x)).unwrap_err();
    assert_eq!(error.mistakes[0].hint, "BatchNorm2d(4) would fit this input");
}

#[test]
fn shapes_that_do_not_broadcast_are_refused() {
    let spec = [("x", f32([2, 3])), ("y", f32([2]))];
    let error = trace("f", &spec, |[x, y]| x + y).unwrap_err().mistakes.remove(0);
    let line = line!() - 1;
    assert_eq!((error.kind.code(), error.place.line()), ("TL0402", line));
    assert_eq!(error.message, "+: shapes [2, 3] and [2] do not broadcast");
    assert_eq!(error.found, "f32[2, 3]  (input x) and f32[2]  (input y)");
    assert_eq!(error.hint, "[2].unsqueeze(-1) would fit [2, 3]");
}

#[test]
fn bad_reshapes_are_refused() {
    let error = only(|x| x.reshape([4, -1]));
    assert_eq!(error.kind.code(), "TL0403");
    assert_eq!(error.message, "reshape: 6 elements do not fill [4, -1]");
    assert_eq!(only(|x| x.reshape([-1, -1])).kind, MistakeKind::Reshape);
    assert_eq!(only(|x| x.reshape([0, -1])).kind, MistakeKind::Reshape);
    assert_eq!(only(|x| x.reshape([7])).expected, "a shape of 6 elements");
}

#[test]
fn axes_out_of_range_are_refused() {
    let error = only(|x| x.softmax(2));
    assert_eq!(error.kind.code(), "TL0404");
    assert_eq!(error.message, "softmax: axis 2 of a tensor of rank 2");
    assert_eq!(error.expected, "an axis from -2 to 1");
    assert_eq!(only(|x| x.sum([0, -2])).message, "sum: axis 0 is named twice");
    assert_eq!(only(|x| x.permute([0, 0])).kind, MistakeKind::Axis);
}

#[test]
fn mixed_dtypes_are_refused() {
    let spec = [("x", f32([2])), ("n", i64([2]))];
    let error = trace("f", &spec, |[x, n]| x * n).unwrap_err().mistakes.remove(0);
    assert_eq!(error.kind.code(), "TL0405");
    assert_eq!(error.message, "*: dtypes f32 and i64 are mixed");
    assert_eq!(error.hint, "convert one of them, as with .to(DType::F32)");
    let error = trace("f", &spec, |[_, n]| n * 0.5).unwrap_err().mistakes.remove(0);
    assert_eq!(error.message, "*: the number 0.5 beside a tensor of dtype i64");
    let layer = nn::Linear::new(2, 2);
    let error = trace("f", &spec, |[_, n]| layer.forward(&n)).unwrap_err().mistakes.remove(0);
    assert_eq!(error.message, "Linear: input has dtype i64, the parameters f32");
}

#[test]
fn every_independent_mistake_is_reported_once() {
    let error = trace("f", &[("x", f32([2, 3]))], |[x]| {
        let poisoned = x.reshape([5]);
        let again = poisoned.exp() + &x;
        let other = x.matmul(&x);
        let sized = x.reshape((again.size(0), 6));
        (again.softmax(7), other, sized)
    })
    .unwrap_err();
    let codes: Vec<&str> = error.mistakes.iter().map(|m| m.kind.code()).collect();
    assert_eq!(codes, ["TL0403", "TL0407"], "{error}");
}

#[test]
fn methods_built_of_others_keep_the_callers_line() {
    for mistake in [
        only(|x| x.stack(&[&x.t()], 0)),
        only(|x| x.square().sum(-3)),
        only(|x| x.to(DType::I64).mean_keepdim(..)),
        only(|x| x.to(DType::I64) / 2),
        only(|x| x.narrow(1, 2, 2)),
        only(|x| x.select(0, -3)),
        only(|x| x.chunk::<4>(1)[0].clone()),
        only(|x| x.gather(0, &x)),
        only(|x| x.slice_step(0, .., 0)),
    ] {
        assert_eq!(mistake.place.file(), file!(), "{mistake}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_when_applied() {
    let spec = [("x", f32([1, 3, 4, 4]))];
    let refused = |layer: &dyn Forward| {
        let error = trace("f", &spec, |[x]| layer.forward(&x)).unwrap_err();
        assert_eq!(error.mistakes.len(), 1, "{error}");
        error.mistakes[0].kind
    };
    assert_eq!(refused(&nn::Conv2d::new(3, 8, 3).groups(2)), MistakeKind::Setting);
    assert_eq!(refused(&nn::Conv2d::new(3, 8, 3).groups(0)), MistakeKind::Setting);
    assert_eq!(refused(&nn::Conv2d::new(3, 8, 3).stride(0)), MistakeKind::Setting);
    assert_eq!(refused(&nn::Conv2d::new(3, 8, 5)), MistakeKind::Extent);
    assert_eq!(refused(&nn::MaxPool2d::new(2).padding(2)), MistakeKind::Setting);
    assert_eq!(refused(&nn::AvgPool2d::new(0)), MistakeKind::Setting);
    assert_eq!(refused(&nn::LayerNorm::new(5)), MistakeKind::LayerInput);
}

#[test]
fn tensors_of_two_traces_do_not_mix() {
    let mut escaped = None;
    trace("f", &[("x", f32([2]))], |[x]| {
        escaped = Some(x.clone());
        x
    })
    .unwrap();
    let escaped = escaped.unwrap();
    assert!((&escaped + 1).is_poisoned());
    let error = trace("g", &[("x", f32([2]))], |[x]| &escaped + x).unwrap_err();
    assert_eq!(error.mistakes[0].kind.code(), "TL0409");
    let error = trace("g", &[("x", f32([2]))], |[_]| escaped.clone()).unwrap_err();
    assert_eq!(error.mistakes[0].kind.code(), "TL0409");
    let inputs = [("x", f32([2])), ("x", f32([2]))];
    let error = trace("g", &inputs, |[a, b]| a + b).unwrap_err();
    assert_eq!(error.mistakes[0].kind.code(), "TL0410");
}
