//! The entry of a kernel: operands, tasks, loops and conditions.

use cranelift_codegen::ir::{
    InstBuilder, StackSlotData, StackSlotKind, Value, condcodes::IntCC, types,
};
use rustc_hash::FxHashMap;
use tracelift_loops::{AxisId, Inst, Stmt};

use super::{Emitter, ScopedAxis, address::Point, plain};
use crate::{BackendError, emit::scratch_layout};

impl<'k> Emitter<'k, '_> {
    /// Emits the whole function.
    pub(super) fn kernel(&mut self) -> Result<(), BackendError> {
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        let params = self.b.block_params(entry).to_vec();
        self.load_bases(params[0]);
        self.store_fills();
        self.tasks(params[1], params[2])
    }

    /// Loads the address of every operand; scratch buffers lie in the memory after the last.
    fn load_bases(&mut self, table: Value) {
        let (offsets, scratch_bytes) = scratch_layout(self.kernel);
        let n_operands = offsets.iter().filter(|o| o.is_none()).count();
        let load =
            |e: &mut Self, k: usize| e.b.ins().load(types::I64, plain(), table, 8 * k as i32);
        let scratch = (scratch_bytes > 0).then(|| load(self, n_operands));
        let mut next_operand = 0;
        for offset in offsets {
            let base = match (offset, scratch) {
                (Some(offset), Some(scratch)) => self.add_constant(scratch, offset as i64),
                // A scratch buffer without elements is never touched.
                (Some(_), None) => self.b.ins().iconst(types::I64, 0),
                (None, _) => {
                    next_operand += 1;
                    load(self, next_operand - 1)
                }
            };
            self.bases.push(base);
        }
    }

    /// Stores the fill values of guarded loads on the stack, where such loads find them.
    fn store_fills(&mut self) {
        let mut fills = Vec::new();
        self.kernel.for_each_tile(&mut |tile| {
            for inst in &tile.insts {
                if let Inst::Load { guards, fill, .. } = inst
                    && !guards.is_empty()
                {
                    fills.push(*fill);
                }
            }
        });
        for fill in fills {
            let (bits, size) = (fill.to_bits(), fill.dtype().size_bytes());
            if self.fills.contains_key(&(bits, size)) {
                continue;
            }
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4);
            let slot = self.b.create_sized_stack_slot(slot);
            let word: [u8; 8] =
                bits.to_le_bytes()[..size].repeat(8 / size).try_into().expect("sizes divide 8");
            let word = self.b.ins().iconst(types::I64, i64::from_le_bytes(word));
            let address = self.b.ins().stack_addr(types::I64, slot, 0);
            for offset in [0, 8] {
                self.b.ins().store(plain(), word, address, offset);
            }
            self.fills.insert((bits, size), slot);
        }
    }

    /// Emits the loop over the tasks `begin..end`.
    fn tasks(&mut self, begin: Value, end: Value) -> Result<(), BackendError> {
        let [header, body, exit] = [(); 3].map(|()| self.b.create_block());
        let task = self.b.append_block_param(header, types::I64);
        self.b.ins().jump(header, &[begin.into()]);
        self.b.switch_to_block(header);
        let is_left = self.b.ins().icmp(IntCC::UnsignedLessThan, task, end);
        self.b.ins().brif(is_left, body, &[], exit, &[]);
        self.b.switch_to_block(body);
        self.known.push(FxHashMap::default());
        self.enter_grid(task);
        let stmts = &self.kernel.body;
        let sums = self.sums_of(stmts);
        self.prepare(&sums);
        self.stmts(stmts)?;
        self.known.pop();
        let next = self.add_constant(task, 1);
        self.b.ins().jump(header, &[next.into()]);
        self.b.switch_to_block(exit);
        self.b.ins().return_(&[]);
        Ok(())
    }

    /// Finds the coordinates of a task, a row-major position in the grid.
    fn enter_grid(&mut self, task: Value) {
        let mut bound = self.kernel.n_tasks() as i64;
        let mut rest = task;
        let grid = &self.kernel.grid;
        let wide: Vec<AxisId> = grid.iter().copied().filter(|&a| self.extents[a] > 1).collect();
        for (k, &axis) in wide.iter().enumerate().rev() {
            let extent = self.extents[axis] as i64;
            let value = if k == 0 { rest } else { self.modulo(rest, extent, bound) };
            self.axes[axis] = Some(ScopedAxis { value, depth: 0 });
            if k > 0 {
                rest = self.divide(rest, extent, bound);
                bound = bound / extent + 1;
            }
        }
    }

    fn stmts(&mut self, stmts: &'k [Stmt]) -> Result<(), BackendError> {
        for stmt in stmts {
            if self.unit(stmt) {
                continue;
            }
            match stmt {
                Stmt::For { axis, body } => self.for_loop(*axis, body)?,
                Stmt::If { guards, body } => {
                    let condition = self.guards(guards, &Point::outside_tiles());
                    let mut result = Ok(());
                    self.when(condition, &mut |e| result = e.stmts(body));
                    result?;
                }
                Stmt::Tile(tile) => {
                    self.has_tiles = true;
                    self.tile(tile)?;
                }
            }
        }
        Ok(())
    }

    fn for_loop(&mut self, axis: AxisId, body: &'k [Stmt]) -> Result<(), BackendError> {
        match self.extents[axis] {
            0 => return Ok(()),
            1 => return self.stmts(body),
            _ => {}
        }
        let sums = self.sums_of(body);
        let coordinate = self.begin_loop(axis, &[]);
        self.prepare(&sums);
        self.stmts(body)?;
        self.end_loop(axis, coordinate, 1, self.extents[axis], &[]);
        Ok(())
    }

    /// Opens a loop that carries values; returns what it carries, the coordinate first.
    pub(super) fn begin_loop(&mut self, axis: AxisId, carried: &[Value]) -> LoopHead {
        let header = self.b.create_block();
        let zero = self.b.ins().iconst(types::I64, 0);
        let initial: Vec<Value> = [&[zero], carried].concat();
        let params: Vec<Value> = initial
            .iter()
            .map(|&v| {
                let ty = self.b.func.dfg.value_type(v);
                self.b.append_block_param(header, ty)
            })
            .collect();
        self.b.ins().jump(header, &initial.iter().map(|&v| v.into()).collect::<Vec<_>>());
        self.b.switch_to_block(header);
        self.axes[axis] = Some(ScopedAxis { value: params[0], depth: self.known.len() });
        self.known.push(FxHashMap::default());
        LoopHead { header, params }
    }

    /// Closes a loop of at least one iteration, which runs while the coordinate is below `end`;
    /// returns the values it carried last.
    pub(super) fn end_loop(
        &mut self,
        axis: AxisId,
        head: LoopHead,
        step: usize,
        end: usize,
        carried: &[Value],
    ) -> Vec<Value> {
        let next = self.add_constant(head.params[0], step as i64);
        let is_left = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, next, end as i64);
        let again: Vec<_> = [&[next], carried].concat().iter().map(|&v| v.into()).collect();
        let exit = self.b.create_block();
        self.b.ins().brif(is_left, head.header, &again, exit, &[]);
        self.b.switch_to_block(exit);
        self.known.pop();
        self.axes[axis] = None;
        // The exit follows the last iteration only, so that its values are still at hand.
        carried.to_vec()
    }
}

/// A loop being emitted.
pub(super) struct LoopHead {
    header: cranelift_codegen::ir::Block,
    /// The coordinate and the carried values at the start of an iteration.
    pub(super) params: Vec<Value>,
}
