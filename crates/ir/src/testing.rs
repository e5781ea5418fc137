//! Random well-typed graphs with inputs, for tests that compare engines, passes and text forms.
//!
//! A seed gives the same graph everywhere. Steps either take any operator or prefer what models are
//! made of: convolutions, contractions, norms, pooling, movement and elementwise chains.

mod recipes;
mod rng;
mod sample;

use tracelift_tensor::{DType, Tensor};

use crate::{
    Attribute as _, AttributeTexts, Broadcast, Builder, Constant, ConstantData, Graph, NodeKind,
    Op, Provenance, Shape, TensorType, Value,
};

pub use rng::Rng;
pub use sample::random_tensor;

/// What random graphs are made of.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The largest number of operator nodes, broadcasts not counted.
    pub max_ops: usize,
    /// The extents drawn.
    pub extents: Vec<usize>,
    /// The most elements of a tensor.
    pub max_elements: usize,
    /// The most products in a sum of products.
    pub max_products: usize,
    /// The dtypes drawn; operators may give others.
    pub dtypes: Vec<DType>,
    /// Whether some inputs hold NaN, infinities, signed zeros and extreme integers.
    pub specials: bool,
    /// The operators drawn, by name; empty for all.
    pub ops: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_ops: 40,
            extents: vec![0, 1, 2, 3, 5, 7, 8, 16, 17, 33],
            max_elements: 4096,
            max_products: 50_000,
            dtypes: DType::ALL.to_vec(),
            specials: true,
            ops: Vec::new(),
        }
    }
}

/// A graph and inputs for it; the same for equal seeds and configurations.
pub fn random_graph(seed: u64, config: &Config) -> (Graph, Vec<Tensor>) {
    let mut g = Generator {
        rng: Rng::new(seed),
        config,
        graph: Graph::new("random"),
        inputs: Vec::new(),
        values: Vec::new(),
        n_parameters: 0,
    };
    let ty = g.any_type();
    g.fresh(ty);
    // Small graphs are as likely as large ones.
    let n_ops = 1 + g.rng.below(g.config.max_ops.max(1));
    let mut n_added = 0;
    for _ in 0..8 * n_ops {
        n_added += g.step();
        if n_added >= n_ops {
            break;
        }
    }
    g.finish()
}

/// Operators that models are made of, drawn more often.
const FAVOURED: &[&str] = &[
    "conv",
    "conv",
    "contract",
    "contract",
    "matmul",
    "linear",
    "reduce",
    "reduce",
    "softmax",
    "layer_norm",
    "rms_norm",
    "attention",
    "windows",
    "max_pool",
    "average_pool",
    "batch_norm",
    "pad",
    "slice",
    "concat",
    "take",
    "reshape",
    "transpose",
    "split",
    "cast",
    "select",
];

/// Elementwise operators for chains.
const CHAIN: &[&str] = &[
    "add", "mul", "sub", "div", "max", "min", "neg", "abs", "exp", "tanh", "sqrt", "erf", "relu",
    "sigmoid", "silu", "gelu", "clamp", "fma", "select", "gt",
];

/// An operator's operands and attributes as text.
struct Draft {
    operands: Vec<Value>,
    attributes: Vec<(&'static str, String)>,
}

struct Generator<'c> {
    rng: Rng,
    config: &'c Config,
    graph: Graph,
    inputs: Vec<Tensor>,
    /// Everything an operator may take, oldest first.
    values: Vec<Value>,
    n_parameters: usize,
}

impl Generator<'_> {
    /// Adds one operator or a short chain; returns how many operators.
    fn step(&mut self) -> usize {
        let drawn = |op: &&str| {
            let exists = Op::ALL.iter().any(|(name, ..)| name == op);
            exists && (self.config.ops.is_empty() || self.config.ops.iter().any(|o| o == op))
        };
        let favoured: Vec<&str> = FAVOURED.iter().copied().filter(drawn).collect();
        let chain: Vec<&str> = CHAIN.iter().copied().filter(drawn).collect();
        let all: Vec<&str> = Op::ALL.iter().map(|(name, ..)| *name).filter(|n| drawn(n)).collect();
        match self.rng.below(10) {
            0..3 if !favoured.is_empty() => {
                let name = *self.rng.choose(&favoured);
                let n_added = usize::from(self.add(name));
                // Windows mostly serve pooling.
                let pools = name == "windows" && n_added == 1 && self.rng.chance(0.7);
                n_added + usize::from(pools && self.pool())
            }
            3..5 if !chain.is_empty() => {
                let length = 1 + self.rng.below(5);
                (0..length)
                    .map(|_| {
                        usize::from({
                            let name = *self.rng.choose(&chain);
                            self.add(name)
                        })
                    })
                    .sum()
            }
            _ => {
                let name = *self.rng.choose(&all);
                usize::from(self.add(name))
            }
        }
    }

    /// Reduces the axes inside the windows made last.
    fn pool(&mut self) -> bool {
        let Some(&windows) = self.values.last() else { return false };
        let Some(Op::Windows(op)) = self.graph.op(windows.node) else { return false };
        let (n, rank) = (op.kernel.len(), self.graph.ty(windows).rank());
        let is_bool = self.graph.ty(windows).dtype == DType::Bool;
        let kind = if is_bool { "max" } else { *self.rng.choose(&["max", "sum", "min"]) };
        let axes: Vec<usize> = (rank - n..rank).collect();
        let attributes = vec![("kind", kind.to_string()), ("axes", format!("{axes:?}"))];
        self.emit("reduce", Draft { operands: vec![windows], attributes })
    }

    /// Draws operands and attributes for an operator; false where they do not fit after all.
    fn add(&mut self, name: &str) -> bool {
        let draft = match recipes::recipe(name) {
            Some(recipe) => recipe(self),
            None => self.elementwise(name),
        };
        draft.is_some_and(|draft| self.emit(name, draft))
    }

    fn emit(&mut self, name: &str, draft: Draft) -> bool {
        let texts: AttributeTexts =
            draft.attributes.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
        let Some(Ok(op)) = Op::parse(name, &texts) else { return false };
        let types: Vec<TensorType> =
            draft.operands.iter().map(|v| self.graph.ty(*v).clone()).collect();
        let Ok(results) = op.infer(&types) else { return false };
        if results.iter().any(|ty| self.count(ty) > self.config.max_elements) {
            return false;
        }
        let from = Provenance::at(&format!("{name}_{}", self.graph.node_count()), "random");
        let id = self.graph.add(NodeKind::Op(op), &draft.operands, results, from, None);
        self.values.extend(self.graph.values(id));
        true
    }

    fn count(&self, ty: &TensorType) -> usize {
        ty.shape.count().as_const().unwrap_or(usize::MAX)
    }

    /// An operator that takes operands of one shape and no attributes, of dtypes found by trial.
    fn elementwise(&mut self, name: &str) -> Option<Draft> {
        let Some(Ok(op)) = Op::parse(name, &AttributeTexts::new()) else { return None };
        let first = self.pick(|_| true);
        let ty = self.graph.ty(first).clone();
        let mut dtypes = vec![ty.dtype];
        dtypes.extend(self.rng.shuffled(&DType::ALL));
        let takes = |dtypes: &[DType]| {
            let types: Vec<TensorType> = dtypes.iter().map(|d| TensorType::new(*d, [1])).collect();
            op.infer(&types).is_ok()
        };
        let fits = dtypes.iter().find_map(|&d| {
            let all = [vec![d], vec![d; 2], vec![DType::Bool, d, d], vec![d; 3]];
            all.into_iter().find(|dtypes| takes(dtypes))
        })?;
        let operands = fits.into_iter().enumerate().map(|(k, dtype)| {
            if k == 0 && dtype == ty.dtype { first } else { self.like(ty.with_dtype(dtype)) }
        });
        let operands = operands.collect();
        Some(Draft { operands, attributes: Vec::new() })
    }

    /// A value so far, the newest as often as all others; a new one where none fits.
    fn pick(&mut self, fits: impl Fn(&TensorType) -> bool) -> Value {
        let found: Vec<Value> =
            self.values.iter().copied().filter(|v| fits(self.graph.ty(*v))).collect();
        match found.last() {
            Some(&last) if self.rng.chance(0.5) => return last,
            Some(_) if self.rng.chance(0.9) => return *self.rng.choose(&found),
            _ => {}
        }
        for _ in 0..200 {
            let ty = self.any_type();
            if fits(&ty) {
                return self.fresh(ty);
            }
        }
        *self.rng.choose(&self.values)
    }

    /// A value of rank at least `rank`.
    fn pick_rank(&mut self, rank: usize) -> Value {
        self.pick_where(rank, |_| true)
    }

    /// A value of rank at least `rank` and a dtype that fits.
    fn pick_where(&mut self, rank: usize, fits: impl Fn(DType) -> bool) -> Value {
        let value = self.pick(|ty| ty.rank() >= rank && fits(ty.dtype));
        let ty = self.graph.ty(value);
        if ty.rank() >= rank && fits(ty.dtype) {
            return value;
        }
        let drawn = self.config.dtypes.iter().chain(&DType::ALL).copied();
        let dtype = drawn.into_iter().find(|d| fits(*d)).expect("some dtype fits");
        let shape = self.shape(rank);
        self.fresh(TensorType::new(dtype, shape.as_slice()))
    }

    /// A value of a type: one so far, a smaller one broadcast, or a new one.
    fn like(&mut self, ty: TensorType) -> Value {
        let found: Vec<Value> =
            self.values.iter().copied().filter(|v| *self.graph.ty(*v) == ty).collect();
        if !found.is_empty() && self.rng.chance(0.7) {
            return *self.rng.choose(&found);
        }
        if self.rng.chance(0.5) { self.broadcast(ty) } else { self.fresh(ty) }
    }

    /// A new value with some axes missing or of extent 1, broadcast to a type.
    fn broadcast(&mut self, ty: TensorType) -> Value {
        let axes: Vec<usize> = (0..ty.rank()).filter(|_| self.rng.chance(0.7)).collect();
        let extents = axes.iter().map(|&a| {
            if self.rng.chance(0.3) { tracelift_tensor::Dim::from(1) } else { ty.dim(a).clone() }
        });
        let extents: Shape = extents.collect();
        let small = self.fresh(TensorType { dtype: ty.dtype, shape: extents });
        let op = Broadcast { shape: ty.shape, axes };
        let spread = Builder::new(&mut self.graph).op1(op, &[small]);
        spread.expect("each axis has extent 1 or that of the result")
    }

    /// A new input, parameter or constant.
    fn fresh(&mut self, ty: TensorType) -> Value {
        let tensor = random_tensor(&mut self.rng, ty.dtype, &ty.extents(), self.config.specials);
        self.source(tensor)
    }

    fn source(&mut self, tensor: Tensor) -> Value {
        const MAX_INPUTS: usize = 6;
        let ty = TensorType::new(tensor.dtype(), tensor.shape());
        let is_input = self.inputs.len() < MAX_INPUTS && self.rng.chance(0.6);
        let value = if is_input || self.inputs.is_empty() {
            let name = format!("in_{}", self.inputs.len());
            self.inputs.push(tensor);
            self.graph.add_input(&name, ty)
        } else {
            let parameter = self.rng.chance(0.4).then(|| {
                self.n_parameters += 1;
                format!("layer.{}.weight", self.n_parameters).into()
            });
            let data = match tensor.count() {
                0 => ConstantData::Dense(tensor),
                _ if self.rng.chance(0.3) => ConstantData::Splat(tensor.get(0)),
                _ => ConstantData::Dense(tensor),
            };
            let from = Provenance::at("constant", "random");
            self.graph.add_constant(Constant { parameter, data }, ty, from)
        };
        self.values.push(value);
        value
    }

    fn any_type(&mut self) -> TensorType {
        let floats = [DType::F32, DType::F32, DType::F64];
        let floats: Vec<DType> =
            floats.into_iter().filter(|d| self.config.dtypes.contains(d)).collect();
        let float = !floats.is_empty() && self.rng.chance(0.6);
        let dtype =
            *if float { self.rng.choose(&floats) } else { self.rng.choose(&self.config.dtypes) };
        let rank = *self.rng.choose(&[0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5]);
        TensorType::new(dtype, self.shape(rank).as_slice())
    }

    /// Extents whose product stays within the limit; empty tensors are rare.
    fn shape(&mut self, rank: usize) -> Vec<usize> {
        let mut shape = Vec::with_capacity(rank);
        let mut count = 1;
        for _ in 0..rank {
            let extent = self.extent(self.config.max_elements / count / 2);
            count *= extent.max(1);
            shape.push(extent);
        }
        self.rng.shuffled(&shape)
    }

    fn extent(&mut self, limit: usize) -> usize {
        let extents: Vec<usize> =
            self.config.extents.iter().copied().filter(|e| *e <= limit).collect();
        let zero = self.rng.chance(0.03);
        let drawn: Vec<usize> = extents.into_iter().filter(|e| (*e == 0) == zero).collect();
        if drawn.is_empty() { 1 } else { *self.rng.choose(&drawn) }
    }

    /// Makes some unused values results and removes what none of them needs.
    fn finish(mut self) -> (Graph, Vec<Tensor>) {
        const MAX_RESULTS: usize = 4;
        let is_op = |v: &Value| self.graph.op(v.node).is_some();
        let unused: Vec<Value> = self
            .values
            .iter()
            .copied()
            .filter(|v| is_op(v) && self.graph.use_count(*v) == 0)
            .collect();
        let n_results = (1 + self.rng.below(MAX_RESULTS)).min(unused.len());
        let mut results = self.rng.shuffled(&unused);
        results.truncate(n_results);
        if results.is_empty() {
            results.extend(self.values.last());
        }
        for (k, value) in results.into_iter().enumerate() {
            let name = if k % 2 == 0 { String::new() } else { format!("out_{k}") };
            self.graph.add_result(&name, value);
        }
        self.graph.remove_dead();
        (self.graph, self.inputs)
    }
}

/// An attribute's text.
fn shape_text(extents: &[usize]) -> String {
    extents.to_vec().print()
}

#[cfg(test)]
mod tests;
