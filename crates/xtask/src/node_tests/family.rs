//! The families by which operators are counted.

use std::path::Path;

use tracelift_import::wire::read_model;

use super::case::Case;

/// A family: what it is called and its operators.
const FAMILIES: &[(&str, &str)] = &[
    (
        "01 convolution and pooling",
        "Conv ConvTranspose MaxPool AveragePool GlobalAveragePool \
      GlobalMaxPool GlobalLpPool LpPool MaxUnpool",
    ),
    ("02 products", "MatMul Gemm Einsum"),
    (
        "03 normalisation",
        "BatchNormalization LayerNormalization RMSNormalization \
      InstanceNormalization GroupNormalization LRN MeanVarianceNormalization LpNormalization",
    ),
    (
        "04 activations",
        "Clip Softmax LogSoftmax Dropout Gelu Hardmax Relu LeakyRelu PRelu Elu Selu Celu \
      ThresholdedRelu Sigmoid HardSigmoid HardSwish Mish Softplus Softsign Tanh Swish Shrink",
    ),
    (
        "05 arithmetic, comparison, logic",
        "Add Sub Mul Div Mod Pow Min Max Sum Mean Abs Neg Sign \
      Reciprocal Sqrt Exp Log Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Erf Floor Ceil \
      Round And Or Xor Not Equal Less LessOrEqual Greater GreaterOrEqual Where IsNaN IsInf",
    ),
    (
        "06 shape and movement",
        "Trilu Split Concat CenterCropPad Shape Size Reshape Flatten Slice Range \
      Transpose Squeeze Unsqueeze Pad Expand Tile DepthToSpace SpaceToDepth Identity Constant \
      ConstantOfShape EyeLike ReverseSequence",
    ),
    (
        "07 gather and scatter",
        "Gather GatherElements GatherND Scatter ScatterElements ScatterND OneHot \
      TensorScatter",
    ),
    (
        "08 reductions",
        "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 \
      ReduceLogSum ReduceLogSumExp ReduceSumSquare ArgMax ArgMin TopK CumSum CumProd",
    ),
    ("09 casts", "Cast CastLike BitCast"),
    ("10 attention", "Attention RotaryEmbedding"),
    (
        "11 resampling",
        "Resize GridSample AffineGrid Col2Im DeformConv RoiAlign MaxRoiPool Upsample",
    ),
    ("12 recurrent", "LSTM GRU RNN"),
    ("13 losses", "SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss"),
    (
        "14 quantised",
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearMatMul QLinearConv \
      MatMulInteger ConvInteger",
    ),
    ("15 bits", "BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot"),
    ("16 data-dependent shapes", "NonMaxSuppression Unique Compress NonZero"),
    ("17 signal", "DFT STFT HannWindow HammingWindow BlackmanWindow MelWeightMatrix Det"),
    ("18 linear attention", "LinearAttention CausalConvWithState FlexAttention"),
    ("19 optimisers", "Adam Adagrad Momentum"),
    ("20 control flow", "If Loop Scan"),
];

/// The family of a case: that of the operator it is about.
pub fn of(data: &Path, case: &Case) -> &'static str {
    if case.suite != "node" {
        return match case.suite {
            "simple" => "suite simple",
            "pytorch-converted" => "suite pytorch-converted",
            _ => "suite pytorch-operator",
        };
    }
    let base = data.join(case.suite).join(case.base_name()).join("model.onnx");
    let path = if base.is_file() { base } else { case.model_path() };
    let op_type = read_model(&path).ok().and_then(|model| {
        let nodes = &model.graph().node;
        nodes
            .iter()
            .find(|node| node.op_type != "Constant")
            .or(nodes.first())
            .map(|n| n.op_type.clone())
    });
    let op_type = op_type.unwrap_or_default();
    let family = FAMILIES.iter().find(|(_, list)| list.split_whitespace().any(|op| op == op_type));
    family.map_or("21 others", |(name, _)| name)
}
