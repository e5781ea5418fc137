"""Conformance cases of the composites."""

import numpy as np
import torch
import torch.nn.functional as F
from generate import draw, f32, f64

NUMPY = f"numpy {np.__version__}"
TORCH = f"torch {torch.__version__.split('+')[0]}"
REAL = [0.0, 1.0, -1.0, 0.5, -0.25, 2.5, -3.75, 6.5, -9.0, 1e-3]
ENDS = [np.inf, np.nan]


def wide(x):
    return torch.from_numpy(np.asarray(x, np.float64))


def narrow(y, dtype=np.float32):
    return y.numpy().astype(dtype)


def write(File):
    activations(File)
    softmaxes(File)
    arithmetic(File)
    folds(File)
    pools(File)
    products(File)
    attention(File)
    norms(File)
    movement(File)


def activations(File):
    table = {
        "relu": (F.relu, [("", {})]), "sigmoid": (torch.sigmoid, [("", {})]),
        "silu": (F.silu, [("", {})]), "mish": (F.mish, [("", {})]), "softsign": (F.softsign, [("", {})]),
        "softplus": (F.softplus, [("", {})]), "hard_swish": (F.hardswish, [("", {})]),
        "gelu": (F.gelu, [("", {}), ("approximate=tanh", {"approximate": "tanh"})]),
        "leaky_relu": (F.leaky_relu, [("", {}), ("alpha=-0.5", {"negative_slope": -0.5})]),
        "elu": (F.elu, [("", {}), ("alpha=2.5", {"alpha": 2.5})]), "selu": (F.selu, [("", {})]),
    }
    for name, (f, variants) in table.items():
        file = File(name, f"{TORCH}, torch.nn.functional.{f.__name__} in f64")
        for text, options in variants:
            # At −∞, x · σ(x) is −∞ · 0.
            ends = ENDS if name in ("silu", "mish", "gelu", "softsign", "hard_swish") else [*ENDS, -np.inf]
            ends = [np.nan] if name in ("softsign",) or options else ends
            x = f32(*REAL, *ends)
            suffix = f"-{text.split('=')[0]}" if text else ""
            tolerance = {} if name == "relu" else {"ulp": 8, "abs": 3e-7}
            file.case(f"f32{suffix}", [x], narrow(f(wide(x), **options)), text, **tolerance)
            y = f64(*REAL, *ends)
            tolerance = {} if name == "relu" else {"ulp": 8, "abs": 1e-15}
            file.case(f"f64{suffix}", [y], narrow(f(wide(y), **options), np.float64), text, **tolerance)
        file.case("empty", [np.zeros((0, 2), np.float32)], np.zeros((0, 2), np.float32))
        file.case("matrix", [draw((2, 3), 5)], narrow(f(wide(draw((2, 3), 5)))), ulp=8, abs=3e-7)
        if name == "relu":
            i = np.array([-3, 0, 3], np.int32)
            file.case("i32", [i], np.maximum(i, 0)).refuses("bool", ["bool[1]"], "C2")
        else:
            file.refuses("integer", ["i32[2]"], "")
        file.refuses("arity", ["f32[1]"] * 2, "expected 1")
    file = File("hard_sigmoid", f"{NUMPY}, numpy.clip in f64")
    x = f32(*REAL, *ENDS, -np.inf)
    for text, a, b in (("", 0.2, 0.5), ("alpha=0.5, beta=0.25", 0.5, 0.25)):
        file.case(f"f32-{a}", [x], np.clip(a * x.astype(np.float64) + b, 0, 1).astype(np.float32), text, ulp=2, abs=1e-7)
    file.case("empty", [np.zeros((0,), np.float64)], np.zeros((0,), np.float64)).refuses("integer", ["i32[2]"], "C1")
    file = File("prelu", f"{TORCH}, torch.nn.functional.prelu")
    x, w = draw((2, 3, 2), 1), draw((3,), 2)
    file.case("channels", [x, w.reshape(3, 1)], F.prelu(torch.from_numpy(x), torch.from_numpy(w)).numpy())
    file.case("one", [x, f32(0.5)], F.prelu(torch.from_numpy(x), torch.tensor([0.5])).numpy())
    file.case("ends", [f32(np.nan, np.inf, -np.inf, -0.0), f32(2)], f32(np.nan, np.inf, -np.inf, -0.0))
    file.case("i32", [np.array([-2, 3], np.int32), np.array([4], np.int32)], np.array([-8, 3], np.int32))
    file.refuses("slope", ["f32[2]", "f32[3]"], "C3").refuses("dtypes", ["f32[2]", "f64[2]"], "C2")


def softmaxes(File):
    for name, f in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        file = File(name, f"{TORCH}, torch.{f.__name__} in f64")
        x = draw((2, 3, 4), 1)
        for axis in range(3):
            file.case(f"axis-{axis}", [x], narrow(f(wide(x), axis)), f"axis={axis}", ulp=16, abs=1e-6)
        big = f32(1000, 1001, -1000, 0).reshape(1, 4)
        file.case("large", [big], narrow(f(wide(big), 1)), "axis=1", ulp=16, abs=1e-6)
        nan = np.stack([f32(1, np.nan), f32(-np.inf, 0), f32(-np.inf, -np.inf), f32(np.inf, 0)])
        file.case("ends", [nan], narrow(f(wide(nan), 1)), "axis=1", ulp=4)
        file.case("one", [f32(5).reshape(1, 1)], narrow(f(wide([[5.0]]), 1)), "axis=1")
        file.case("f64", [draw((3,), 2, np.float64)], narrow(f(wide(draw((3,), 2, np.float64)), 0), np.float64), "axis=0", ulp=16)
        file.case("empty", [np.zeros((2, 0), np.float32)], np.zeros((2, 0), np.float32), "axis=1")
        file.refuses("axis", ["f32[2]"], "C1", "axis=1").refuses("integer", ["i32[2]"], "C2", "axis=0")


def arithmetic(File):
    x = f32(*REAL, -0.0, *ENDS, -np.inf, 1e-40)
    file = File("reciprocal", f"{NUMPY}, numpy.divide")
    file.case("f32", [x], np.float32(1) / x).case("f64", [f64(*REAL)], 1 / f64(*REAL))
    file.case("empty", [np.zeros((0,), np.float32)], np.zeros((0,), np.float32)).refuses("integer", ["i32[1]"], "C1")
    file = File("rsqrt", f"{NUMPY}, numpy.sqrt and numpy.divide")
    file.case("f32", [x], np.float32(1) / np.sqrt(x)).case("f64", [f64(*REAL)], 1 / np.sqrt(f64(*REAL)))
    file.refuses("integer", ["i32[1]"], "C2")
    file = File("clamp", f"{NUMPY}, numpy.clip")
    file.case("both", [x], np.clip(x, np.float32(-0.5), np.float32(2.25)), "min=-0.5, max=2.25")
    file.case("low", [x], np.clip(x, np.float32(0.5), None), "min=0.5").case("none", [x], x)
    file.case("high", [x], np.clip(x, None, np.float32(-1)), "max=-1")
    file.case("crossed", [f32(0, 5)], np.clip(f32(0, 5), np.float32(3), np.float32(1)), "min=3, max=1")
    i = np.array([-128, -5, 0, 127], np.int8)
    file.case("i8", [i], np.clip(i, -4, 100), "min=-4, max=100").case("i8-open", [i], i)
    u = np.array([0, 2**64 - 1], np.uint64)
    file.case("u64", [u], np.clip(u, 1, 9), "min=1, max=9")
    file.refuses("nan", ["f32[1]"], "C2", "min=nan").refuses("bool", ["bool[1]"], "C1", "min=0")
    file = File("floor_mod", f"{NUMPY}, numpy.mod; the sign of a zero result by the specification")
    a, b = np.meshgrid(f32(5.5, -5.5, 1, -1, 7), f32(2, -2, 3, -0.75, np.inf, -np.inf), indexing="ij")
    y = np.mod(a, b)
    y = np.where(y == 0, np.copysign(0, a), y).astype(np.float32)
    file.case("f32", [a.copy(), b.copy()], y)
    file.case("nan", [f32(1, np.nan, np.inf), f32(0, 1, 2)], f32(np.nan, np.nan, np.nan))
    for dtype in (np.int32, np.int8, np.int64):
        a, b = np.meshgrid(np.array([7, -7, 0, 100, -100], dtype), np.array([3, -3, 1, -7, 7], dtype), indexing="ij")
        file.case(f"of-{np.dtype(dtype)}", [a.copy(), b.copy()], np.mod(a, b))
    file.case("u8", [np.array([7, 255], np.uint8), np.array([4, 16], np.uint8)], np.array([3, 15], np.uint8))
    file.case("by-zero", [np.array([5, -5], np.int32), np.zeros(2, np.int32)], np.zeros(2, np.int32))
    file.refuses("shapes", ["i32[2]", "i32[1]"], "C2").refuses("bool", ["bool[2]"] * 2, "C2")
    file = File("is_inf", f"{NUMPY}, numpy.isposinf and numpy.isneginf")
    file.case("both", [x], np.isinf(x)).case("positive", [x], np.isposinf(x), "negative=false")
    file.case("negative", [x], np.isneginf(x), "positive=false")
    file.case("neither", [x], np.zeros_like(x, bool), "positive=false, negative=false")
    file.refuses("integer", ["i32[1]"], "C1")


def folds(File):
    x = draw((2, 3, 4), 1)
    file = File("mean", f"{NUMPY}, numpy.mean in f64; integers truncated")
    for axes in ([0], [1, 2], [], [0, 1, 2]):
        y = x.astype(np.float64).mean(tuple(axes)).astype(np.float32) if axes else x
        file.case(f"over-{''.join(map(str, axes)) or 'nothing'}", [x], np.asarray(y), f"axes={axes}", ulp=2)
    file.case("i32", [np.array([[1, 2], [-3, -4]], np.int32)], np.array([1, -3], np.int32), "axes=[1]")
    file.case("of-nothing", [np.zeros((2, 0), np.float32)], f32(np.nan, np.nan), "axes=[1]")
    file.refuses("axis", ["f32[2]"], "C1", "axes=[1]").refuses("bool", ["bool[2]"], "C2", "axes=[0]")
    file = File("log_sum_exp", f"{TORCH}, torch.logsumexp in f64")
    for axes in ([2], [0, 1], [0, 1, 2]):
        y = narrow(torch.logsumexp(wide(x), axes))
        file.case(f"over-{''.join(map(str, axes))}", [x], y, f"axes={axes}", ulp=8, abs=1e-6)
    ends = np.stack([f32(1000, 999), f32(-np.inf, -np.inf), f32(np.inf, 0), f32(np.nan, 0), f32(-np.inf, 2)])
    file.case("ends", [ends], narrow(torch.logsumexp(wide(ends), 1)), "axes=[1]", ulp=8)
    file.case("of-nothing", [np.zeros((2, 0), np.float32)], f32(-np.inf, -np.inf), "axes=[1]")
    file.refuses("axis", ["f32[2]"], "C1", "axes=[2]").refuses("integer", ["i32[2]"], "C2", "axes=[0]")
    file = File("arg_reduce", f"{NUMPY}, numpy.argmax and numpy.argmin")
    n = np.stack([f32(1, 3, 3, -1), f32(np.nan, 2, np.nan, 5), f32(-np.inf, -np.inf, -np.inf, -np.inf), f32(-0.0, 0.0, 0.0, -0.0)])
    for kind, f in (("max", np.argmax), ("min", np.argmin)):
        for axis in (0, 1):
            file.case(f"{kind}-{axis}", [n], f(n, axis), f"kind={kind}, axis={axis}")
            last = n.shape[axis] - 1 - f(np.flip(n, axis), axis)
            file.case(f"{kind}-{axis}-last", [n], last, f"kind={kind}, axis={axis}, select_last=true")
        u = np.array([[3, 255, 255], [0, 0, 1]], np.uint8)
        file.case(f"{kind}-u8", [u], f(u, 1), f"kind={kind}, axis=1")
        i = draw((2, 3, 2), 3, np.int64)
        file.case(f"{kind}-i64", [i], f(i, 1), f"kind={kind}, axis=1")
    file.case("no-rows", [np.zeros((0, 2), np.float32)], np.zeros((0,), np.int64), "kind=max, axis=1")
    file.refuses("axis", ["f32[2]"], "C1", "kind=max, axis=1").refuses("empty", ["f32[0]"], "C1", "kind=max, axis=0")
    file.refuses("bool", ["bool[2]"], "C2", "kind=max, axis=0")


POOLS = (
    ("plane", (1, 2, 5, 6), [2, 3], [3, 2], [2, 1], [[0, 0], [0, 0]], [1, 1], False),
    ("padded", (2, 1, 5, 5), [2, 3], [3, 3], [2, 2], [[1, 1], [1, 1]], [1, 1], False),
    ("line", (1, 2, 8), [2], [3], [2], [[1, 1]], [1], False),
    ("up", (1, 1, 6, 6), [2, 3], [3, 3], [2, 2], [[0, 0], [0, 0]], [1, 1], True),
    ("padded-up", (1, 1, 6), [2], [3], [2], [[1, 1]], [1], True),
    ("dilated", (1, 1, 7, 8), [2, 3], [3, 2], [1, 2], [[1, 1], [0, 0]], [2, 3], False),
    ("volume", (1, 1, 3, 4, 3), [2, 3, 4], [2, 2, 2], [1, 2, 1], [[0, 0]] * 3, [1] * 3, False),
)


def grown(shape, axes, kernel, strides, pads, dilations, up):
    """The pads that make extents rounded down those rounded up."""
    if not up:
        return pads
    out = []
    for axis, k, s, (before, after), d in zip(axes, kernel, strides, pads, dilations):
        room = shape[axis] + before + after - d * (k - 1) - 1
        count = -(-room // s) + 1
        if (count - 1) * s >= shape[axis] + before:
            count -= 1
        out.append([before, max(after, after + (count - 1) * s - room)])
    return out


def pools(File):
    largest = File("max_pool", f"{TORCH}, torch.nn.functional.max_pool1d to max_pool3d")
    average = File("average_pool", f"{TORCH}, torch.nn.functional.avg_pool1d to avg_pool3d in f64")
    norm = File("lp_pool", f"{TORCH}, torch.nn.functional.lp_pool1d and lp_pool2d in f64")
    for name, shape, axes, kernel, strides, pads, dilations, up in POOLS:
        x, n = draw(shape, len(name)), len(axes)
        actual = grown(shape, axes, kernel, strides, pads, dilations, up)
        text = f"axes={axes}, kernel={kernel}, strides={strides}, pads={actual}, dilations={dilations}"
        same = [p[0] for p in pads]
        f = getattr(F, f"max_pool{n}d")
        y = f(torch.from_numpy(x), kernel, strides, same, dilations, up).numpy()
        largest.case(name, [x], y, text)
        if max(dilations) > 1:
            continue
        f = getattr(F, f"avg_pool{n}d")
        y = narrow(f(wide(x), kernel, strides, same, up, False))
        average.case(name, [x], y, text, ulp=4)
        if max(same) > 0:
            y = narrow(f(wide(x), kernel, strides, same, up, True))
            average.case(f"{name}-counted", [x], y, f"{text}, counted={pads}", ulp=4)
        if n < 3 and max(same) == 0 and not up:
            for p in (1, 2, 3):
                y = narrow(getattr(F, f"lp_pool{n}d")(wide(np.abs(x)), p, tuple(kernel), strides[0])) if len(set(strides)) == 1 else None
                if y is not None:
                    norm.case(f"{name}-{p}", [x], y, f"p={p}, {text}", ulp=8)
    x = draw((1, 2, 4, 4), 1)
    flat = "axes=[2, 3], kernel=[2, 2], strides=[2, 2], pads=[[0, 0], [0, 0]], dilations=[1, 1]"
    for p in (1, 2, 3):
        norm.case(f"square-{p}", [x], narrow(F.lp_pool2d(wide(np.abs(x)), p, 2, 2)), f"p={p}, {flat}", ulp=8)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    tail = flat.replace("[2, 3]", "[1, 2]")
    largest.case("channels-last", [last], np.moveaxis(F.max_pool2d(torch.from_numpy(x), 2, 2).numpy(), 1, -1), tail)
    average.case("channels-last", [last], np.moveaxis(F.avg_pool2d(torch.from_numpy(x), 2, 2).numpy(), 1, -1), tail, ulp=4)
    line = "axes=[0], kernel=[2], strides=[1], pads=[[0, 0]], dilations=[1]"
    n = f32(1, np.nan, 2, -np.inf, -np.inf)
    largest.case("ends", [n], F.max_pool1d(torch.from_numpy(n)[None], 2, 1)[0].numpy(), line)
    i = np.array([3, -128, -128, 7], np.int8)
    largest.case("i8", [i], np.maximum(i[:-1], i[1:]), line)
    pad = "axes=[0], kernel=[1], strides=[1], pads=[[1, 0]], dilations=[1]"
    largest.case("outside", [np.array([5], np.int8)], np.array([-128, 5], np.int8), pad)
    average.case("outside", [f32(5)], f32(np.nan, 5), pad)
    dilated = "axes=[0], kernel=[2], strides=[1], pads=[[1, 1]], dilations=[2]"
    average.case("dilated", [f32(1, 2, 3)], f32(2, 2, 2), dilated)
    average.case("dilated-counted", [f32(1, 2, 3)], f32(1, 2, 1), dilated + ", counted=[[1, 1]]")
    for file, others in ((largest, ()), (average, ()), (norm, ())):
        file.case("no-rows", [np.zeros((0, 3), np.float32)], np.zeros((0, 2), np.float32), line.replace("[0], k", "[1], k"))
        file.refuses("kernel", ["f32[1]"], "C3", line)
    largest.refuses("bool", ["bool[3]"], "C1", line)
    average.refuses("integer", ["i32[3]"], "C2", line).refuses("counted", ["f32[3]"], "C1", line + ", counted=[[1, 0]]")
    norm.refuses("order", ["f32[3]"], "C1", f"p=0, {line}").refuses("integer", ["i32[3]"], "C2", line)


def products(File):
    file = File("linear", f"{TORCH}, torch.nn.functional.linear in f64")
    w, bias = draw((4, 3), 2), draw((4,), 3)
    for shape in ((2, 3), (3,), (2, 2, 3), (0, 3)):
        x = draw(shape, 1)
        file.case(f"bias-{len(shape)}-{shape[0]}", [x, w, bias], narrow(F.linear(wide(x), wide(w), wide(bias))))
    file.case("plain", [x := draw((2, 3), 1), w], narrow(F.linear(wide(x), wide(w))))
    file.case("no-inputs", [np.zeros((2, 0), np.float32), np.zeros((4, 0), np.float32), bias], np.stack([bias, bias]))
    i, j = draw((2, 3), 4, np.int32), draw((2, 3), 5, np.int32)
    file.case("i32", [i, j], i @ j.T)
    file.refuses("weight", ["f32[3]", "f32[3]"], "C1").refuses("extent", ["f32[2, 3]", "f32[4, 2]"], "C2")
    file.refuses("bias", ["f32[2, 3]", "f32[4, 3]", "f32[3]"], "C3").refuses("dtypes", ["f32[2, 3]", "f64[4, 3]"], "C5")
    file = File("matmul", f"{NUMPY}, numpy.matmul in f64")
    for name, a, b in (("matrices", (2, 3), (3, 4)), ("vectors", (3,), (3,)), ("row", (3,), (3, 2)), ("column", (2, 3), (3,)),
                       ("batch", (2, 2, 3), (2, 3, 2)), ("shared", (2, 2, 3), (3, 2)), ("spread", (2, 1, 2, 3), (3, 3, 2)),
                       ("both-spread", (2, 1, 2, 3), (1, 3, 3, 1)), ("ones", (1, 1, 1), (1, 1, 1)), ("row-batch", (3,), (2, 3, 2)),
                       ("batch-column", (2, 2, 3), (3,)), ("empty-sum", (2, 0), (0, 3)), ("empty-batch", (0, 2, 3), (1, 3, 2))):
        x, y = draw(a, 1), draw(b, 2)
        file.case(name, [x, y], np.asarray(np.matmul(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)))
    file.case("i64", [np.array([[1, 2]]), np.array([[3], [4]])], np.array([[11]]))
    file.refuses("scalar", ["f32[]", "f32[2]"], "C1").refuses("extent", ["f32[2, 3]", "f32[2, 3]"], "C2")
    file.refuses("batch-extents", ["f32[2, 2, 3]", "f32[3, 3, 2]"], "C3").refuses("bool", ["bool[2]", "bool[2]"], "C5")
    transposed(File)


def transposed(File):
    file = File("conv_transpose", f"{TORCH}, torch.nn.functional.conv_transpose1d to conv_transpose3d in f64")
    for name, x, w, s, p, d, o, g in (
        ("plain", (1, 2, 4), (2, 3, 3), [1], [[0, 0]], [1], [0], 1),
        ("strided", (2, 2, 3, 2), (2, 1, 3, 2), [2, 3], [[1, 1], [0, 0]], [1, 1], [1, 2], 1),
        ("dilated", (1, 1, 3, 3), (1, 2, 2, 2), [1, 2], [[0, 0], [1, 1]], [2, 3], [0, 1], 1),
        ("grouped", (1, 4, 3), (4, 2, 2), [2], [[0, 0]], [1], [0], 2),
        ("cropped", (1, 1, 4), (1, 1, 2), [1], [[2, 2]], [1], [0], 1),
        ("volume", (1, 1, 2, 2, 2), (1, 1, 2, 1, 2), [2, 1, 1], [[0, 0]] * 3, [1] * 3, [0] * 3, 1),
        ("empty-batch", (0, 2, 3), (2, 1, 2), [2], [[0, 0]], [1], [0], 1)):
        a, b = draw(x, 1), draw(w, 2)
        f = getattr(F, f"conv_transpose{len(s)}d")
        y = narrow(f(wide(a), wide(b), None, s, [q[0] for q in p], o, g, d))
        outputs = f", output_pads={o}" if any(o) else ""
        file.case(name, [a, b], y, f"strides={s}, pads={p}, dilations={d}, groups={g}{outputs}")
    a, b = draw((1, 1, 3), 1), draw((1, 1, 3), 2)
    y = narrow(F.conv_transpose1d(wide(a), wide(b), stride=2))[..., 2:]
    file.case("uneven", [a, b], y, "strides=[2], pads=[[2, 0]], dilations=[1]")
    rest = "pads=[[0, 0]], dilations=[1]"
    file.refuses("rank", ["f32[1, 2]", "f32[2, 1]"], "C1", "strides=[], pads=[], dilations=[]")
    file.refuses("counts", ["f32[1, 1, 3]", "f32[1, 1, 2]"], "C2", f"strides=[1, 1], {rest}")
    file.refuses("stride", ["f32[1, 1, 3]", "f32[1, 1, 2]"], "C2", f"strides=[0], {rest}")
    file.refuses("channels", ["f32[1, 2, 3]", "f32[1, 1, 2]"], "C3", f"strides=[1], {rest}")
    file.refuses("groups", ["f32[1, 3, 3]", "f32[3, 1, 2]"], "C3", f"strides=[1], {rest}, groups=2")
    file.refuses("negative", ["f32[1, 1, 2]", "f32[1, 1, 1]"], "C4", "strides=[1], pads=[[2, 1]], dilations=[1]")


def attention(File):
    file = File("attention", f"{TORCH}, torch.nn.functional.scaled_dot_product_attention in f64")

    def run(q, k, v, mask=None, **options):
        m = None if mask is None else torch.from_numpy(mask) if mask.dtype == bool else wide(mask)
        return narrow(F.scaled_dot_product_attention(wide(q), wide(k), wide(v), m, **options))

    q, k, v = draw((2, 2, 3, 4), 1), draw((2, 2, 5, 4), 2), draw((2, 2, 5, 3), 3)
    close = {"ulp": 32, "abs": 1e-6}
    file.case("plain", [q, k, v], run(q, k, v, scale=0.5), "scale=0.5", **close)
    file.case("causal", [q, k, v], run(q, k, v, scale=0.25, is_causal=True), "scale=0.25, causal=true", **close)
    for name, mask in (("added", draw((2, 1, 3, 5), 4)), ("bool", draw((3, 5), 5, np.bool_)),
                       ("bool-heads", draw((1, 2, 3, 5), 6, np.bool_)), ("infinite", np.where(draw((2, 1, 1, 5), 7) > 0, 0, -np.inf).astype(np.float32))):
        file.case(f"mask-{name}", [q, k, v, mask], run(q, k, v, mask, scale=0.5), "scale=0.5", **close)
    none = np.array([[False], [True], [False]]) & np.ones((3, 5), bool)
    file.case("rows-without-keys", [q, k, v, none], run(q, k, v, none, scale=0.5), "scale=0.5", **close)
    g = draw((1, 4, 2, 2), 8)
    kg, vg = draw((1, 2, 3, 2), 9), draw((1, 2, 3, 2), 10)
    file.case("grouped", [g, kg, vg], run(g, kg, vg, scale=1.0, enable_gqa=True), "scale=1", **close)
    file.case("one-query", [g[:, :, :1], kg, vg], run(g[:, :, :1], kg, vg, scale=1.0, enable_gqa=True), "scale=1", **close)
    e = np.zeros((1, 2, 0, 4), np.float32)
    file.case("no-queries", [e, k[:1], v[:1]], np.zeros((1, 2, 0, 3), np.float32), "scale=1")
    file.refuses("rank", ["f32[2, 3, 4]"] * 3, "C1", "scale=1")
    file.refuses("widths", ["f32[1, 1, 2, 4]", "f32[1, 1, 3, 5]", "f32[1, 1, 3, 4]"], "C1", "scale=1")
    file.refuses("heads", ["f32[1, 3, 2, 4]", "f32[1, 2, 3, 4]", "f32[1, 2, 3, 4]"], "C2", "scale=1")
    file.refuses("dtype", ["i32[1, 1, 2, 4]"] * 3, "C3", "scale=1")
    file.refuses("mask", ["f32[1, 1, 2, 4]"] * 3 + ["i32[2, 2]"], "C3", "scale=1")


def norms(File):
    close = {"ulp": 32, "abs": 2e-6}
    x = draw((2, 4, 3, 2), 1)
    file = File("layer_norm", f"{TORCH}, torch.nn.functional.layer_norm in f64")
    for axis in (1, 2, 3):
        w, b = draw(x.shape[axis:], 2), draw(x.shape[axis:], 3)
        y = narrow(F.layer_norm(wide(x), x.shape[axis:], wide(w), wide(b), 1e-3))
        file.case(f"axis-{axis}", [x, w, b], y, f"axis={axis}, epsilon=1e-3", **close)
    file.case("plain", [x], narrow(F.layer_norm(wide(x), (2,))), "axis=3", ulp=64, abs=1e-4)
    file.case("scale-only", [x, w], narrow(F.layer_norm(wide(x), (2,), wide(w), None, 0.5)), "axis=3, epsilon=0.5", **close)
    same = np.full((1, 4), 3.5, np.float32)
    file.case("constant-row", [same], np.zeros((1, 4), np.float32), "axis=1")
    file.case("no-rows", [np.zeros((0, 3), np.float32)], np.zeros((0, 3), np.float32), "axis=1")
    file.case("f64", [x.astype(np.float64)], F.layer_norm(wide(x), (3, 2)).numpy(), "axis=2", ulp=64, abs=1e-13)
    file.refuses("axis", ["f32[2]"], "C1", "axis=1").refuses("scale", ["f32[2, 3]", "f32[2]"], "C3", "axis=1")
    file.refuses("integer", ["i32[2, 3]"], "C2", "axis=1").refuses("arity", ["f32[2]"] * 4, "expected 1 to 3", "axis=0")
    file = File("rms_norm", f"{TORCH}, torch.nn.functional.rms_norm in f64")
    for axis in (1, 3):
        w = draw(x.shape[axis:], 2)
        y = narrow(F.rms_norm(wide(x), x.shape[axis:], wide(w), 1e-3))
        file.case(f"axis-{axis}", [x, w], y, f"axis={axis}, epsilon=1e-3", **close)
    file.case("plain", [x], narrow(F.rms_norm(wide(x), (3, 2), None, 1e-5)), "axis=2", **close)
    file.case("no-rows", [np.zeros((0, 3), np.float32)], np.zeros((0, 3), np.float32), "axis=1")
    file.refuses("axis", ["f32[2]"], "C1", "axis=1").refuses("arity", [], "expected 1 to 2", "axis=0")
    file = File("batch_norm", f"{TORCH}, torch.nn.functional.batch_norm in f64")
    w, b, m, v = draw((4,), 2), draw((4,), 3), draw((4,), 4), np.abs(draw((4,), 5))
    y = narrow(F.batch_norm(wide(x), wide(m), wide(v), wide(w), wide(b), eps=0.125))
    file.case("channels-first", [x, w, b, m, v], y, "epsilon=0.125", **close)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    file.case("channels-last", [last, w, b, m, v], np.moveaxis(y, 1, -1), "axis=3, epsilon=0.125", **close)
    file.case("empty", [np.zeros((0, 4), np.float32), w, b, m, v], np.zeros((0, 4), np.float32))
    file.refuses("axis", ["f32[2]", *["f32[2]"] * 4], "C1").refuses("channels", ["f32[2, 3]", *["f32[2]"] * 4], "C2")
    file.refuses("dtype", ["f32[2, 2]", *["f64[2]"] * 4], "C2").refuses("arity", ["f32[2, 2]"], "expected 5")
    file = File("instance_norm", f"{TORCH}, torch.nn.functional.instance_norm in f64")
    y = narrow(F.instance_norm(wide(x), None, None, wide(w), wide(b), eps=1e-2))
    file.case("affine", [x, w, b], y, "epsilon=1e-2", **close)
    file.case("plain", [x], narrow(F.instance_norm(wide(x), eps=1e-2)), "epsilon=1e-2", **close)
    file.refuses("rank", ["f32[2, 3]"], "C1").refuses("channels", ["f32[2, 3, 4]", "f32[4]"], "C2")
    file = File("group_norm", f"{TORCH}, torch.nn.functional.group_norm in f64")
    for groups in (1, 2, 4):
        y = narrow(F.group_norm(wide(x), groups, wide(w), wide(b), 1e-2))
        file.case(f"groups-{groups}", [x, w, b], y, f"groups={groups}, epsilon=1e-2", **close)
    flat = draw((3, 4), 6)
    file.case("no-space", [flat], narrow(F.group_norm(wide(flat), 2, None, None, 1e-2)), "groups=2, epsilon=1e-2", **close)
    file.refuses("groups", ["f32[2, 4, 3]"], "C1", "groups=3").refuses("none", ["f32[2, 4, 3]"], "C1", "groups=0")
    file.refuses("channels", ["f32[2, 4, 3]", "f32[2]"], "C2", "groups=2")


def movement(File):
    file = File("split", f"{NUMPY}, numpy.split")
    x = draw((4, 6), 1)
    file.case("columns", [x], [p.copy() for p in np.split(x, [1, 1, 4], 1)], "axis=1, sizes=[1, 0, 3, 2]")
    file.case("rows", [x], [x[:3], x[3:]], "sizes=[3, 1]").case("whole", [x], [x], "sizes=[4]")
    t = np.array([True, False])
    file.case("bool", [t], [t[:1], t[1:]], "sizes=[1, 1]")
    file.refuses("axis", ["f32[2]"], "C1", "axis=1, sizes=[2]").refuses("sum", ["f32[2]"], "C2", "sizes=[1]")
    file.refuses("none", ["f32[0]"], "C2", "sizes=[]").refuses("negative", ["f32[2]"], "C3", "sizes=[3, -1]")
    file = File("top_k", f"{TORCH}, torch.sort(stable=True), cut off")
    n = np.stack([f32(1, 4, 4, -2, 0.5), f32(np.nan, 1, np.inf, np.nan, -np.inf)])
    for largest in (True, False):
        for k, axis in ((2, 1), (5, 1), (1, 0), (0, 1)):
            v, p = torch.sort(torch.from_numpy(n), dim=axis, descending=largest, stable=True)
            cut = (slice(None),) * axis + (slice(0, k),)
            text = f"k={k}, axis={axis}" + ("" if largest else ", largest=false")
            file.case(f"{k}-{axis}-{'largest' if largest else 'smallest'}", [n], [v.numpy()[cut], p.numpy()[cut]], text)
    i = np.array([3, 1, 3, 2])
    file.case("i64", [i], [np.array([3, 3, 2]), np.array([0, 2, 3])], "k=3, axis=0")
    file.refuses("axis", ["f32[2]"], "C1", "k=1, axis=1").refuses("many", ["f32[2]"], "C1", "k=3, axis=0")
    file = File("one_hot", f"{NUMPY}, rows of numpy.eye; indices outside by the specification")
    i = np.array([[0, 2], [-1, 1]], np.int32)
    y = np.eye(3, dtype=bool)[i]
    file.case("last", [i], y, "depth=3, axis=2").case("first", [i], np.moveaxis(y, 2, 0), "depth=3, axis=0")
    file.case("middle-f32", [i.astype(np.int64)], np.moveaxis(y, 2, 1).astype(np.float32), "depth=3, axis=1, dtype=f32")
    file.case("outside", [np.array([3, -4, 0])], np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]], np.int8), "depth=3, axis=1, dtype=i8")
    file.case("scalar", [np.int64(1)], np.array([False, True]), "depth=2, axis=0")
    file.case("empty", [np.zeros((0,), np.int64)], np.zeros((0, 2), bool), "depth=2, axis=1")
    file.case("no-depth", [np.array([1])], np.zeros((1, 0), bool), "depth=0, axis=1")
    file.refuses("axis", ["i64[2]"], "C1", "depth=2, axis=2").refuses("dtype", ["f32[2]"], "C2", "depth=2, axis=1")
    file = File("trilu", f"{NUMPY}, numpy.triu and numpy.tril")
    x = draw((2, 3, 4), 1)
    for k in (0, 1, -2, 9):
        file.case(f"upper-{k}", [x], np.triu(x, k), f"diagonal={k}" if k else "")
        file.case(f"lower-{k}", [x], np.tril(x, k), f"upper=false, diagonal={k}")
    file.case("bool", [np.ones((2, 2), bool)], np.triu(np.ones((2, 2), bool)))
    n = np.full((2, 2), np.nan, np.float32)
    file.case("nan", [n], np.triu(n)).case("empty", [np.zeros((0, 2), np.int32)], np.zeros((0, 2), np.int32))
    file.case("far", [x], x, f"diagonal={-2**63}")
    file.refuses("rank", ["f32[2]"], "C1")
