//! How operands and attributes are drawn for each operator that is not plainly elementwise.

use tracelift_tensor::{DType, Scalar, Tensor};

use super::{Draft, Generator, shape_text};
use crate::{TensorType, Value};

type Recipe = fn(&mut Generator<'_>) -> Option<Draft>;

/// The recipe of an operator; `None` for those that take equal shapes and no attributes.
pub(super) fn recipe(name: &str) -> Option<Recipe> {
    RECIPES.iter().find(|(n, _)| *n == name).map(|(_, recipe)| *recipe)
}

pub(super) const RECIPES: &[(&str, Recipe)] = &[
    ("arg_reduce", arg_reduce),
    ("attention", attention),
    ("average_pool", average_pool),
    ("batch_norm", batch_norm),
    ("broadcast", broadcast),
    ("cast", cast),
    ("clamp", clamp),
    ("concat", concat),
    ("contract", contract),
    ("conv", conv),
    ("conv_transpose", conv_transpose),
    ("cumulative", cumulative),
    ("elu", |g| activation(g, &["alpha"])),
    ("gather_nd", gather_nd),
    ("gelu", gelu),
    ("group_norm", group_norm),
    ("hard_sigmoid", |g| activation(g, &["alpha", "beta"])),
    ("instance_norm", instance_norm),
    ("iota", iota),
    ("layer_norm", layer_norm),
    ("leaky_relu", |g| activation(g, &["alpha"])),
    ("linear", linear),
    ("log_softmax", along_float_axis),
    ("log_sum_exp", over_axes),
    ("lp_pool", lp_pool),
    ("matmul", matmul),
    ("max_pool", |g| windowed(g, 2)),
    ("mean", over_axes),
    ("one_hot", one_hot),
    ("pad", pad),
    ("prelu", prelu),
    ("random", random),
    ("reduce", reduce),
    ("reshape", reshape),
    ("rms_norm", rms_norm),
    ("scatter_along_axis", scatter_along_axis),
    ("scatter_nd", scatter_nd),
    ("slice", slice),
    ("softmax", along_float_axis),
    ("sort", sort),
    ("split", split),
    ("take", take),
    ("take_along_axis", take_along_axis),
    ("top_k", top_k),
    ("transpose", transpose),
    ("trilu", trilu),
    ("windows", windows),
];

fn draft(
    operands: impl Into<Vec<Value>>,
    attributes: impl IntoIterator<Item = (&'static str, String)>,
) -> Option<Draft> {
    Some(Draft { operands: operands.into(), attributes: attributes.into_iter().collect() })
}

fn is_number(dtype: DType) -> bool {
    dtype != DType::Bool
}

/// Drawing what several recipes need.
impl Generator<'_> {
    fn ty(&self, x: Value) -> TensorType {
        self.graph.ty(x).clone()
    }

    fn extents(&self, x: Value) -> Vec<usize> {
        self.graph.ty(x).extents()
    }

    fn axis(&mut self, x: Value) -> usize {
        self.rng.below(self.graph.ty(x).rank())
    }

    /// An ascending selection of axes, often empty, often the last one.
    fn axes(&mut self, x: Value) -> Vec<usize> {
        let rank = self.graph.ty(x).rank();
        if rank > 0 && self.rng.chance(0.4) {
            return vec![rank - 1];
        }
        (0..rank).filter(|_| self.rng.chance(0.4)).collect()
    }

    fn flag(&mut self) -> String {
        self.rng.chance(0.5).to_string()
    }

    fn one_of(&mut self, texts: &[&str]) -> String {
        self.rng.choose(texts).to_string()
    }

    fn tensor(&mut self, dtype: DType, shape: &[usize]) -> Value {
        self.fresh(TensorType::new(dtype, shape))
    }

    /// Positions along an axis of extent `n`: mostly inside, some negative, few outside.
    fn positions(&mut self, shape: &[usize], n: usize) -> Value {
        let dtype = *self.rng.choose(&[DType::I32, DType::I64]);
        let span = 2 * n + 3;
        let tensor = Tensor::from_fn(dtype, shape, |_| {
            let inside = n > 0 && self.rng.chance(0.8);
            let at = match inside {
                true => self.rng.below(n) as i64,
                false => self.rng.below(span) as i64 - n as i64 - 1,
            };
            Scalar::from_i64(dtype, at)
        });
        self.source(tensor)
    }

    /// Whether a sum of products is small enough to evaluate.
    fn affordable(&self, extents: &[usize]) -> bool {
        let count = extents.iter().try_fold(1usize, |n, &e| n.checked_mul(e.max(1)));
        count.is_some_and(|n| n <= self.config.max_products)
    }

    fn small(&mut self) -> usize {
        *self.rng.choose(&[1, 1, 2, 3])
    }
}

fn broadcast(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick(|_| true);
    let (mut axes, mut shape) = (Vec::new(), Vec::new());
    for extent in g.extents(x) {
        if g.rng.chance(0.3) {
            shape.push(g.small());
        }
        axes.push(shape.len());
        shape.push(if extent == 1 { g.extent(8) } else { extent });
    }
    draft([x], [("shape", shape_text(&shape)), ("axes", shape_text(&axes))])
}

fn cast(g: &mut Generator<'_>) -> Option<Draft> {
    let to = *g.rng.choose(&g.config.dtypes);
    draft([g.pick(|_| true)], [("to", to.to_string())])
}

fn clamp(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(0, is_number);
    draft([x], [("min", "-1".to_string()), ("max", g.one_of(&["0", "2", "-3", "6.0"]))])
}

fn gelu(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(0, DType::is_float);
    let tanh = g.rng.chance(0.5).then(|| ("approximate", "tanh".to_string()));
    draft([x], tanh)
}

fn activation(g: &mut Generator<'_>, names: &[&'static str]) -> Option<Draft> {
    let x = g.pick_where(0, DType::is_float);
    let attributes: Vec<_> =
        names.iter().map(|&name| (name, g.one_of(&["0.01", "0.5", "1.5"]))).collect();
    draft([x], attributes)
}

fn prelu(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(0, is_number);
    let shape = trailing(g, x);
    let slope = g.tensor(g.ty(x).dtype, &shape);
    draft([x, slope], [])
}

/// A shape that broadcasts to that of a value: its last axes, some of extent 1.
fn trailing(g: &mut Generator<'_>, x: Value) -> Vec<usize> {
    let extents = g.extents(x);
    let skipped = g.rng.below(extents.len() + 1);
    extents[skipped..].iter().map(|&e| if g.rng.chance(0.2) { 1 } else { e }).collect()
}

fn concat(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let axis = g.axis(x);
    let mut operands = vec![x];
    for _ in 0..g.rng.below(3) {
        let extent = g.extent(8);
        let ty = g.ty(x).with_dim(axis, extent);
        let next = if g.rng.chance(0.3) { x } else { g.like(ty) };
        operands.insert(g.rng.below(operands.len() + 1), next);
    }
    draft(operands, [("axis", axis.to_string())])
}

fn split(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let axis = g.axis(x);
    let (mut left, mut sizes) = (g.extents(x)[axis], Vec::new());
    for _ in 0..g.rng.below(3) {
        let size = g.rng.below(left + 1);
        sizes.push(size);
        left -= size;
    }
    sizes.push(left);
    draft([x], [("axis", axis.to_string()), ("sizes", shape_text(&sizes))])
}

fn reshape(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick(|_| true);
    let mut shape = g.extents(x);
    for _ in 0..1 + g.rng.below(3) {
        let at = g.rng.below(shape.len() + 1);
        let joins = at + 1 < shape.len() && g.rng.chance(0.5);
        let divisor =
            shape.get(at).and_then(|e| [2, 3, 5, 7].into_iter().find(|d| *e > 0 && e % d == 0));
        match divisor {
            _ if joins => {
                let next = shape.remove(at + 1);
                shape[at] *= next;
            }
            Some(divisor) => {
                shape[at] /= divisor;
                shape.insert(at + g.rng.below(2), divisor);
            }
            None => shape.insert(at, 1),
        }
    }
    draft([x], [("shape", shape_text(&shape))])
}

fn transpose(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick(|ty| ty.rank() >= 2);
    let axes: Vec<usize> = (0..g.ty(x).rank()).collect();
    draft([x], [("perm", shape_text(&g.rng.shuffled(&axes)))])
}

fn slice(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let (mut starts, mut limits, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    for extent in g.extents(x) {
        let stride = *g.rng.choose(&[1, 1, 1, 2, 3, -1, -2]);
        let (a, b) = (g.rng.below(extent + 1) as i64, g.rng.below(extent + 1) as i64);
        let (low, high) = if g.rng.chance(0.4) { (0, extent as i64) } else { (a.min(b), a.max(b)) };
        // Downwards, both bounds lie one lower: from the last element to before the first.
        let (start, limit) = if stride > 0 { (low, high) } else { (high - 1, low - 1) };
        starts.push(start);
        limits.push(limit);
        strides.push(stride);
    }
    let attributes = [("starts", starts), ("limits", limits), ("strides", strides)];
    draft([x], attributes.map(|(name, list)| (name, format!("{list:?}"))))
}

fn pad(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let rank = g.ty(x).rank();
    let mut counts = |from: &[i64]| (0..rank).map(|_| *g.rng.choose(from)).collect::<Vec<i64>>();
    let (low, high) = (counts(&[0, 0, 1, 2, -1]), counts(&[0, 0, 1, 3, -1]));
    let interior = counts(&[0, 0, 0, 1, 2]);
    let mut attributes = vec![("low", format!("{low:?}")), ("high", format!("{high:?}"))];
    if g.rng.chance(0.4) {
        attributes.push(("interior", format!("{interior:?}")));
    }
    attributes.push(("value", g.one_of(&["0", "1", "2.5", "-inf"])));
    draft([x], attributes)
}

/// Kernel, strides, pads and dilations for `n` axes of these extents; the kernel fits.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    pads: Vec<[usize; 2]>,
    dilations: Vec<usize>,
}

impl Window {
    fn draw(g: &mut Generator<'_>, extents: &[usize]) -> Window {
        let n = extents.len();
        let dilations: Vec<usize> = (0..n).map(|_| *g.rng.choose(&[1, 1, 1, 2])).collect();
        let pads: Vec<[usize; 2]> = (0..n).map(|_| [g.rng.below(3), g.rng.below(3)]).collect();
        let kernel = (0..n).map(|k| {
            let room = extents[k] + pads[k][0] + pads[k][1];
            let most = if room == 0 { 1 } else { (room - 1) / dilations[k] + 1 };
            1 + g.rng.below(most.min(3))
        });
        let kernel = kernel.collect();
        let strides = (0..n).map(|_| *g.rng.choose(&[1, 1, 2, 3])).collect();
        Window { kernel, strides, pads, dilations }
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("strides", shape_text(&self.strides)),
            ("pads", format!("{:?}", self.pads)),
            ("dilations", shape_text(&self.dilations)),
        ]
    }
}

/// Windows along the last axes of a value.
fn windowed(g: &mut Generator<'_>, rank: usize) -> Option<Draft> {
    let x = g.pick_where(rank, DType::is_float);
    let extents = g.extents(x);
    let n = 1 + g.rng.below((extents.len() - 1).clamp(1, 2));
    let axes: Vec<usize> = (extents.len() - n..extents.len()).collect();
    let window = Window::draw(g, &extents[extents.len() - n..]);
    let mut attributes = window.attributes();
    attributes.push(("axes", shape_text(&axes)));
    attributes.push(("kernel", shape_text(&window.kernel)));
    draft([x], attributes)
}

fn windows(g: &mut Generator<'_>) -> Option<Draft> {
    let mut draft = windowed(g, 1)?;
    draft.attributes.push(("fill", g.one_of(&["0", "1", "-inf"])));
    Some(draft)
}

fn average_pool(g: &mut Generator<'_>) -> Option<Draft> {
    let mut draft = windowed(g, 2)?;
    if g.rng.chance(0.5) {
        let pads = draft.attributes.iter().find(|(name, _)| *name == "pads")?.1.clone();
        draft.attributes.push(("counted", pads));
    }
    Some(draft)
}

fn lp_pool(g: &mut Generator<'_>) -> Option<Draft> {
    let mut draft = windowed(g, 2)?;
    draft.attributes.push(("p", g.one_of(&["1", "2", "3"])));
    Some(draft)
}

fn conv(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(3, is_number);
    let (dtype, extents) = (g.ty(x).dtype, g.extents(x));
    let (rank, n) = (extents.len(), extents.len() - 2);
    let last = g.rng.chance(0.3);
    let (channel, spatial) = if last { (rank - 1, 1) } else { (1, 2) };
    let channels = extents[channel];
    let divisors: Vec<usize> =
        (1..=channels.max(1)).filter(|d| channels.is_multiple_of(*d)).collect();
    let groups = if g.rng.chance(0.6) { 1 } else { *g.rng.choose(&divisors) };
    let outputs = groups * g.small();
    let window = Window::draw(g, &extents[spatial..spatial + n]);
    let inputs = channels / groups;
    let (mut shape, ends) = (window.kernel.clone(), [inputs, outputs]);
    if last {
        shape.extend(ends);
    } else {
        shape.splice(0..0, [outputs, inputs]);
    }
    let product: Vec<usize> = shape.iter().chain(&extents).copied().collect();
    if !g.affordable(&product) {
        return None;
    }
    let w = g.tensor(dtype, &shape);
    let mut attributes = window.attributes();
    attributes.push(("groups", groups.to_string()));
    let layout = if last { "channels_last" } else { "channels_first" };
    attributes.push(("layout", layout.to_string()));
    draft([x, w], attributes)
}

fn conv_transpose(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(3, is_number);
    let (dtype, extents) = (g.ty(x).dtype, g.extents(x));
    let window = Window::draw(g, &extents[2..]);
    let divides = g.rng.chance(0.3) && extents[1] % 2 == 0 && extents[1] > 0;
    let (groups, outputs) = (if divides { 2 } else { 1 }, g.small());
    let shape = [&[extents[1], outputs], window.kernel.as_slice()].concat();
    if !g.affordable(&[&shape[1..], extents.as_slice(), window.strides.as_slice()].concat()) {
        return None;
    }
    let w = g.tensor(dtype, &shape);
    let mut attributes = window.attributes();
    attributes.push(("groups", groups.to_string()));
    if g.rng.chance(0.3) {
        let pads = vec![1; extents.len() - 2];
        attributes.push(("output_pads", shape_text(&pads)));
    }
    draft([x, w], attributes)
}

/// An Einstein summation: letters of the first operand are batch, kept or summed; the second adds
/// its own.
fn contract(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    let (dtype, extents) = (g.ty(x).dtype, g.extents(x));
    let letters: Vec<(char, usize)> = ('a'..='z').zip(extents.iter().copied()).collect();
    let (mut rhs, mut result) = (Vec::new(), Vec::new());
    for &(letter, extent) in &letters {
        match g.rng.below(4) {
            0 => result.push(letter),
            1 => {
                rhs.push((letter, extent));
                result.push(letter);
            }
            2 => rhs.push((letter, extent)),
            _ => {}
        }
    }
    if let Some(&shared) = letters.last()
        && rhs.is_empty()
    {
        rhs.push(shared);
    }
    for letter in 'A'..='Z' {
        if !g.rng.chance(0.4) {
            break;
        }
        rhs.push((letter, g.extent(17)));
        result.push(letter);
    }
    let (rhs, result) = (g.rng.shuffled(&rhs), g.rng.shuffled(&result));
    let shape: Vec<usize> = rhs.iter().map(|(_, extent)| *extent).collect();
    if !g.affordable(&[extents, shape.clone()].concat()) {
        return None;
    }
    let y = g.like(TensorType::new(dtype, shape.as_slice()));
    let text = |list: &[(char, usize)]| list.iter().map(|(c, _)| *c).collect::<String>();
    let result: String = result.into_iter().collect();
    let spec = format!("\"{}, {} -> {result}\"", text(&letters), text(&rhs));
    draft([x, y], [("spec", spec)])
}

fn matmul(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    let (dtype, extents) = (g.ty(x).dtype, g.extents(x));
    let (inner, columns) = (*extents.last()?, g.extent(17));
    let shape = match extents.len() {
        rank if rank > 2 && g.rng.chance(0.5) => [&extents[..rank - 2], &[inner, columns]].concat(),
        _ if g.rng.chance(0.2) => vec![inner],
        _ => vec![inner, columns],
    };
    if !g.affordable(&[extents, vec![columns]].concat()) {
        return None;
    }
    let y = g.like(TensorType::new(dtype, shape.as_slice()));
    draft([x, y], [])
}

fn linear(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    let (dtype, extents) = (g.ty(x).dtype, g.extents(x));
    let (inner, outputs) = (*extents.last()?, g.extent(17));
    if !g.affordable(&[extents, vec![outputs]].concat()) {
        return None;
    }
    let mut operands = vec![x, g.tensor(dtype, &[outputs, inner])];
    if g.rng.chance(0.7) {
        operands.push(g.tensor(dtype, &[outputs]));
    }
    draft(operands, [])
}

fn attention(g: &mut Generator<'_>) -> Option<Draft> {
    let q = g.pick(|ty| ty.rank() == 4 && ty.dtype.is_float());
    let ty = g.ty(q);
    let [b, h, t, d] = ty.extents()[..] else { return None };
    let (s, e) = (g.extent(17), g.extent(8));
    let groups = if h % 2 == 0 && h > 0 && g.rng.chance(0.3) { h / 2 } else { h };
    if !g.affordable(&[b, h, t, s, d.max(e)]) {
        return None;
    }
    let k = g.tensor(ty.dtype, &[b, groups, s, d]);
    let v = g.tensor(ty.dtype, &[b, groups, s, e]);
    let mut operands = vec![q, k, v];
    if g.rng.chance(0.5) {
        let dtype = *g.rng.choose(&[DType::Bool, ty.dtype]);
        let shape = *g.rng.choose(&[[b, h, t, s], [b, 1, 1, s], [1, 1, t, s]]);
        operands.push(g.tensor(dtype, &shape));
    }
    draft(operands, [("scale", "0.25".to_string()), ("causal", g.flag())])
}

fn reduce(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick(|_| true);
    let kinds: &[&str] = match g.ty(x).dtype {
        DType::Bool => &["max", "min"],
        _ => &["sum", "product", "max", "min"],
    };
    let axes = g.axes(x);
    draft([x], [("kind", g.one_of(kinds)), ("axes", shape_text(&axes))])
}

fn over_axes(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, DType::is_float);
    let axes = g.axes(x);
    draft([x], [("axes", shape_text(&axes))])
}

fn arg_reduce(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    let (axis, kind) = (g.axis(x), g.one_of(&["max", "min"]));
    draft([x], [("kind", kind), ("axis", axis.to_string()), ("select_last", g.flag())])
}

fn cumulative(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    let (axis, kind) = (g.axis(x).to_string(), g.one_of(&["sum", "sum", "product", "max", "min"]));
    let flags = [("exclusive", g.flag()), ("reverse", g.flag())];
    draft([x], [("kind", kind), ("axis", axis)].into_iter().chain(flags))
}

fn along_float_axis(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, DType::is_float);
    let rank = g.ty(x).rank();
    let axis = if g.rng.chance(0.6) { rank - 1 } else { g.axis(x) };
    draft([x], [("axis", axis.to_string())])
}

fn sort(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    draft([x], [("axis", g.axis(x).to_string()), ("descending", g.flag())])
}

fn top_k(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, is_number);
    let axis = g.axis(x);
    let k = g.rng.below(g.extents(x)[axis] + 1);
    draft([x], [("k", k.to_string()), ("axis", axis.to_string()), ("largest", g.flag())])
}

fn trilu(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(2);
    let diagonal = g.rng.below(7) as i64 - 3;
    draft([x], [("upper", g.flag()), ("diagonal", diagonal.to_string())])
}

fn iota(g: &mut Generator<'_>) -> Option<Draft> {
    let shape = {
        let rank = 1 + g.rng.below(3);
        g.shape(rank)
    };
    let axis = g.rng.below(shape.len());
    let dtype = *g.rng.choose(&[DType::I64, DType::I32, DType::F32, DType::U8]);
    let attributes = [("axis", axis.to_string()), ("dtype", dtype.to_string())];
    draft([], [("shape", shape_text(&shape))].into_iter().chain(attributes))
}

fn random(g: &mut Generator<'_>) -> Option<Draft> {
    let shape = {
        let rank = g.rng.below(4);
        g.shape(rank)
    };
    let dtype = *g.rng.choose(&[DType::F32, DType::F64]);
    let attributes = [("seed", g.rng.bits().to_string()), ("dtype", dtype.to_string())];
    draft([], [("shape", shape_text(&shape))].into_iter().chain(attributes))
}

fn one_hot(g: &mut Generator<'_>) -> Option<Draft> {
    let shape = {
        let rank = g.rng.below(3);
        g.shape(rank)
    };
    let depth = g.extent(8);
    let x = g.positions(&shape, depth);
    let axis = g.rng.below(shape.len() + 1);
    let dtype = *g.rng.choose(&[DType::Bool, DType::F32, DType::I64]);
    let attributes = [("axis", axis.to_string()), ("dtype", dtype.to_string())];
    draft([x], [("depth", depth.to_string())].into_iter().chain(attributes))
}

fn take(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let axis = g.axis(x);
    let shape = {
        let rank = g.rng.below(3);
        g.shape(rank)
    };
    let indices = g.positions(&shape, g.extents(x)[axis]);
    draft([x, indices], [("axis", axis.to_string())])
}

/// Indices of the shape of a value with another extent along the axis, smaller elsewhere.
fn along_axis(g: &mut Generator<'_>, x: Value, axis: usize) -> (Value, Vec<usize>) {
    let mut shape = g.extents(x);
    for (a, extent) in shape.iter_mut().enumerate() {
        match a == axis {
            true => *extent = g.extent(8),
            false if g.rng.chance(0.2) => *extent = g.rng.below(*extent + 1),
            false => {}
        }
    }
    (g.positions(&shape, g.extents(x)[axis]), shape)
}

fn take_along_axis(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let axis = g.axis(x);
    let (indices, _) = along_axis(g, x, axis);
    draft([x, indices], [("axis", axis.to_string())])
}

fn scatter_mode(g: &mut Generator<'_>, dtype: DType) -> (&'static str, String) {
    let modes: &[&str] = match dtype {
        DType::Bool => &["replace", "max", "min"],
        _ => &["replace", "add", "mul", "max", "min"],
    };
    ("mode", g.one_of(modes))
}

fn scatter_along_axis(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let (dtype, axis) = (g.ty(x).dtype, g.axis(x));
    let (indices, shape) = along_axis(g, x, axis);
    let updates = g.tensor(dtype, &shape);
    draft([x, indices, updates], [("axis", axis.to_string()), scatter_mode(g, dtype)])
}

fn gather_nd(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let extents = g.extents(x);
    let batch = if extents.len() > 1 && g.rng.chance(0.3) { 1 } else { 0 };
    let n = 1 + g.rng.below(extents.len() - batch);
    let limit = extents[batch..batch + n].iter().copied().min()?;
    let shape = [&extents[..batch], &[g.small(), n]].concat();
    let indices = g.positions(&shape, limit);
    draft([x, indices], [("batch_axes", batch.to_string())])
}

fn scatter_nd(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_rank(1);
    let (dtype, extents) = (g.ty(x).dtype, g.extents(x));
    let n = 1 + g.rng.below(extents.len());
    let (limit, tuples) = (extents[..n].iter().copied().min()?, g.small());
    let indices = g.positions(&[tuples, n], limit);
    let updates = g.tensor(dtype, &[&[tuples], &extents[n..]].concat());
    draft([x, indices, updates], [scatter_mode(g, dtype)])
}

fn batch_norm(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(2, DType::is_float);
    let (dtype, axis) = (g.ty(x).dtype, g.axis(x));
    let channels = g.extents(x)[axis];
    let mut operands = vec![x];
    operands.extend((0..4).map(|_| g.tensor(dtype, &[channels])));
    draft(operands, [("axis", axis.to_string())])
}

/// A value, and mostly a scale and a bias of a shape each.
fn normalised(g: &mut Generator<'_>, x: Value, shape: &[usize], most: usize) -> Vec<Value> {
    let (dtype, n) = (g.ty(x).dtype, g.rng.below(most + 1));
    let mut operands = vec![x];
    operands.extend((0..n).map(|_| g.tensor(dtype, shape)));
    operands
}

fn layer_norm(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, DType::is_float);
    let axis = g.ty(x).rank() - 1 - g.rng.below(g.ty(x).rank().min(2));
    let shape = g.extents(x)[axis..].to_vec();
    let operands = normalised(g, x, &shape, 2);
    draft(operands, [("axis", axis.to_string())])
}

fn rms_norm(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(1, DType::is_float);
    let axis = g.ty(x).rank() - 1;
    let shape = g.extents(x)[axis..].to_vec();
    let operands = normalised(g, x, &shape, 1);
    draft(operands, [("axis", axis.to_string()), ("epsilon", "1e-6".to_string())])
}

fn group_norm(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(2, DType::is_float);
    let channels = g.extents(x)[1];
    let divisors: Vec<usize> =
        (1..=channels.max(1)).filter(|d| channels.is_multiple_of(*d)).collect();
    let groups = *g.rng.choose(&divisors);
    let operands = normalised(g, x, &[channels], 2);
    draft(operands, [("groups", groups.to_string())])
}

fn instance_norm(g: &mut Generator<'_>) -> Option<Draft> {
    let x = g.pick_where(3, DType::is_float);
    let channels = g.extents(x)[1];
    let operands = normalised(g, x, &[channels], 2);
    draft(operands, [])
}
