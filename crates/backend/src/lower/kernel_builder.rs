//! Builds one kernel: buffers by storage, axes, statements.

use rustc_hash::FxHashMap;
use tracelift_loops::{AxisId, BufferId, BufferKind, Inst, Kernel, Place, Stmt};
use tracelift_scalar::IndexExpr;
use tracelift_tensor::DType;

use super::{Storage, StorageId};

/// A kernel under construction.
#[derive(Clone, Default)]
pub(crate) struct KernelBuilder {
    pub(crate) kernel: Kernel,
    /// The storage of each buffer; `None` for scratch.
    storages: Vec<Option<StorageId>>,
    buffer_of: FxHashMap<StorageId, BufferId>,
}

impl KernelBuilder {
    pub(crate) fn new() -> KernelBuilder {
        KernelBuilder::default()
    }

    pub(crate) fn axis(&mut self, name: &str, extent: usize) -> AxisId {
        self.kernel.add_axis(name, extent)
    }

    pub(crate) fn grid_axis(&mut self, name: &str, extent: usize) -> AxisId {
        let axis = self.axis(name, extent);
        self.kernel.grid.push(axis);
        axis
    }

    /// The buffer of a storage that is read; what is written already stays an output.
    pub(crate) fn read(&mut self, id: StorageId, storages: &[Storage]) -> BufferId {
        self.buffer(id, storages, BufferKind::Input)
    }

    /// The buffer of a storage that is written.
    pub(crate) fn write(&mut self, id: StorageId, storages: &[Storage]) -> BufferId {
        let buffer = self.buffer(id, storages, BufferKind::Output);
        self.kernel.buffers[buffer].kind = BufferKind::Output;
        buffer
    }

    fn buffer(&mut self, id: StorageId, storages: &[Storage], kind: BufferKind) -> BufferId {
        if let Some(&buffer) = self.buffer_of.get(&id) {
            return buffer;
        }
        let storage = &storages[id];
        let name = format!("b{}", self.storages.len());
        let buffer = self.kernel.add_buffer(&name, storage.dtype, storage.len, kind);
        self.storages.push(Some(id));
        self.buffer_of.insert(id, buffer);
        buffer
    }

    pub(crate) fn scratch(&mut self, dtype: DType, len: usize) -> BufferId {
        let name = format!("s{}", self.storages.len());
        self.storages.push(None);
        self.kernel.add_buffer(&name, dtype, len, BufferKind::Scratch)
    }

    /// Keeps a storage that nothing but this kernel touches in scratch: `len` elements from `start`
    /// on, all that a task touches of it.
    pub(crate) fn hold_in_scratch(&mut self, id: StorageId, start: &IndexExpr, len: usize) {
        let Some(buffer) = self.buffer_of.remove(&id) else { return };
        self.storages[buffer] = None;
        let held = &mut self.kernel.buffers[buffer];
        (held.kind, held.len) = (BufferKind::Scratch, len);
        let (extents, before) = (self.kernel.extents(), start.scale(-1));
        for_each_place(&mut self.kernel.body, &mut |place| {
            if place.buffer == buffer {
                place.index = place.index.add(&before).simplify(&extents);
            }
        });
    }

    /// The kernel, scratch buffers last, and the storages of its operands.
    pub(crate) fn finish(self) -> (Kernel, Vec<StorageId>) {
        let KernelBuilder { mut kernel, storages, .. } = self;
        let is_scratch = |b: &usize| storages[*b].is_none();
        let order: Vec<BufferId> = (0..storages.len())
            .filter(|b| !is_scratch(b))
            .chain((0..storages.len()).filter(is_scratch))
            .collect();
        let mut renamed = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| renamed[old] = new);
        kernel.buffers = order.iter().map(|&b| kernel.buffers[b].clone()).collect();
        for_each_place(&mut kernel.body, &mut |place| place.buffer = renamed[place.buffer]);
        for (k, buffer) in kernel.buffers.iter_mut().enumerate() {
            let letter = match buffer.kind {
                BufferKind::Input => 'x',
                BufferKind::Output => 'y',
                BufferKind::Scratch => 's',
            };
            buffer.name = format!("{letter}{k}");
        }
        (kernel, storages.into_iter().flatten().collect())
    }
}

fn for_each_place(stmts: &mut [Stmt], change: &mut dyn FnMut(&mut Place)) {
    for stmt in stmts {
        match stmt {
            Stmt::For { body, .. } | Stmt::If { body, .. } => for_each_place(body, change),
            Stmt::Tile(tile) => {
                for inst in &mut tile.insts {
                    if let Inst::Load { place, .. }
                    | Inst::Prefetch { place }
                    | Inst::Store { place, .. } = inst
                    {
                        change(place);
                    }
                }
            }
        }
    }
}
