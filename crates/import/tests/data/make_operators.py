"""Makes operators.npz: small models, their inputs, and the results of ONNX Runtime 1.32.0 (onnx 1.23.2).

Each case NAME is stored as NAME.model (the file's bytes), NAME.in_K and NAME.out_K. They cover what
the public node tests do not: semantics of old operator sets, operators of several results,
functions and branches.
"""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(7)
arrays = {}


def real(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def ints(values, dtype=np.int64):
    return np.array(values, dtype)


def save(name, graph, opset, inputs, functions=(), imports=()):
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), *imports],
        functions=list(functions),
        ir_version=8 if opset < 20 else 10,
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    names = [i.name for i in session.get_inputs()]
    results = session.run(None, dict(zip(names, inputs)))
    arrays[f"{name}.model"] = np.frombuffer(model.SerializeToString(), np.uint8)
    for k, array in enumerate(inputs):
        arrays[f"{name}.in_{k}"] = array
    for k, array in enumerate(results):
        arrays[f"{name}.out_{k}"] = np.asarray(array)


def value(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def case(name, op, opset, inputs, constants=(), n_outputs=1, types=None, **attributes):
    """One node; operands are the inputs, then the constants (None leaves an operand out)."""
    in_names = [f"x{k}" for k in range(len(inputs))]
    initializers, names = [], list(in_names)
    for k, constant in enumerate(constants):
        if constant is None:
            names.append("")
        else:
            names.append(f"c{k}")
            initializers.append(numpy_helper.from_array(constant, f"c{k}"))
    outputs = [f"y{k}" for k in range(n_outputs)]
    types = types or [inputs[0].dtype if inputs else np.float32] * n_outputs
    infos = [helper.make_tensor_value_info(o, helper.np_dtype_to_tensor_dtype(np.dtype(t)), None) for o, t in zip(outputs, types)]
    node = helper.make_node(op, names, outputs, name=f"the_{op}", **attributes)
    graph = helper.make_graph([node], name, [value(n, a) for n, a in zip(in_names, inputs)], infos, initializers)
    save(name, graph, opset, inputs)


i64 = np.int64
# Semantics of old operator sets.
for op in ["Softmax", "LogSoftmax", "Hardmax"]:
    case(f"{op.lower()}_11_flattens", op, 11, [real(2, 3, 4)], axis=1)
case("clip_6_attributes", "Clip", 7, [real(3, 4)], min=-0.5, max=0.25)
case("clip_6_no_bounds", "Clip", 7, [real(3)])
case("clip_12_integers", "Clip", 12, [ints([-5, 0, 9], np.int32)], [ints(-2, np.int32), ints(3, np.int32)])
case("slice_1", "Slice", 9, [real(4, 5, 3)], starts=[1, -3], ends=[1000, -1], axes=[0, 1])
case("slice_10_steps", "Slice", 10, [real(7, 6)], [ints([-1, 0]), ints([-100, 100]), ints([0, 1]), ints([-2, 4])])
case("topk_1", "TopK", 9, [real(3, 6)], n_outputs=2, types=[np.float32, i64], k=3, axis=1)
case("topk_10", "TopK", 10, [real(3, 6)], [ints([2])], n_outputs=2, types=[np.float32, i64], axis=0)
case("split_2", "Split", 11, [real(2, 6)], n_outputs=3, split=[1, 3, 2], axis=1)
case("split_18_uneven", "Split", 18, [real(7, 2)], n_outputs=3, num_outputs=3)
case("squeeze_11", "Squeeze", 11, [real(1, 3, 1)], axes=[0, -1])
case("unsqueeze_11", "Unsqueeze", 11, [real(3, 2)], axes=[-1, 0])
for mode in ["constant", "edge", "reflect"]:
    case(f"pad_2_{mode}", "Pad", 10, [real(3, 4)], pads=[1, 0, 2, 2], mode=mode, value=1.5)
case("pad_19_wrap", "Pad", 19, [real(3, 4)], [ints([1, 3]), None, ints([1])], mode="wrap")
case("pad_13_crops", "Pad", 13, [real(4, 4)], [ints([-1, 1, 0, -2])])
stats = [real(3), real(3), real(3), np.abs(real(3)) + 0.1]
case("batch_norm_9", "BatchNormalization", 9, [real(2, 3, 2, 2), *stats], epsilon=1e-3)
case("batch_norm_15_trains", "BatchNormalization", 15, [real(4, 3, 5), *stats], n_outputs=3, training_mode=1, momentum=0.8)
case("gemm_7", "Gemm", 7, [real(4, 3), real(5, 4), real(5)], transA=1, transB=1, alpha=0.5, beta=2.0)
case("gemm_11_no_bias", "Gemm", 11, [real(2, 3), real(3, 4)])
case("dropout_7", "Dropout", 7, [real(3, 2)], ratio=0.7)
case("group_norm_21", "GroupNormalization", 21, [real(2, 6, 3), real(6), real(6)], num_groups=2)
case("scatter_9", "Scatter", 9, [real(3, 3)], [ints([[1, 0, 2], [0, 2, 1]]), real(2, 3)])
case("reduce_sum_11", "ReduceSum", 11, [real(2, 3, 4)], axes=[0, -1], keepdims=0)
case("reduce_mean_13", "ReduceMean", 13, [real(2, 3)], axes=[1])
case("reduce_l2_18", "ReduceL2", 18, [real(2, 3)], [ints([0])])
case("reduce_max_18_all", "ReduceMax", 18, [real(2, 3)], keepdims=0)
case("arg_max_11", "ArgMax", 11, [real(3, 4)], types=[i64], axis=-1, keepdims=0)
case("cum_sum_11", "CumSum", 11, [real(2, 5)], [ints(1, np.int32)], exclusive=1, reverse=1)
case("one_hot_9", "OneHot", 9, [ints([1, -1, 3])], [ints(3), np.array([0.5, 2.0], np.float32)], types=[np.float32], axis=0)
case("prelu_7", "PRelu", 7, [real(2, 3, 4)], [real(3, 1)])
case("cast_9", "Cast", 9, [np.array([1.9, -1.9, 0.0], np.float32)], types=[np.int32], to=TensorProto.INT32)
case("upper_bound_shape_15", "Shape", 15, [real(2, 3, 4)], types=[i64], start=-2, end=100)
# Windows.
case("max_pool_12_indices", "MaxPool", 12, [real(1, 2, 5, 6)], n_outputs=2, types=[np.float32, i64], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], storage_order=1)
case("max_pool_12_dilated", "MaxPool", 12, [real(1, 1, 7, 7)], kernel_shape=[2, 2], dilations=[2, 3], ceil_mode=1, strides=[2, 2])
case("average_pool_11_ceil", "AveragePool", 11, [real(1, 1, 6, 7)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
case("average_pool_11_same_lower", "AveragePool", 11, [real(1, 2, 5, 6)], kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")
case("conv_11_groups_same", "Conv", 11, [real(1, 4, 7, 6), real(6, 2, 3, 3), real(6)], group=2, strides=[2, 2], auto_pad="SAME_UPPER")
case("conv_11_one_axis", "Conv", 11, [real(2, 3, 9), real(4, 3, 3)], dilations=[2], pads=[2, 1])
case("conv_transpose_11", "ConvTranspose", 11, [real(1, 4, 3, 4), real(4, 2, 3, 2), real(4)], group=2, strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2], dilations=[1, 2])
case("lrn_13", "LRN", 13, [real(1, 5, 2, 2)], size=3, alpha=0.1, beta=0.6, bias=2.0)
# Products.
for k, (equation, shapes) in enumerate(
    [
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("b...i,...i->b...", [(2, 4, 3), (4, 3)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("i,j->ji", [(2,), (3,)]),
        ("ijk->", [(2, 3, 2)]),
    ]
):
    case(f"einsum_{k}", "Einsum", 12, [real(*s) for s in shapes], equation=equation)
case("matmul_13_batch", "MatMul", 13, [real(2, 1, 3, 4), real(5, 4, 2)])
case("matmul_13_vector", "MatMul", 13, [real(4), real(3, 4, 2)])
# Normalisation.
case("layer_norm_17", "LayerNormalization", 17, [real(2, 3, 4), real(3, 4), real(3, 4)], n_outputs=3, axis=1, epsilon=1e-2)
case("instance_norm_6", "InstanceNormalization", 7, [real(2, 3, 4, 2), real(3), real(3)])
case("mean_variance_13", "MeanVarianceNormalization", 13, [real(2, 3, 2, 2)])
case("lp_norm_1", "LpNormalization", 13, [real(2, 4)], p=1, axis=0)
# Arithmetic.
case("mod_13_signs", "Mod", 13, [ints([-7, 7, -7, 7, 6]), ints([3, -3, -3, 3, -3])])
case("mod_13_fmod", "Mod", 13, [np.array([-7.5, 7.5], np.float32), np.array([2.0, -2.0], np.float32)], fmod=1)
case("div_13_truncates", "Div", 13, [ints([-7, 7, -8], np.int32), ints([2, -2, 3], np.int32)])
case("pow_13_mixed", "Pow", 13, [ints([2, 3, 4], np.int32)], [np.array([3.0, 2.0, 0.5], np.float32)])
case("bit_shift_11", "BitShift", 11, [ints([1, 200, 7], np.uint8), ints([3, 1, 2], np.uint8)], direction="RIGHT")
case("is_inf_10", "IsInf", 10, [np.array([np.inf, -np.inf, np.nan, 1], np.float32)], types=[np.bool_], detect_positive=0)
case("round_11", "Round", 11, [np.array([0.5, 1.5, -0.5, 2.4], np.float32)])
# Movement.
case("range_11_float", "Range", 11, [], [np.array(1.0, np.float32), np.array(-1.2, np.float32), np.array(-0.5, np.float32)])
case("tile_13", "Tile", 13, [real(2, 3)], [ints([2, 3])])
case("eye_like_9", "EyeLike", 9, [real(3, 4)], k=-1)
case("trilu_14", "Trilu", 14, [real(2, 3, 4)], [ints(-1)], upper=0)
case("depth_to_space_11", "DepthToSpace", 11, [real(1, 8, 2, 3)], blocksize=2, mode="CRD")
case("reverse_sequence_10", "ReverseSequence", 10, [real(2, 4)], [ints([3, 1])], batch_axis=0, time_axis=1)
case("gather_nd_12", "GatherND", 12, [real(2, 3, 4)], [ints([[1], [-1]])], batch_dims=1)
case("scatter_elements_16", "ScatterElements", 16, [real(3, 3)], [ints([[0, 2], [0, -1]]), real(2, 2)], axis=1, reduction="add")
case("reshape_13_keeps_and_infers", "Reshape", 13, [real(2, 3, 4)], [ints([0, -1, 2])])

# A branch that is known, and a function whose attribute comes from its caller.
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])


def branch(op, name):
    result = helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])
    return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [result])


condition = numpy_helper.from_array(np.array(False), "condition")
node = helper.make_node("If", ["condition"], ["y"], then_branch=branch("Neg", "a"), else_branch=branch("Exp", "b"))
save("if_known", helper.make_graph([node], "g", [x], [y], [condition]), 13, [real(3)])

inner = helper.make_node("LeakyRelu", ["v"], ["w"])
inner.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
function = helper.make_function("own", "Twice", ["v"], ["z"], [inner, helper.make_node("Add", ["w", "v"], ["z"])], [helper.make_opsetid("", 16)], ["slope"])
node = helper.make_node("Twice", ["x"], ["y"], domain="own", slope=0.25)
save("function", helper.make_graph([node], "g", [x], [y]), 16, [real(3)], [function], [helper.make_opsetid("own", 1)])

np.savez("operators.npz", **arrays)
print(len({k.split(".")[0] for k in arrays}), "cases")
