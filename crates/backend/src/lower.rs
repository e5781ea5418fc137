//! Lowers a graph to kernels: decides what is computed together and writes the loop nests.
//!
//! In: a verified graph of primitives without symbols.  Out: kernels, the steps that apply them,
//! and the storages they speak of.
//! Not here: where storages lie (`memory_plan`), machine code (`emit`).
//!
//! Nothing here matches on operators; everything is decided from their `Structure`.

mod analysis;
mod boxes;
mod chain;
mod column_fold;
mod column_strips;
mod contract;
mod fold;
mod groups;
mod hoist;
mod interpret;
mod joined;
mod kernel_builder;
mod lane_fold;
mod pointwise;
mod product;
mod register_tile;
mod resolve;
mod row;
mod segments;
mod sequential;
mod strip;
#[cfg(test)]
mod tests;
mod tile_builder;
mod transposing;
mod visible;
mod winograd;

use std::{collections::BTreeMap, hash::BuildHasher, sync::Arc};

use rustc_hash::{FxBuildHasher, FxHashMap};
use tracelift_ir::{ConstantData, Graph, NodeId, NodeKind, Provenance, Value};
use tracelift_loops::Kernel;
use tracelift_runtime::Port;
use tracelift_tensor::{DType, Target};

use crate::recipe::{Pack, Recipe};
use analysis::Analysis;
pub use groups::{Group, GroupKind};
use kernel_builder::KernelBuilder;

/// A piece of memory that kernels read and write: a position in [`Lowered::storages`].
pub type StorageId = usize;

/// What a storage is.
#[derive(Clone, PartialEq, Debug)]
pub enum StorageKind {
    /// The input of this number.
    Input(usize),
    /// The output of this number.
    Output(usize),
    /// A value known at compile time, made after lowering.
    Constant(Recipe),
    /// An intermediate value, to be placed in the arena.
    Temporary,
}

/// A piece of memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Storage {
    /// What it is.
    pub kind: StorageKind,
    /// The type of its elements.
    pub dtype: DType,
    /// The number of its elements.
    pub len: usize,
    /// The name shown in dumps.
    pub name: String,
}

impl Storage {
    /// The size in bytes.
    pub fn size_bytes(&self) -> usize {
        self.len * self.dtype.size_bytes()
    }
}

/// One kernel applied to storages.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// The position of its kernel in [`Lowered::kernels`].
    pub kernel: usize,
    /// One storage per operand of the kernel, scratch left out.
    pub operands: Vec<StorageId>,
    /// The source nodes it computes.
    pub label: Arc<str>,
}

/// A graph as kernels over storages.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The distinct kernels.
    pub kernels: Vec<Kernel>,
    /// The kernels applied, in order.
    pub steps: Vec<Step>,
    /// The memory they speak of.
    pub storages: Vec<Storage>,
    /// The inputs in order.
    pub inputs: Vec<Port>,
    /// The outputs in order.
    pub outputs: Vec<Port>,
    /// What each group computes and why it ended, for people.
    pub groups: Vec<Group>,
}

/// A graph that cannot be lowered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// A symbol is not bound.
    #[error("TL0601: graph @{graph}: dimension '{symbol}' has no value; give one")]
    UnboundSymbol {
        /// The graph.
        graph: String,
        /// The symbol.
        symbol: String,
    },
    /// An operator was not decomposed, or has no generator.
    #[error("TL0602: operator {op} has no kernel ({place})")]
    NoKernel {
        /// The operator.
        op: String,
        /// Where it came from.
        place: String,
    },
}

/// What a user may choose about lowering.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LowerOptions {
    /// The largest error that Winograd's algorithm may bring into a convolution, as estimated from
    /// its weights and relative to its typical output; 0 turns the algorithm off.
    pub winograd_budget: f64,
    /// By how many bytes its transformed filters may exceed a convolution's weights and be kept;
    /// larger ones are transformed in every run.
    pub winograd_kept_bytes: usize,
}

impl Default for LowerOptions {
    /// A budget that tiles of 4 × 4 outputs meet with up to some 300 channels summed over, tiles of
    /// 2 × 2 with thousands; and at most 256 KiB more per convolution, so that a program is not much
    /// larger than its weights.
    fn default() -> LowerOptions {
        LowerOptions { winograd_budget: 5e-5, winograd_kept_bytes: 1 << 18 }
    }
}

/// Lowers a graph of primitives.
///
/// # Errors
/// When a symbol is unbound or an operator is composite or opaque.
pub fn lower(
    graph: &Graph,
    target: &Target,
    options: &LowerOptions,
) -> Result<Lowered, LowerError> {
    if let Some(symbol) = graph.symbols().into_iter().next() {
        let (graph, symbol) = (graph.name().to_string(), symbol.to_string());
        return Err(LowerError::UnboundSymbol { graph, symbol });
    }
    let analysis = Analysis::of(graph)?;
    let mut plan = groups::plan(graph, &analysis);
    let mut lowering = Lowering::new(graph, &analysis, target, options, &plan);
    lowering.place_leaves();
    lowering.find_joined(&plan.groups);
    for group in &plan.groups {
        lowering.lower_group(group);
    }
    lowering.place_results();
    let Lowering { mut out, mut choices, .. } = lowering;
    for group in &mut plan.groups {
        group.choice = choices.remove(&group.members[0]).unwrap_or_default();
    }
    out.groups = plan.groups;
    Ok(out)
}

/// A file of vector registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Registers {
    /// The bytes of each.
    pub(crate) bytes: usize,
    /// How many there are.
    pub(crate) count: usize,
}

impl Registers {
    /// The elements of a dtype in one register.
    pub(crate) fn lanes(&self, dtype: DType) -> usize {
        (self.bytes / dtype.size_bytes()).max(1)
    }
}

/// A lowering in progress.
pub(crate) struct Lowering<'g> {
    graph: &'g Graph,
    analysis: &'g Analysis,
    target: Target,
    options: LowerOptions,
    out: Lowered,
    /// The storage of every value that has one.
    storage_of: FxHashMap<Value, StorageId>,
    /// Constants already placed, by node.
    constants: BTreeMap<NodeId, StorageId>,
    /// Values that must be in memory, with the graph output they are first.
    outputs: FxHashMap<Value, usize>,
    /// Values that lie inside others.
    joined: FxHashMap<Value, joined::Part>,
    /// The kernels so far by their hash.
    known: FxHashMap<u64, Vec<usize>>,
    /// Packed constants by source and how they are made from it.
    packed: FxHashMap<(StorageId, Pack), StorageId>,
    /// Which way of computing a group was chosen and why, by its first member.
    choices: FxHashMap<NodeId, String>,
}

impl<'g> Lowering<'g> {
    fn new(
        graph: &'g Graph,
        analysis: &'g Analysis,
        target: &Target,
        options: &LowerOptions,
        plan: &groups::FusionPlan,
    ) -> Lowering<'g> {
        Lowering {
            graph,
            analysis,
            target: *target,
            options: *options,
            out: Lowered::default(),
            storage_of: FxHashMap::default(),
            constants: BTreeMap::new(),
            outputs: plan.outputs.clone(),
            joined: FxHashMap::default(),
            known: FxHashMap::default(),
            packed: FxHashMap::default(),
            choices: FxHashMap::default(),
        }
    }

    /// The vector registers that tile programs over a dtype have.
    pub(crate) fn registers(&self, dtype: DType) -> Registers {
        match dtype {
            DType::F32 | DType::I32 | DType::U32 => Registers {
                bytes: self.target.vector_bytes,
                count: self.target.n_vector_registers(),
            },
            _ => Registers { bytes: 16, count: 16 },
        }
    }

    fn extents(&self, value: Value) -> Vec<usize> {
        self.graph.ty(value).extents()
    }

    fn count(&self, value: Value) -> usize {
        self.extents(value).iter().product()
    }

    fn name_of(&self, value: Value) -> String {
        let names = &self.graph.node(value.node).names;
        names
            .get(value.result as usize)
            .filter(|n| !n.is_empty())
            .map_or_else(|| format!("v{}", value.node.index()), |n| n.to_string())
    }

    fn add_storage(
        &mut self,
        kind: StorageKind,
        dtype: DType,
        len: usize,
        name: String,
    ) -> StorageId {
        self.out.storages.push(Storage { kind, dtype, len, name });
        self.out.storages.len() - 1
    }

    /// Gives inputs their storages; constants get theirs when first read.
    fn place_leaves(&mut self) {
        for (k, value) in self.graph.inputs().enumerate() {
            let (dtype, name) = (self.graph.ty(value).dtype, self.name_of(value));
            let shape = self.extents(value);
            let id =
                self.add_storage(StorageKind::Input(k), dtype, self.count(value), name.clone());
            self.storage_of.insert(value, id);
            self.out.inputs.push(Port { name, dtype, shape });
        }
        for (k, result) in self.graph.results().iter().enumerate() {
            let name =
                if result.name.is_empty() { format!("out_{k}") } else { result.name.to_string() };
            let (dtype, shape) = (self.graph.ty(result.value).dtype, self.extents(result.value));
            self.out.outputs.push(Port { name, dtype, shape });
        }
    }

    /// The storage of a value that is in memory; constants are placed on demand.
    pub(crate) fn storage(&mut self, value: Value) -> Option<StorageId> {
        if let Some(&id) = self.storage_of.get(&value) {
            return Some(id);
        }
        let NodeKind::Constant(constant) = &self.graph.node(value.node).kind else {
            return None;
        };
        if let Some(&id) = self.constants.get(&value.node) {
            return Some(id);
        }
        let recipe = match &constant.data {
            ConstantData::Dense(tensor) => Recipe::Stored(tensor.clone()),
            ConstantData::Splat(scalar) => Recipe::Splat(*scalar, self.count(value)),
        };
        let (dtype, len, name) = (recipe.dtype(), recipe.count(), self.name_of(value));
        let id = self.add_storage(StorageKind::Constant(recipe), dtype, len, name);
        self.constants.insert(value.node, id);
        Some(id)
    }

    /// A constant made from another; equal ones are made once. `None` where the source is not
    /// constant.
    pub(crate) fn packed_constant(
        &mut self,
        source: StorageId,
        pack: Pack,
        suffix: &str,
    ) -> Option<StorageId> {
        let storage = &self.out.storages[source];
        let StorageKind::Constant(recipe) = &storage.kind else { return None };
        let key = (source, pack);
        if let Some(&id) = self.packed.get(&key) {
            return Some(id);
        }
        let packed = Recipe::Packed(recipe.clone().into(), key.1.clone());
        let (dtype, len) = (packed.dtype(), packed.count());
        let name = format!("{}.{suffix}", storage.name);
        let id = self.add_storage(StorageKind::Constant(packed), dtype, len, name);
        self.packed.insert(key, id);
        Some(id)
    }

    /// The storage that a computed value goes to: an output of the graph, a temporary, or that of
    /// the value it lies in.
    fn new_storage_for(&mut self, value: Value) -> StorageId {
        let value = self.whole_of(value);
        if let Some(&id) = self.storage_of.get(&value) {
            return id;
        }
        let kind = match self.outputs.get(&value) {
            Some(&k) => StorageKind::Output(k),
            None => StorageKind::Temporary,
        };
        let (dtype, len, name) =
            (self.graph.ty(value).dtype, self.count(value), self.name_of(value));
        let id = self.add_storage(kind, dtype, len, name);
        self.storage_of.insert(value, id);
        id
    }

    fn temporary(&mut self, dtype: DType, len: usize, name: &str) -> StorageId {
        self.add_storage(StorageKind::Temporary, dtype, len, name.to_string())
    }

    /// Adds a step; kernels that are equal but for their place in the program are kept once.
    fn add_step(&mut self, builder: KernelBuilder, label: &Provenance) {
        let (kernel, operands) = builder.finish();
        if kernel.n_tasks() == 0 {
            return;
        }
        let next = self.out.kernels.len();
        let alike = self.known.entry(FxBuildHasher.hash_one(&kernel)).or_default();
        let index = match alike.iter().find(|&&k| self.out.kernels[k] == kernel) {
            Some(&index) => index,
            None => {
                alike.push(next);
                self.out.kernels.push(kernel);
                next
            }
        };
        let label = label.to_string().into();
        self.out.steps.push(Step { kernel: index, operands, label });
    }

    /// Where some nodes come from, together.
    fn provenance_of(&self, nodes: &[NodeId]) -> Provenance {
        let mut out = Provenance::default();
        nodes.iter().for_each(|id| out.merge(&self.graph.node(*id).provenance));
        out
    }

    fn lower_group(&mut self, group: &Group) {
        match &group.kind {
            GroupKind::Alias => {
                let value = group.outputs[0];
                let source = self.graph.operands(value.node)[0];
                let id = self.storage(source).expect("an alias's operand is in memory");
                self.storage_of.insert(value, id);
            }
            GroupKind::Pointwise => self.lower_pointwise(group),
            GroupKind::Row(geometry) => self.lower_row(group, *geometry),
            GroupKind::Fold(_) => self.lower_fold(group),
            GroupKind::Scan(anchor) => self.lower_scan(group, *anchor),
            GroupKind::Scatter(anchor) => self.lower_scatter(group, *anchor),
            GroupKind::Sort(anchor) => self.lower_sort(group, *anchor),
            GroupKind::Chain => self.lower_chain(group),
            GroupKind::Strip => self.lower_strip(group),
        }
    }

    /// Copies what is returned but does not lie in its output already: inputs, constants, aliases
    /// and values returned twice.
    fn place_results(&mut self) {
        for (k, result) in self.graph.results().iter().enumerate() {
            let id = self.storage(result.value).expect("every result is in memory");
            if self.out.storages[id].kind == StorageKind::Output(k) {
                continue;
            }
            let storage = &self.out.storages[id];
            let (dtype, len) = (storage.dtype, storage.len);
            let name = self.out.outputs[k].name.clone();
            let to = self.add_storage(StorageKind::Output(k), dtype, len, name);
            let provenance = self.graph.node(result.value.node).provenance.clone();
            self.copy_whole(id, to, &provenance);
        }
    }
}
