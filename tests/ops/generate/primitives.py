"""Conformance cases of the primitives."""

import numpy as np
import scipy
import torch
from generate import draw, f32, f64
from scipy import special

NUMPY = f"numpy {np.__version__}"
TORCH = f"torch {torch.__version__.split('+')[0]}"
SPECIALS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.75, 7.0, -13.0, 1e-8, -1e-30, 88.0, np.inf, -np.inf, np.nan]
UNIT = [0.0, -0.0, 1.0, -1.0, 0.5, -0.25, 0.999, 1e-8, 1.5, -2.0, np.inf, np.nan]
I32 = np.array([0, 1, -1, 7, -8, 100, 2147483647, -2147483648], np.int32)


def write(File):
    exact_unary(File)
    rounded_unary(File)
    binary(File)
    logic(File)
    comparisons(File)
    others(File)
    movement(File)
    indirect(File)
    scatters(File)
    folds(File)
    products(File)
    sources(File)


def empty(file, n=1, dtype=np.float32, out=None):
    x = np.zeros((2, 0), dtype)
    return file.case("empty", [x] * n, x if out is None else x.astype(out))


def exact_unary(File):
    floats = {"neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil,
              "round": np.rint, "trunc": np.trunc, "sqrt": np.sqrt}
    for name, f in floats.items():
        file = File(name, f"{NUMPY}, numpy.{f.__name__}")
        for x in (f32(*SPECIALS, 1.5, -0.3), f64(*SPECIALS, 2.5, 1e300)):
            y = f(x)
            if name == "sign":
                y = np.where(x == 0, 0, y).astype(x.dtype)
            file.case(f"float-{x.dtype}", [x], y)
        if name in ("neg", "abs", "sign"):
            file.case("wraps", [I32], f(I32))
            i8 = np.array([[-128, 127]], np.int8)
            file.case("narrow", [i8], f(i8))
            file.refuses("bool", ["bool[2]"], "C2")
        else:
            file.refuses("integer", ["i32[2]"], "C2")
        empty(file)
        file.refuses("arity", ["f32[2]", "f32[2]"], "C2")


def rounded_unary(File):
    plain = {"exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
             "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
             "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "erf": special.erf}
    for name, f in plain.items():
        of = f"scipy {scipy.__version__}, scipy.special.erf" if name == "erf" else f"{NUMPY}, numpy.{f.__name__}"
        file = File(name, f"{of} in f64")
        values = UNIT if name in ("asin", "acos", "atanh") else SPECIALS
        x = f32(*values, 1.75, 30.0)
        file.case("f32", [x], f(x.astype(np.float64)).astype(np.float32), ulp=4)
        x = f64(*values, 1.75, 30.0)
        file.case("f64", [x], f(x), ulp=4)
        file.case("scalar", [np.float32(0.75)], np.float32(f(np.float64(0.75))), ulp=4)
        empty(file)
        file.refuses("integer", ["i32[2]"], "C2")
    x = f32(*SPECIALS)
    file = File("is_nan", f"{NUMPY}, numpy.isnan").case("f32", [x], np.isnan(x))
    file.case("f64", [f64(*SPECIALS)], np.isnan(x)).refuses("integer", ["i64[1]"], "C2")
    empty(file, out=np.bool_)


def pairs(values, dtype):
    a, b = np.meshgrid(np.array(values, dtype), np.array(values, dtype), indexing="ij")
    return a.copy(), b.copy()


def int_div(a, b):
    wide = zip(a.ravel().tolist(), b.ravel().tolist())
    q = [0 if y == 0 else (abs(x) // abs(y)) * (1 if (x < 0) == (y < 0) else -1) for x, y in wide]
    return np.array(q, object).reshape(a.shape).astype(np.int64).astype(a.dtype)


def int_rem(a, b):
    rest = a.astype(np.int64) - b.astype(np.int64) * int_div(a, b).astype(np.int64)
    return np.where(b == 0, 0, rest).astype(a.dtype)


def binary(File):
    ints = [0, 1, -1, 7, -3, 2147483647, -2147483648]
    numbers = [0.0, 1.0, -2.5, 0.3, 1e30, np.inf, -np.inf, np.nan]
    table = {"add": (np.add, np.add), "sub": (np.subtract, np.subtract), "mul": (np.multiply, np.multiply),
             "div": (np.divide, int_div), "rem": (np.fmod, int_rem), "min": (np.minimum, np.minimum),
             "max": (np.maximum, np.maximum)}
    for name, (of_floats, of_ints) in table.items():
        file = File(name, f"{NUMPY}, numpy.{of_floats.__name__}; integers in Python's, by 0 by the specification")
        a, b = pairs(numbers, np.float32)
        file.case("f32", [a, b], of_floats(a, b))
        a, b = pairs([*numbers, 1e300], np.float64)
        file.case("f64", [a, b], of_floats(a, b))
        a, b = pairs(ints, np.int32)
        file.case("i32", [a, b], of_ints(a, b))
        a, b = pairs([0, 1, 3, 200, 255], np.uint8)
        file.case("u8", [a, b], of_ints(a, b))
        a, b = pairs([0, -1, 100, -128, 127], np.int8)
        file.case("i8", [a, b], of_ints(a, b))
        empty(file, 2)
        file.refuses("shapes", ["f32[2]", "f32[1]"], "C1").refuses("dtypes", ["f32[2]", "f64[2]"], "C2")
        file.refuses("bool", ["bool[2]", "bool[2]"], "C2")
        if name in ("min", "max"):
            zeros = [f32(-0.0, 0.0), f32(0.0, -0.0)]
            file.case("first-of-equals", zeros, zeros[0])
        if name in ("add", "sub", "mul"):
            zeros = [f32(-0.0, 0.0, -0.0, 0.0), f32(-0.0, 0.0, 0.0, -0.0)]
            file.case("signed-zeros", zeros, of_floats(*zeros))
    file = File("pow", f"{NUMPY}, numpy.power in f64; integers in Python's")
    a, b = pairs([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, -3.5, np.inf, -np.inf, np.nan], np.float32)
    file.case("f32", [a, b], np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32), ulp=4)
    file.case("f64", [a.astype(np.float64), b.astype(np.float64)], np.power(a.astype(np.float64), b), ulp=4)
    a, b = pairs([0, 1, 2, 5, 9], np.int32)
    file.case("i32", [a, b], np.power(a, b))
    a, b = np.array([0, 1, -1, -1, 2, -3], np.int64), np.array([-1, -5, -2, -3, -1, -2], np.int64)
    file.case("negative-exponents", [a, b], np.array([0, 1, 1, -1, 0, 0], np.int64))
    empty(file, 2)
    file.refuses("shapes", ["f32[2]", "f32[1]"], "C1")
    file = File("fma", f"{NUMPY}, exact in f64 and rounded once to f32")
    a, b, c = draw((4, 5), 1, scale=4096), draw((4, 5), 2, scale=4096), draw((4, 5), 3, scale=4096)
    wide = a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)
    file.case("f32", [a, b, c], wide.astype(np.float32))
    x = f32(1 + 2**-23, np.inf, np.nan, -0.0)
    file.case("one-rounding", [x, x, f32(-1, -np.inf, 1, -0.0)], f32(2**-22 + 2**-46, np.nan, np.nan, 0.0))
    empty(file, 3)
    file.refuses("integer", ["i32[1]"] * 3, "C2").refuses("shapes", ["f32[2]", "f32[2]", "f32[]"], "C1")


def logic(File):
    table = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
    for name, f in table.items():
        file = File(name, f"{NUMPY}, numpy.{f.__name__}")
        a, b = pairs([False, True], np.bool_)
        file.case("bool", [a, b], f(a, b))
        for dtype in (np.int32, np.uint8, np.int64):
            a, b = pairs([0, 1, 5, 12, 127], dtype)
            file.case(f"integer-{np.dtype(dtype)}", [a, b], f(a, b))
        empty(file, 2, np.int32)
        file.refuses("float", ["f32[1]"] * 2, "C2").refuses("shapes", ["i8[1]", "i8[]"], "C1")
    file = File("not", f"{NUMPY}, numpy.invert")
    for x in (np.array([True, False]), I32, np.array([0, 255, 7], np.uint8)):
        file.case(f"of-{x.dtype}", [x], np.invert(x))
    empty(file, dtype=np.bool_).refuses("float", ["f32[1]"], "C2")
    x, y = np.array([1, -128, 127, 5, -1], np.int8), np.array([1, 1, 2, 0, 7], np.int8)
    u = np.array([1, 2**63, 2**64 - 1], np.uint64), np.array([63, 1, 4], np.uint64)
    for name, f in (("shl", np.left_shift), ("shr", np.right_shift)):
        file = File(name, f"{NUMPY}, numpy.{f.__name__}; beyond the width by the specification")
        file.case("i8", [x, y], f(x, y)).case("u64", list(u), f(*u))
        wide = np.array([-128, 127, 3], np.int8), np.array([8, 100, -1], np.int8)
        file.case("beyond", list(wide), np.array([0, 0, 0] if name == "shl" else [-1, 0, 0], np.int8))
        empty(file, 2, np.int32)
        file.refuses("bool", ["bool[1]"] * 2, "C2").refuses("shapes", ["i8[1]", "i8[]"], "C1")


def comparisons(File):
    table = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
             "ge": np.greater_equal}
    for name, f in table.items():
        file = File(name, f"{NUMPY}, numpy.{f.__name__}")
        for dtype, values in ((np.float32, [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan]), (np.float64, [0, 1, np.nan]),
                              (np.int32, [-1, 0, 1]), (np.uint64, [0, 2**64 - 1, 2**63]), (np.bool_, [False, True])):
            a, b = pairs(values, dtype)
            file.case(f"of-{np.dtype(dtype)}", [a, b], f(a, b))
        empty(file, 2, out=np.bool_)
        file.refuses("dtypes", ["f32[1]", "f64[1]"], "C2").refuses("shapes", ["f32[2]", "f32[]"], "C1")


def others(File):
    file = File("select", f"{NUMPY}, numpy.where")
    c = np.array([True, False, True])
    for a, b in ((f32(1, 2, np.nan), f32(4, -0.0, 6)), (I32[:3], I32[3:6]), (c, ~c)):
        file.case(f"of-{a.dtype}", [c, a, b], np.where(c, a, b))
    file.refuses("condition", ["f32[1]"] * 3, "C2").refuses("shapes", ["bool[]", "f32[1]", "f32[1]"], "C1")
    file = File("cast", f"{NUMPY}, ndarray.astype; saturation by the specification")
    x = f32(0, -0.0, 1.9, -1.9, 100)
    for to, name in ((np.float64, "f64"), (np.int32, "i32"), (np.int8, "i8"), (np.bool_, "bool"), (np.float32, "f32")):
        file.case(f"f32-to-{name}", [x], x.astype(to), f"to={name}")
    file.case("saturates", [f32(np.nan, np.inf, -np.inf, 300, -1)], np.array([0, 255, 0, 255, 0], np.uint8), "to=u8")
    wide = np.array([0, 300, -1, 2**40 + 5, -(2**63)], np.int64)
    for to, name in ((np.int8, "i8"), (np.uint16, "u16"), (np.bool_, "bool"), (np.float32, "f32"), (np.uint64, "u64")):
        file.case(f"i64-to-{name}", [wide], wide.astype(to), f"to={name}")
    file.case("u64-to-f32", [np.array([2**64 - 1], np.uint64)], f32(2.0**64), "to=f32")
    file.case("bool-to-i32", [np.array([[True], [False]])], np.array([[1], [0]], np.int32), "to=i32")
    file.case("empty", [np.zeros((0, 3), np.float32)], np.zeros((0, 3), np.int64), "to=i64")
    file.refuses("arity", [], "expected 1", "to=i64")


def movement(File):
    file = File("broadcast", f"{NUMPY}, numpy.broadcast_to")
    x = draw((3, 1), 1)
    file.case("both", [x], np.broadcast_to(x, (2, 3, 4)).copy(), "shape=[2, 3, 4], axes=[1, 2]")
    file.case("scalar", [np.int8(5)], np.full((2, 2), 5, np.int8), "shape=[2, 2], axes=[]")
    y = draw((2,), 2)
    file.case("front", [y], np.broadcast_to(y[:, None], (2, 3)).copy(), "shape=[2, 3], axes=[0]")
    file.case("to-empty", [x], np.zeros((3, 0), np.float32), "shape=[3, 0], axes=[0, 1]")
    file.refuses("count", ["f32[3]"], "C1", "shape=[3], axes=[]")
    file.refuses("order", ["f32[3, 2]"], "C2", "shape=[2, 3], axes=[1, 0]")
    file.refuses("extent", ["f32[3]"], "C3", "shape=[2, 4], axes=[1]")
    file = File("reshape", f"{NUMPY}, numpy.reshape")
    x = draw((2, 3, 4), 1)
    file.case("merge", [x], x.reshape(6, 4), "shape=[6, 4]").case("regroup", [x], x.reshape(8, 3), "shape=[8, 3]")
    file.case("ones", [x], x.reshape(1, 24, 1), "shape=[1, 24, 1]")
    file.case("scalar", [np.array([[True]])], np.bool_(True), "shape=[]")
    file.case("empty", [np.zeros((0, 3), np.int16)], np.zeros((2, 0, 5), np.int16), "shape=[2, 0, 5]")
    file.refuses("count", ["f32[6]"], "C1", "shape=[5]")
    file = File("transpose", f"{NUMPY}, numpy.transpose")
    for perm in ([2, 0, 1], [0, 2, 1], [2, 1, 0]):
        file.case("-".join(map(str, perm)), [x], x.transpose(perm), f"perm={perm}")
    file.case("scalar", [f32(np.nan)[0]], f32(np.nan)[0], "perm=[]")
    file.case("empty", [np.zeros((2, 0), np.bool_)], np.zeros((0, 2), np.bool_), "perm=[1, 0]")
    file.refuses("repeats", ["f32[2, 2]"], "C1", "perm=[0, 0]").refuses("rank", ["f32[2]"], "C1", "perm=[0, 1]")
    file = File("concat", f"{NUMPY}, numpy.concatenate")
    a, b, c = draw((2, 1), 1), draw((2, 3), 2), np.zeros((2, 0), np.float32)
    file.case("last-axis", [a, b], np.concatenate([a, b], 1), "axis=1")
    file.case("with-empty", [c, a, c, b, a], np.concatenate([c, a, c, b, a], 1), "axis=1")
    t = np.array([True, False])
    file.case("first-axis", [t, ~t], np.concatenate([t, ~t])).case("one", [b], b)
    file.refuses("none", [], "C1").refuses("axis", ["f32[2]"], "C2", "axis=1")
    file.refuses("dtype", ["f32[2]", "f64[2]"], "C3").refuses("rank", ["f32[2]", "f32[2, 1]"], "C3")
    file.refuses("extent", ["f32[2, 1]", "f32[3, 1]"], "C3", "axis=1")
    slices(File)
    pads(File)
    windows(File)


def slices(File):
    file = File("slice", f"{NUMPY}, slicing")
    x = draw((5, 6), 1)
    file.case("steps", [x], x[1:4, 0:6:4], "starts=[1, 0], limits=[4, 6], strides=[1, 4]")
    file.case("down", [x], x[4:0:-2, ::-1], "starts=[4, 5], limits=[0, -1], strides=[-2, -1]")
    file.case("nothing", [x], x[2:2, :], "starts=[2, 0], limits=[2, 6], strides=[1, 1]")
    e = np.zeros((0,), np.int32)
    file.case("empty", [e], e, "starts=[0], limits=[0], strides=[3]")
    file.case("empty-down", [e], e, "starts=[-1], limits=[-1], strides=[-1]")
    t = np.array([True, False, False])
    file.case("bool", [t], t[::2], "starts=[0], limits=[3], strides=[2]")
    file.refuses("counts", ["f32[2]"], "C1", "starts=[0], limits=[2], strides=[]")
    file.refuses("stride", ["f32[2]"], "C2", "starts=[0], limits=[2], strides=[0]")
    for name, bounds in (("beyond", (0, 3, 1)), ("before", (-1, 2, 1)), ("crossed", (2, 1, 1)), ("top", (2, 0, -1)),
                         ("bottom", (1, -2, -1))):
        file.refuses(name, ["f32[2]"], "C3", "starts=[{}], limits=[{}], strides=[{}]".format(*bounds))


def pads(File):
    file = File("pad", f"{NUMPY}, assignment into a filled array")
    x = draw((2, 3), 1)

    def padded(x, low, high, interior, value):
        spread = [n + max(n - 1, 0) * i for n, i in zip(x.shape, interior)]
        grown = [(max(lo, 0), max(hi, 0)) for lo, hi in zip(low, high)]
        y = np.full([n + lo + hi for n, (lo, hi) in zip(spread, grown)], value, x.dtype)
        y[tuple(slice(lo, lo + n, i + 1) for n, (lo, _), i in zip(spread, grown, interior))] = x
        crop = [slice(max(-lo, 0), y.shape[k] - max(-hi, 0)) for k, (lo, hi) in enumerate(zip(low, high))]
        return y[tuple(crop)]

    for name, low, high, interior, value in (
        ("around", [1, 0], [0, 2], [0, 0], -1.5), ("between", [0, 0], [0, 0], [2, 1], 0.0),
        ("crops", [-1, -1], [0, -1], [0, 0], 0.0), ("all", [2, -1], [-2, 1], [3, 2], np.inf),
        ("to-empty", [-2, 0], [0, 0], [0, 0], 0.0)):
        text = f"low={low}, high={high}, interior={interior}, value={value}"
        file.case(name, [x], padded(x, low, high, interior, value), text)
    e = np.zeros((0, 2), np.int32)
    file.case("of-empty", [e], np.full((3, 2), 7, np.int32), "low=[1, 0], high=[2, 0], interior=[4, 0], value=7")
    t = np.array([True, False])
    file.case("bool", [t], np.array([False, True, False]), "low=[1], high=[0]")
    file.refuses("counts", ["f32[2]"], "C1", "low=[1], high=[]")
    file.refuses("interior", ["f32[2, 2]"], "C1", "low=[0, 0], high=[0, 0], interior=[1]")
    file.refuses("large", ["f32[2]"], "C2", "low=[281474976710657], high=[0]")
    file.refuses("negative", ["f32[2]"], "C3", "low=[-2], high=[-1]")


def windows(File):
    file = File("windows", f"{TORCH}, torch.Tensor.unfold of the padded, dilated by slicing")

    def view(x, axes, kernel, strides, pads, dilations, fill):
        for axis, k, s, p, d in zip(axes, kernel, strides, pads, dilations):
            widths = [tuple(p) if a == axis else (0, 0) for a in range(x.ndim)]
            x = np.pad(x, widths, constant_values=fill)
            x = torch.from_numpy(x.copy()).unfold(axis, d * (k - 1) + 1, s).numpy()[..., ::d]
        return x

    for name, shape, dtype, axes, kernel, strides, pads, dilations, fill in (
        ("plane", (2, 4, 5), np.float32, [1, 2], [2, 3], [1, 2], [[0, 0], [1, 0]], [1, 1], 0),
        ("dilated", (7,), np.float64, [0], [3], [2], [[1, 1]], [2], -1),
        ("channels-last", (1, 4, 4, 2), np.int32, [1, 2], [2, 2], [2, 2], [[0, 1], [1, 0]], [1, 1], 9),
        ("first-axis", (3, 2), np.float32, [0], [1], [1], [[0, 0]], [1], 0),
        ("no-axes", (2, 2), np.float32, [], [], [], [], [], 0),
        ("empty-batch", (0, 3), np.float32, [1], [2], [1], [[0, 0]], [1], 0)):
        x = draw(shape, len(name), dtype)
        text = f"axes={axes}, kernel={kernel}, strides={strides}, pads={pads}, dilations={dilations}, fill={fill}"
        file.case(name, [x], view(x, axes, kernel, strides, pads, dilations, fill), text)
    rest = "strides=[1], pads=[[0, 0]], dilations=[1]"
    x = f32(1, 2)
    file.case("outside", [x], f32(-np.inf, -np.inf, -np.inf, 1, 1, 2)[[0, 1, 2, 3, 4, 5]].reshape(3, 2),
              "axes=[0], kernel=[2], strides=[1], pads=[[2, 0]], dilations=[1], fill=-inf")
    file.refuses("axis", ["f32[3]"], "C1", f"axes=[1], kernel=[2], {rest}")
    file.refuses("counts", ["f32[3]"], "C2", f"axes=[0], kernel=[2, 2], {rest}")
    file.refuses("zero", ["f32[3]"], "C2", f"axes=[0], kernel=[0], {rest}")
    file.refuses("too-large", ["f32[3]"], "C3", f"axes=[0], kernel=[4], {rest}")


def indirect(File):
    file = File("take", f"{NUMPY}, numpy.take")
    x, i = draw((3, 4, 2), 1), np.array([[2, 0], [-1, 1]])
    for axis in range(3):
        index = np.where(i == 2, 1, i) if axis == 2 else i
        file.case(f"axis-{axis}", [x, index], np.take(x, index, axis), f"axis={axis}")
    file.case("scalar-index", [x, np.int32(-2)], np.take(x, -2, 0))
    far = np.array([5, -7, -3], np.int32)
    file.case("clamps", [x, far], x[[2, 0, 0]])
    none = np.zeros((0,), np.int64)
    file.case("no-indices", [np.zeros((0, 2), np.float32), none], np.zeros((0, 2), np.float32))
    file.refuses("axis", ["f32[2]", "i64[1]"], "C1", "axis=1").refuses("dtype", ["f32[2]", "u8[1]"], "C2")
    file.refuses("from-nothing", ["f32[0]", "i64[1]"], "C3")
    file = File("take_along_axis", f"{NUMPY}, numpy.take_along_axis")
    j = np.array([[[0, -1], [1, 2], [2, 2], [-3, 0]], [[1, 1], [0, 0], [-2, 1], [0, 2]]])
    x = draw((2, 3, 2), 2)
    file.case("middle", [x, j], np.take_along_axis(x, j, 1), "axis=1")
    x2, i2 = draw((3, 2), 3, np.int32), np.array([[1], [0], [1]], np.int32)
    file.case("last", [x2, i2], np.take_along_axis(x2, i2.astype(np.int64), 1), "axis=1")
    file.case("part", [x2, np.array([[2, 0]])], np.array([[x2[2, 0], x2[0, 1]]]), "axis=0")
    file.case("clamps", [f32(1, 2, 3), np.array([9, -9])], f32(3, 1), "axis=0")
    file.case("no-indices", [f32(), none], f32(), "axis=0")
    file.refuses("rank", ["f32[2]", "i64[1, 1]"], "C1", "axis=0")
    file.refuses("dtype", ["f32[2]", "f32[1]"], "C2", "axis=0")
    file.refuses("extent", ["f32[2, 2]", "i64[3, 1]"], "C3", "axis=1")
    file.refuses("from-nothing", ["f32[0]", "i64[1]"], "C3", "axis=0")
    file = File("gather_nd", f"{NUMPY}, indexing by arrays")
    x = draw((2, 3, 4), 4)
    i = np.array([[[1, 2]], [[0, -1]]])
    file.case("slices", [x, i], x[i[..., 0], i[..., 1]])
    full = np.array([[0, 0, 0], [-1, -1, -1], [1, 0, 3]])
    file.case("elements", [x, full], x[tuple(full.T)])
    b = np.array([[[2], [0]], [[1], [1]]], np.int32)
    file.case("batch", [x, b], np.stack([x[k][b[k, :, 0]] for k in range(2)]), "batch_axes=1")
    file.case("clamps", [x, np.array([[7, -9]])], x[None, 1, 0])
    file.case("empty-tuple", [f32(1, 2), np.zeros((2, 0), np.int64)], f32(1, 2, 1, 2).reshape(2, 2))
    file.case("no-tuples", [x, np.zeros((0, 2), np.int64)], np.zeros((0, 4), np.float32))
    file.refuses("tuple", ["f32[2]", "i64[1, 2]"], "C1").refuses("unknown", ["f32[2]", "i64[1, N]"], "C1")
    file.refuses("dtype", ["f32[2]", "u64[1, 1]"], "C2")
    file.refuses("shared", ["f32[2, 3]", "i64[3, 1]"], "C3", "batch_axes=1")
    file.refuses("from-nothing", ["f32[0]", "i64[1, 1]"], "C4")


MODES = {"replace": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def meet(y, at, update, mode):
    y[at] = update if MODES[mode] is None else MODES[mode](y[at], update)


def scatters(File):
    file = File("scatter_along_axis", f"{NUMPY}, assignment in a loop")
    x, u = draw((3, 4), 1), draw((2, 4), 2)
    i = np.array([[0, 2, -1, 1], [0, 1, 2, -3]])
    for mode in MODES:
        y = x.copy()
        for at in np.ndindex(2, 4):
            meet(y, (i[at], at[1]), u[at], mode)
        file.case(mode, [x, i, u], y, f"axis=0, mode={mode}" if mode != "replace" else "axis=0")
    last = np.array([[1, 1, 1, 9, -9]], np.int32)
    file.case("last-wins-outside-dropped", [draw((1, 2), 3, np.int32), last, np.array([[4, 5, 6, 7, 8]], np.int32)],
              np.array([[draw((1, 2), 3, np.int32)[0, 0], 6]], np.int32), "axis=1")
    file.case("nothing", [x, np.zeros((0, 4), np.int64), np.zeros((0, 4), np.float32)], x, "axis=0")
    t = np.array([True, False])
    file.case("any", [t, np.array([1]), np.array([True])], np.array([True, True]), "axis=0, mode=max")
    file.refuses("shapes", ["f32[3]", "i64[2]", "f32[1]"], "C1", "axis=0")
    file.refuses("dtype", ["f32[3]", "i64[2]", "f64[2]"], "C2", "axis=0")
    file.refuses("bool", ["bool[3]", "i64[2]", "bool[2]"], "C2", "axis=0, mode=add")
    file.refuses("extent", ["f32[3, 1]", "i64[2, 2]", "f32[2, 2]"], "C3", "axis=0")
    file = File("scatter_nd", f"{NUMPY}, assignment in a loop")
    i, u = np.array([[2], [0], [2], [-2]]), draw((4, 4), 5)
    for mode in MODES:
        y = x.copy()
        for k in range(4):
            meet(y, i[k, 0], u[k], mode)
        file.case(mode, [x, i, u], y, f"mode={mode}" if mode != "replace" else "")
    y = x.copy()
    y[1, 3], y[0, 0] = 5, 6
    tuples = np.array([[1, 3], [3, 0], [-3, -4], [0, -5]])
    file.case("elements", [x, tuples, f32(5, 7, 6, 8)], y)
    file.case("nothing", [x, np.zeros((0, 1), np.int64), np.zeros((0, 4), np.float32)], x)
    file.refuses("tuple", ["f32[3]", "i64[1, 2]", "f32[1]"], "C1").refuses("dtype", ["f32[3]", "i64[1, 1]", "i32[1]"], "C2")
    file.refuses("updates", ["f32[3]", "i64[2, 1]", "f32[1]"], "C3")
    file = File("sort", f"{TORCH}, torch.sort(stable=True)")
    x = np.stack([f32(3, 1, 2, 1, -0.0, 0.0), f32(np.nan, -np.inf, np.inf, np.nan, 1, -1)])
    for descending in (False, True):
        for axis, value in ((1, x), (0, x), (0, draw((5,), 3, np.int64)), (0, draw((6,), 4, np.uint8))):
            v, p = torch.sort(torch.from_numpy(value), dim=axis, descending=descending, stable=True)
            name = f"axis-{axis}-{value.dtype}-{value.ndim}-{'down' if descending else 'up'}"
            file.case(name, [value], [v.numpy(), p.numpy()], f"axis={axis}" + (", descending=true" if descending else ""))
    e = np.zeros((2, 0), np.float32)
    file.case("empty", [e], [e, e.astype(np.int64)], "axis=1").refuses("axis", ["f32[2]"], "C1", "axis=1")
    file.refuses("bool", ["bool[2]"], "C2", "axis=0")


def folds(File):
    file = File("reduce", f"{NUMPY}, the reduction of the same name")
    x = draw((2, 3, 4), 1)
    table = {"sum": np.sum, "product": np.prod, "max": np.max, "min": np.min}
    for kind, f in table.items():
        for axes in ([0], [1, 2], [0, 2], [], [0, 1, 2]):
            y = np.asarray(f(x.astype(np.float64), tuple(axes))).astype(np.float32) if axes else x
            name = f"{kind}-over-{''.join(map(str, axes)) or 'nothing'}"
            file.case(name, [x], y, f"kind={kind}, axes={axes}", ulp=8 if kind == "product" else 0)
        i = draw((3, 2), 2, np.int32)
        file.case(f"{kind}-i32", [i], np.asarray(f(i, 0), np.int32), f"kind={kind}, axes=[0]")
    n = np.stack([f32(1, np.nan, 3), f32(np.inf, 2, -np.inf)])
    for kind in ("max", "min", "sum"):
        file.case(f"{kind}-nan", [n], table[kind](n, 1), f"kind={kind}, axes=[1]")
        identity = {"max": -np.inf, "min": np.inf, "sum": 0}[kind]
        file.case(f"{kind}-of-nothing", [np.zeros((2, 0), np.float32)], f32(identity, identity), f"kind={kind}, axes=[1]")
    file.case("max-of-no-integers", [np.zeros((0,), np.int8)], np.int8(-128), "kind=max, axes=[0]")
    file.case("product-of-nothing", [np.zeros((0,), np.int32)], np.int32(1), "kind=product, axes=[0]")
    t = np.array([[True, False], [True, True], [False, False]])
    file.case("any", [t], t.any(1), "kind=max, axes=[1]").case("all", [t], t.all(1), "kind=min, axes=[1]")
    file.case("wraps", [np.array([100, 100], np.int8)], np.int8(-56), "kind=sum, axes=[0]")
    file.refuses("axis", ["f32[2]"], "C1", "kind=sum, axes=[1]").refuses("order", ["f32[2, 2]"], "C1", "kind=sum, axes=[1, 0]")
    file.refuses("bool-sum", ["bool[2]"], "C2", "kind=sum, axes=[0]")
    file = File("cumulative", f"{NUMPY}, numpy.cumsum and the other accumulations")
    table = {"sum": np.add, "product": np.multiply, "max": np.maximum, "min": np.minimum}
    x = draw((3, 4), 1)

    def scan(x, kind, axis, exclusive, reverse):
        if reverse:
            return np.flip(scan(np.flip(x, axis), kind, axis, exclusive, False), axis)
        y = table[kind].accumulate(x, axis, dtype=x.dtype)
        if exclusive:
            first = {"sum": 0, "product": 1, "max": -np.inf, "min": np.inf}[kind]
            head = np.full_like(np.take(y, [0], axis), first)
            y = np.concatenate([head, np.take(y, range(x.shape[axis] - 1), axis)], axis)
        return y

    for kind in table:
        for axis, exclusive, reverse in ((0, False, False), (1, False, True), (1, True, False), (0, True, True)):
            text = f"kind={kind}, axis={axis}, exclusive={str(exclusive).lower()}, reverse={str(reverse).lower()}"
            name = f"{kind}-{axis}{'-exclusive' if exclusive else ''}{'-reverse' if reverse else ''}"
            file.case(name, [x], scan(x, kind, axis, exclusive, reverse), text, ulp=2 if kind == "product" else 0)
    i = draw((5,), 3, np.int64)
    file.case("i64", [i], np.cumsum(i), "axis=0")
    n = f32(1, np.nan, 2)
    file.case("nan-stays", [n], np.maximum.accumulate(n), "axis=0, kind=max")
    file.case("empty", [np.zeros((2, 0), np.float32)], np.zeros((2, 0), np.float32), "axis=1")
    file.refuses("axis", ["f32[2]"], "C1", "axis=1").refuses("bool", ["bool[2]"], "C2", "axis=0")


def products(File):
    file = File("contract", f"{NUMPY}, numpy.einsum in f64")
    for name, spec, a, b in (
        ("matrix", "ik, kj -> ij", (2, 3), (3, 4)), ("batch", "bij, bjk -> bki", (2, 3, 4), (2, 4, 2)),
        ("outer", "i, j -> ij", (3,), (2,)), ("dot", "ij, ij ->", (2, 3), (2, 3)), ("rows", "ij, kj -> ik", (1, 5), (2, 5)),
        ("one-sided", "ij, k -> i", (2, 3), (2,)), ("elementwise", "ij, j -> ij", (2, 3), (3,)),
        ("empty-sum", "ik, kj -> ij", (2, 0), (0, 3)), ("empty", "ik, kj -> ij", (0, 2), (2, 3))):
        x, y = draw(a, 1), draw(b, 2)
        z = np.einsum(spec.replace(" ", ""), x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
        file.case(name, [x, y], z, f'spec="{spec}"')
    x, y = draw((2, 3), 3, np.int32), draw((3, 2), 4, np.int32)
    file.case("i32", [x, y], x @ y, 'spec="ik, kj -> ij"')
    inf = f32(np.inf, 1).reshape(1, 2)
    file.case("infinities", [inf, f32(0, 1).reshape(2, 1)], f32(np.nan).reshape(1, 1), 'spec="ik, kj -> ij"')
    for name, error, spec, types in (
        ("arrow", "C1", "ij, jk", ["f32[2, 2]"] * 2), ("diagonal", "C1", "ii, ij -> j", ["f32[2, 2]"] * 2),
        ("rank", "C2", "i, jk -> ijk", ["f32[2, 2]"] * 2), ("extent", "C3", "ij, jk -> ik", ["f32[2, 2]", "f32[3, 2]"]),
        ("unknown", "C4", "ij, jk -> il", ["f32[2, 2]"] * 2), ("bool", "C5", "i, i ->", ["bool[2]"] * 2),
        ("dtypes", "C5", "i, i ->", ["f32[2]", "f64[2]"])):
        file.refuses(name, types, error, f'spec="{spec}"')
    convolution(File)


def convolution(File):
    file = File("conv", f"{TORCH}, torch.nn.functional.conv1d, conv2d and conv3d in f64")
    for name, x, w, s, p, d, g in (
        ("plain", (1, 2, 4, 5), (3, 2, 2, 3), [1, 1], [[0, 0], [0, 0]], [1, 1], 1),
        ("strided", (2, 2, 7), (2, 2, 3), [2], [[1, 0]], [1], 1),
        ("dilated", (1, 1, 7, 6), (2, 1, 3, 2), [1, 2], [[2, 2], [0, 1]], [2, 3], 1),
        ("grouped", (1, 4, 5), (6, 2, 2), [1], [[1, 1]], [1], 2),
        ("depthwise", (1, 3, 4, 4), (3, 1, 3, 3), [1, 1], [[1, 1], [1, 1]], [1, 1], 3),
        ("volume", (1, 1, 3, 3, 3), (1, 1, 2, 2, 2), [1, 1, 1], [[0, 0], [1, 0], [0, 1]], [1, 1, 1], 1),
        ("pointwise", (2, 3, 1, 1), (2, 3, 1, 1), [1, 1], [[0, 0], [0, 0]], [1, 1], 1),
        ("empty-batch", (0, 2, 4), (3, 2, 3), [1], [[0, 0]], [1], 1)):
        a, b = draw(x, 1), draw(w, 2)
        pads = [n for pair in reversed(p) for n in pair]
        padded = torch.nn.functional.pad(torch.from_numpy(a).double(), pads)
        f = [None, torch.conv1d, torch.conv2d, torch.conv3d][len(s)]
        y = f(padded, torch.from_numpy(b).double(), None, s, 0, d, g).numpy().astype(np.float32)
        text = f"strides={s}, pads={p}, dilations={d}, groups={g}"
        file.case(name, [a, b], y, text)
        last = [np.ascontiguousarray(np.moveaxis(a, 1, -1)), np.ascontiguousarray(np.moveaxis(b, (0, 1), (-1, -2)))]
        file.case(f"{name}-channels-last", last, np.moveaxis(y, 1, -1), text + ", layout=channels_last")
    rest = "pads=[[0, 0]], dilations=[1]"
    file.refuses("rank", ["f32[1, 2]", "f32[1, 2]"], "C1", "strides=[], pads=[], dilations=[]")
    file.refuses("dtypes", ["f32[1, 2, 3]", "f64[1, 2, 3]"], "C1", f"strides=[1], {rest}")
    file.refuses("counts", ["f32[1, 2, 3]", "f32[1, 2, 3]"], "C2", f"strides=[1, 1], {rest}")
    file.refuses("stride", ["f32[1, 2, 3]", "f32[1, 2, 3]"], "C2", f"strides=[0], {rest}")
    file.refuses("channels", ["f32[1, 2, 3]", "f32[1, 3, 3]"], "C3", f"strides=[1], {rest}")
    file.refuses("groups", ["f32[1, 2, 3]", "f32[3, 1, 3]"], "C3", f"strides=[1], {rest}, groups=2")
    file.refuses("kernel", ["f32[1, 2, 3]", "f32[1, 2, 4]"], "C4", f"strides=[1], {rest}")


def sources(File):
    file = File("iota", f"{NUMPY}, numpy.indices")
    for name, dtype in (("i64", np.int64), ("f32", np.float32), ("u8", np.uint8), ("i32", np.int32)):
        for axis in (0, 1):
            y = np.indices((3, 4))[axis].astype(dtype)
            file.case(f"{name}-axis-{axis}", [], y, f"shape=[3, 4], axis={axis}, dtype={name}")
    file.case("wraps", [], np.arange(300).astype(np.uint8), "shape=[300], dtype=u8")
    file.case("empty", [], np.zeros((2, 0), np.int64), "shape=[2, 0], axis=1")
    file.refuses("axis", [], "C1", "shape=[2], axis=1").refuses("bool", [], "C2", "shape=[2], dtype=bool")
    file.refuses("arity", ["f32[2]"], "expected 0", "shape=[2]")
    file = File("random", "SplitMix64 in Python's integers, after Vigna's splitmix64.c")

    def uniform(seed, count):
        mask, out = 2**64 - 1, []
        for _ in range(count):
            seed = seed + 0x9E3779B97F4A7C15 & mask
            z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & mask
            z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
            out.append((z ^ z >> 31) >> 40)
        return np.array(out, np.float64) / 2**24

    # The first output of the published generator from the state 1234567.
    assert int(uniform(1234567, 1)[0] * 2**24) == 6457827717110365317 >> 40
    file.case("f32", [], uniform(0, 12).astype(np.float32).reshape(3, 2, 2), "shape=[3, 2, 2]")
    file.case("f64", [], uniform(2**64 - 1, 4), f"shape=[4], seed={2**64 - 1}, dtype=f64")
    file.case("scalar", [], np.float32(uniform(7, 1)[0]), "shape=[], seed=7")
    file.case("empty", [], np.zeros((0, 2), np.float32), "shape=[0, 2]")
    file.refuses("dtype", [], "C1", "shape=[2], dtype=i32")
