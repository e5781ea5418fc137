//! Kernels that compute every element on its own.

use tracelift_ir::Value;
use tracelift_loops::{Inst, Kernel, Stmt, Tile, ValueId};
use tracelift_scalar::{Guard, IndexExpr, delinearise};
use tracelift_tensor::DType;

use super::{Group, KernelBuilder, Lowering, Storage, StorageId, tile_builder::TileBuilder};

/// The columns of a tile, in vectors.
const TILE_VECTORS: usize = 4;
/// The elements one task computes, about.
const TASK_ELEMENTS: usize = 4096;

/// How a domain is cut: outer axes one by one, the inner ones as one.
struct Cut<'d> {
    dims: &'d [usize],
    /// The dtype of what is stored.
    dtype: DType,
    /// The first of the axes that are taken together.
    first_inner: usize,
}

/// Computes what belongs at an index of the domain and stores it.
pub(super) type Emit<'e> = dyn FnMut(&mut TileBuilder<'_, '_>, &[IndexExpr]) + 'e;

impl Lowering<'_> {
    pub(super) fn lower_pointwise(&mut self, group: &Group) {
        let value = group.outputs[0];
        self.new_storage_for(value);
        let provenance = self.graph.node(value.node).provenance.clone();
        let dtype = self.graph.ty(value).dtype;
        let parts = self.analysis.parts(self.graph, value);
        if parts.len() < 2 {
            // Where conditions change, one kernel ends and another begins, so that no test is left
            // in the inner loop.
            for (starts, dims) in self.boxes(value) {
                let at = |index: &[IndexExpr]| -> Vec<IndexExpr> {
                    index.iter().zip(&starts).map(|(e, start)| e.offset(*start as i64)).collect()
                };
                let kernel = self.pointwise(&dims, dtype, &mut |b, index| {
                    let index = at(index);
                    let result = b.define(value, &index, &[]);
                    b.store_value(value, &index, result);
                });
                self.add_step(kernel, &provenance);
            }
            return;
        }
        // So is each operand of a concatenation copied by a kernel of its own.
        for (operand, axis, start) in parts {
            if self.lies_in(operand, value) {
                continue;
            }
            let dims = self.extents(operand);
            let kernel = self.pointwise(&dims, dtype, &mut |b, index| {
                let result = b.value(operand, index, &[]);
                let mut at = index.to_vec();
                at[axis] = at[axis].offset(start);
                b.store_value(value, &at, result);
            });
            self.add_step(kernel, &provenance);
        }
    }

    pub(super) fn copy_whole(
        &mut self,
        from: StorageId,
        to: StorageId,
        provenance: &tracelift_ir::Provenance,
    ) {
        let Storage { len, dtype, .. } = self.out.storages[from];
        let kernel = self.pointwise(&[len], dtype, &mut |b, index| {
            let buffer = b.kernel.read(from, &b.lowering.out.storages);
            let value = b.load(buffer, index[0].clone(), &[], None);
            b.store_at(to, &index[0], value);
        });
        self.add_step(kernel, provenance);
    }

    /// The best kernel over a domain: inner axes are taken together as long as loads and stores
    /// stay contiguous.
    pub(super) fn pointwise(
        &mut self,
        dims: &[usize],
        dtype: DType,
        emit: &mut Emit<'_>,
    ) -> KernelBuilder {
        let mut plainest = None;
        let last = dims.len().saturating_sub(1);
        for first_inner in 0..=last {
            // A cut at an axis of extent 1 is the cut at the next axis.
            if first_inner < last && dims[first_inner] == 1 {
                continue;
            }
            let kernel = self.pointwise_cut(&Cut { dims, dtype, first_inner }, emit);
            if moves_vectors(&kernel.kernel) {
                return kernel;
            }
            plainest = Some(kernel);
        }
        // Where nothing is contiguous, the plainest indices win.
        let plainest = || plainest.expect("there is at least one cut");
        self.transposing(dims, dtype, emit).unwrap_or_else(plainest)
    }

    fn pointwise_cut(&mut self, cut: &Cut<'_>, emit: &mut Emit<'_>) -> KernelBuilder {
        let (outer, inner) = cut.dims.split_at(cut.first_inner);
        let len: usize = inner.iter().product();
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "map".into();
        let mut index: Vec<IndexExpr> = Vec::new();
        let mut around = None;
        for (k, &extent) in outer.iter().enumerate() {
            let name = format!("i{k}");
            // Short rows are done several to a task.
            let looped = k + 1 == outer.len() && len * 8 <= TASK_ELEMENTS;
            let axis = match looped {
                true => kernel.axis(&name, extent),
                false => kernel.grid_axis(&name, extent),
            };
            around = looped.then_some(axis);
            index.push(IndexExpr::axis(axis));
        }
        let mut run =
            Run { lowering: self, kernel: &mut kernel, index, inner, dtype: cut.dtype, emit };
        let body = run.blocks(len);
        kernel.kernel.body = match around {
            Some(axis) => vec![Stmt::For { axis, body }],
            None => body,
        };
        kernel
    }
}

/// Emits the tiles along the inner axes.
struct Run<'r, 'g, 'e> {
    lowering: &'r mut Lowering<'g>,
    kernel: &'r mut KernelBuilder,
    /// The indices of the outer axes.
    index: Vec<IndexExpr>,
    inner: &'r [usize],
    /// The dtype of what is stored.
    dtype: DType,
    emit: &'r mut Emit<'e>,
}

impl Run<'_, '_, '_> {
    /// Splits a long run into blocks, one to a task.
    fn blocks(&mut self, len: usize) -> Vec<Stmt> {
        if len <= 2 * TASK_ELEMENTS {
            return self.tiles(&IndexExpr::default(), len);
        }
        let n_full = len / TASK_ELEMENTS;
        let rest = len % TASK_ELEMENTS;
        let block = self.kernel.grid_axis("b", n_full + usize::from(rest > 0));
        let start = IndexExpr::axis(block).scale(TASK_ELEMENTS as i64);
        if rest == 0 {
            return self.tiles(&start, TASK_ELEMENTS);
        }
        let at = |first: usize, n: usize| {
            vec![Guard { expr: IndexExpr::axis(block).offset(-(first as i64)), extent: n as i64 }]
        };
        let tail = IndexExpr::constant((n_full * TASK_ELEMENTS) as i64);
        vec![
            Stmt::If { guards: at(0, n_full), body: self.tiles(&start, TASK_ELEMENTS) },
            Stmt::If { guards: at(n_full, 1), body: self.tiles(&tail, rest) },
        ]
    }

    /// The tiles of a run of elements from `start`.
    fn tiles(&mut self, start: &IndexExpr, len: usize) -> Vec<Stmt> {
        let registers = self.lowering.registers(self.dtype);
        let columns = (TILE_VECTORS * registers.bytes / 4).min(len.max(1));
        let (n_full, rest) = (len / columns, len % columns);
        let mut out = Vec::new();
        if n_full > 0 {
            let steps = self.kernel.axis("t", n_full);
            let from = start.add(&IndexExpr::axis(steps).scale(columns as i64));
            let tile = self.tile(&from, columns);
            out.push(Stmt::For { axis: steps, body: vec![Stmt::Tile(tile)] });
        }
        if rest > 0 {
            let from = start.offset((n_full * columns) as i64);
            out.push(Stmt::Tile(self.tile(&from, rest)));
        }
        out
    }

    fn tile(&mut self, from: &IndexExpr, columns: usize) -> Tile {
        let row = self.kernel.axis("r", 1);
        let column = self.kernel.axis("c", columns);
        let position = from.add(&IndexExpr::axis(column));
        let mut index = self.index.clone();
        let extents = self.kernel.kernel.extents();
        index.extend(delinearise(&position, self.inner, &extents));
        let mut b = TileBuilder::new(self.lowering, self.kernel, row, column, &[]);
        (self.emit)(&mut b, &index);
        b.finish(1)
    }
}

impl TileBuilder<'_, '_> {
    /// Stores an element of a value that has a storage.
    pub(super) fn store_value(&mut self, value: Value, index: &[IndexExpr], x: ValueId) {
        let (storage, position) =
            self.lowering.element(value, index).expect("what is computed has a storage");
        self.store_at(storage, &position, x);
    }

    pub(super) fn store_at(&mut self, to: StorageId, position: &IndexExpr, value: ValueId) {
        let position = position.simplify(self.extents());
        let buffer = self.kernel.write(to, &self.lowering.out.storages);
        self.store(buffer, position, value);
    }
}

/// The row-major position of an index.
pub(super) fn index_position(index: &[IndexExpr], dims: &[usize]) -> IndexExpr {
    tracelift_scalar::linearise(index, dims)
}

/// Whether every access of a kernel moves whole vectors.
fn moves_vectors(kernel: &Kernel) -> bool {
    let mut all = true;
    kernel.for_each_tile(&mut |tile| {
        let variances = tile.variances();
        all &= kernel.axes[tile.columns].extent >= 4;
        all &= tile.insts.iter().all(|inst| {
            let (place, guards, contiguous) = match inst {
                Inst::Load { place, guards, .. } => (place, guards, [Some(0), Some(1)]),
                Inst::Store { place, guards, .. } => (place, guards, [Some(1), Some(1)]),
                _ => return true,
            };
            contiguous.contains(&place.index.stride_of(tile.columns))
                && !guards.iter().any(|g| g.expr.mentions(tile.columns))
                && !place.dynamic.iter().any(|(v, _)| variances[v.index()].columns)
        });
    });
    all
}
