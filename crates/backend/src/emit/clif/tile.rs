//! Tile programs: the order in which their instructions are emitted.
//!
//! Values are emitted when first needed, point by point: so a factor that only varies over rows is
//! loaded just before its row, and few values are live at once.

use cranelift_codegen::ir::Value;
use tracelift_loops::{AxisId, BufferId, Inst, Tile, ValueId, Variance};
use tracelift_scalar::IndexTerm;
use tracelift_tensor::DType;

use super::{
    Emitter,
    address::{Linear, Step},
};
use crate::BackendError;

/// A run of consecutive columns held in one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) start: usize,
    pub(super) lanes: usize,
}

/// A tile being emitted.
pub(super) struct TileState<'t> {
    pub(super) tile: &'t Tile,
    pub(super) dtypes: Vec<DType>,
    pub(super) variances: Vec<Variance>,
    pub(super) rows: usize,
    pub(super) chunks: Vec<Chunk>,
    /// The first slot of each instruction; slots are row-major over rows and chunks.
    slots: Vec<usize>,
    pub(super) values: Vec<Option<Value>>,
    /// The vectors of values that do not vary over columns.
    pub(super) splats: Vec<Option<Value>>,
    /// The next values of accumulators.
    next: Vec<Option<Value>>,
    pub(super) unrolled: Option<(AxisId, Step)>,
}

/// The lanes of vectors: all that varies over columns must have one width.
fn lanes_of(tile: &Tile, dtypes: &[DType], variances: &[Variance]) -> usize {
    let held = |k: usize| match &tile.insts[k] {
        Inst::Store { value, .. } => dtypes[value.index()],
        _ => dtypes[k],
    };
    let varying = || (0..dtypes.len()).filter(|&k| variances[k].columns).map(held);
    let all = |size: usize| varying().all(|d| d == DType::Bool || d.size_bytes() == size);
    match (all(4), all(8)) {
        (true, _) => 4,
        (false, true) => 2,
        _ => 1,
    }
}

fn chunks_of(columns: usize, lanes: usize) -> Vec<Chunk> {
    let whole = columns - columns % lanes;
    let vectors = (0..whole).step_by(lanes).map(|start| Chunk { start, lanes });
    vectors.chain((whole..columns).map(|start| Chunk { start, lanes: 1 })).collect()
}

impl<'t> TileState<'t> {
    fn new(tile: &'t Tile, extents: &[usize], buffer_dtypes: &[DType]) -> TileState<'t> {
        let dtypes = tile.dtypes(buffer_dtypes);
        let variances = tile.variances();
        let chunks = chunks_of(extents[tile.columns], lanes_of(tile, &dtypes, &variances));
        let rows = extents[tile.rows];
        let mut n_slots = 0;
        let slots = variances.iter().map(|v| {
            let first = n_slots;
            n_slots += (if v.rows { rows } else { 1 }) * (if v.columns { chunks.len() } else { 1 });
            first
        });
        let slots = slots.collect();
        let empty = vec![None; n_slots];
        TileState {
            tile,
            dtypes,
            variances,
            rows,
            chunks,
            slots,
            values: empty.clone(),
            splats: empty.clone(),
            next: empty,
            unrolled: None,
        }
    }

    /// The slot of an instruction at a row and chunk, whichever of them it varies over.
    pub(super) fn slot(&self, inst: usize, row: usize, chunk: usize) -> usize {
        let (row, chunk, n) = match (self.variances[inst].rows, self.variances[inst].columns) {
            (true, true) => (row, chunk, self.chunks.len()),
            (true, false) => (row, 0, 1),
            (false, true) => (0, chunk, 0),
            (false, false) => (0, 0, 0),
        };
        self.slots[inst] + row * n + chunk
    }

    /// The rows and chunks at which an instruction has values, in row-major order.
    fn places(&self, inst: usize) -> Vec<(usize, usize)> {
        let Variance { rows, columns } = self.variances[inst];
        let rows = 0..if rows { self.rows } else { 1 };
        let chunks = if columns { self.chunks.len() } else { 1 };
        rows.flat_map(|r| (0..chunks).map(move |k| (r, k))).collect()
    }

    fn accumulators(&self) -> Vec<usize> {
        let is_accumulator = |k: &usize| matches!(self.tile.insts[*k], Inst::Accumulator(_));
        self.tile.init().filter(is_accumulator).collect()
    }

    /// Forgets the values of some instructions.
    fn forget(&mut self, insts: impl Iterator<Item = usize>) {
        for inst in insts {
            for (row, chunk) in self.places(inst) {
                let slot = self.slot(inst, row, chunk);
                (self.values[slot], self.splats[slot]) = (None, None);
            }
        }
    }

    /// Gives the accumulators their values.
    fn set_accumulators(&mut self, carried: &[Value]) {
        self.forget(self.accumulators().into_iter());
        let mut carried = carried.iter();
        for inst in self.accumulators() {
            for (row, chunk) in self.places(inst) {
                let slot = self.slot(inst, row, chunk);
                self.values[slot] = carried.next().copied();
            }
        }
    }

    /// Whether a value of `init` is used by later parts, and whether as a vector.
    fn later_use(&self, value: usize) -> (bool, bool) {
        let later = self.tile.n_init..self.tile.insts.len();
        later.fold((false, false), |(used, as_vector), k| {
            let inst = &self.tile.insts[k];
            let uses = |v: &ValueId| v.index() == value;
            let spreads = self.variances[k].columns;
            let (is_used, is_spread) = match inst {
                Inst::Apply(_, operands) => (operands.iter().any(uses), spreads),
                Inst::Update { value, .. } => (uses(value), spreads),
                Inst::FoldColumns(_, v) => (uses(v), false),
                Inst::Load { place, .. } => (place.dynamic.iter().any(|(v, _)| uses(v)), false),
                Inst::Store { place, condition, value, .. } => {
                    let spread = uses(value) || condition.iter().any(uses);
                    let in_place = place.dynamic.iter().any(|(v, _)| uses(v));
                    (spread || in_place, spread && spreads)
                }
                _ => (false, false),
            };
            (used || is_used, as_vector || (is_used && is_spread))
        })
    }

    /// Whether a range has a store and another access to the same buffer, so that the order of
    /// instructions matters.
    fn has_hazard(&self, range: std::ops::Range<usize>) -> bool {
        let buffers = |stores: bool| {
            self.tile.insts[range.clone()].iter().filter_map(move |inst| match inst {
                Inst::Load { place, .. } if !stores => Some(place.buffer),
                Inst::Store { place, .. } if stores => Some(place.buffer),
                _ => None,
            })
        };
        let n_stores = |buffer: BufferId| buffers(true).filter(|&b| b == buffer).count();
        buffers(false).any(|b| n_stores(b) > 0) || buffers(true).any(|b| n_stores(b) > 1)
    }
}

impl Emitter<'_, '_> {
    /// Emits a tile program.
    pub(super) fn tile(&mut self, tile: &Tile) -> Result<(), BackendError> {
        let buffer_dtypes: Vec<DType> = self.kernel.buffers.iter().map(|b| b.dtype).collect();
        let mut s = TileState::new(tile, &self.extents, &buffer_dtypes);
        if s.rows == 0 || s.chunks.is_empty() {
            return Ok(());
        }
        self.init(&mut s)?;
        let mut carried = Vec::new();
        for inst in s.accumulators() {
            for (row, chunk) in s.places(inst) {
                carried.push(self.instance(&mut s, inst, row, chunk)?);
            }
        }
        let is_empty = tile.loops.iter().any(|&axis| self.extents[axis] == 0);
        if !is_empty {
            let wide = |axis: &AxisId| self.extents[*axis] > 1;
            let loops: Vec<AxisId> = tile.loops.iter().copied().filter(wide).collect();
            carried = self.tile_loops(&mut s, &loops, carried)?;
        }
        s.set_accumulators(&carried);
        self.points(&mut s, tile.finish())
    }

    /// Emits what later parts need of `init`, and its stores.
    fn init(&mut self, s: &mut TileState) -> Result<(), BackendError> {
        let range = s.tile.init();
        if s.has_hazard(range.clone()) {
            self.points(s, range.clone())?;
        }
        for inst in range.clone() {
            let (is_used, as_vector) = s.later_use(inst);
            let is_literal = matches!(s.tile.insts[inst], Inst::Const(_));
            let is_accumulator = matches!(s.tile.insts[inst], Inst::Accumulator(_));
            if !is_used || is_literal || is_accumulator {
                continue;
            }
            for (row, chunk) in s.places(inst) {
                self.instance(s, inst, row, chunk)?;
                if as_vector && !s.variances[inst].columns && s.chunks.iter().any(|c| c.lanes > 1) {
                    self.operand(s, ValueId(inst as u32), row, Some(0))?;
                }
            }
        }
        if s.has_hazard(range.clone()) { Ok(()) } else { self.points(s, range) }
    }

    /// Emits the inner loops; takes and returns the accumulators' values.
    fn tile_loops(
        &mut self,
        s: &mut TileState,
        loops: &[AxisId],
        carried: Vec<Value>,
    ) -> Result<Vec<Value>, BackendError> {
        match loops {
            [] => self.body(s, &carried),
            [axis] => self.innermost_loop(s, *axis, carried),
            [axis, inner @ ..] => {
                let sums = self.sums_of_tile(s.tile, s.tile.body(), None);
                let head = self.begin_loop(*axis, &carried);
                self.prepare(&sums);
                let carried = head.params[1..].to_vec();
                let next = self.tile_loops(s, inner, carried)?;
                Ok(self.end_loop(*axis, head, 1, self.extents[*axis], &next))
            }
        }
    }

    /// Emits the innermost loop, unrolled, and the iterations that are left over after it.
    fn innermost_loop(
        &mut self,
        s: &mut TileState,
        axis: AxisId,
        mut carried: Vec<Value>,
    ) -> Result<Vec<Value>, BackendError> {
        let extent = self.extents[axis];
        let unroll = s.tile.unroll.clamp(1, extent);
        let trips = extent / unroll;
        let looped = if trips > 1 { trips * unroll } else { 0 };
        if looped > 0 {
            carried = self.unrolled_loop(s, axis, unroll, looped, carried)?;
        }
        for at in looped..extent {
            s.unrolled = Some((axis, Step::At(at)));
            carried = self.body(s, &carried)?;
        }
        s.unrolled = None;
        Ok(carried)
    }

    /// Emits a loop whose addresses advance by additions.
    fn unrolled_loop(
        &mut self,
        s: &mut TileState,
        axis: AxisId,
        unroll: usize,
        end: usize,
        carried: Vec<Value>,
    ) -> Result<Vec<Value>, BackendError> {
        let n_carried = carried.len();
        let sums = self.sums_of_tile(s.tile, s.tile.body(), Some((axis, Step::Ahead(0))));
        let (mut moving, mut all_affine): (Vec<(Linear, i64)>, bool) = (Vec::new(), true);
        for sum in sums {
            match self.stride_along(&sum, axis) {
                Some(0) => {}
                Some(stride) => moving.push((sum, stride)),
                None => all_affine = false,
            }
        }
        let mut initial = carried;
        for (sum, _) in &moving {
            let outer = self.outside(sum, usize::MAX);
            initial.push(self.linear(&outer));
        }
        let head = self.begin_loop(axis, &initial);
        let pointers = head.params[1 + n_carried..].to_vec();
        for ((sum, _), &pointer) in moving.iter().zip(&pointers) {
            self.know(sum.clone(), pointer);
        }
        let mut next = head.params[1..1 + n_carried].to_vec();
        for ahead in 0..unroll {
            s.unrolled = Some((axis, Step::Ahead(ahead)));
            if !all_affine {
                let sums = self.sums_of_tile(s.tile, s.tile.body(), s.unrolled);
                self.prepare(&sums);
            }
            next = self.body(s, &next)?;
        }
        for ((_, stride), &pointer) in moving.iter().zip(&pointers) {
            next.push(self.add_constant(pointer, stride * unroll as i64));
        }
        let mut last = self.end_loop(axis, head, unroll, end, &next);
        last.truncate(n_carried);
        Ok(last)
    }

    /// What a sum grows by along an axis about to be entered, where it is affine in it.
    fn stride_along(&self, linear: &Linear, axis: AxisId) -> Option<i64> {
        let mut own = linear.terms.iter().filter(|(t, _)| self.depth_of(t) == usize::MAX);
        match (own.next(), own.next()) {
            (None, _) => Some(0),
            (Some((IndexTerm::Axis(a), stride)), None) if *a == axis => Some(*stride),
            _ => None,
        }
    }

    /// Emits one copy of the body; takes and returns the accumulators' values.
    fn body(&mut self, s: &mut TileState, carried: &[Value]) -> Result<Vec<Value>, BackendError> {
        s.forget(s.tile.body());
        s.set_accumulators(carried);
        s.next.fill(None);
        self.points(s, s.tile.body())?;
        let mut next = Vec::with_capacity(carried.len());
        let mut carried = carried.iter();
        for inst in s.accumulators() {
            for (row, chunk) in s.places(inst) {
                let kept = carried.next().expect("every accumulator is carried");
                next.push(s.next[s.slot(inst, row, chunk)].unwrap_or(*kept));
            }
        }
        Ok(next)
    }

    /// Emits the stores and updates of a part, and the values they need.
    fn points(
        &mut self,
        s: &mut TileState,
        range: std::ops::Range<usize>,
    ) -> Result<(), BackendError> {
        if s.has_hazard(range.clone()) {
            for inst in range {
                for (row, chunk) in s.places(inst) {
                    self.effect(s, inst, row, chunk)?;
                    let is_load = matches!(s.tile.insts[inst], Inst::Load { .. });
                    if is_load {
                        self.instance(s, inst, row, chunk)?;
                    }
                }
            }
            return Ok(());
        }
        for row in 0..s.rows {
            for chunk in 0..s.chunks.len() {
                for inst in range.clone() {
                    let Variance { rows, columns } = s.variances[inst];
                    if (rows || row == 0) && (columns || chunk == 0) {
                        self.effect(s, inst, row, chunk)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Emits a store or an update; other instructions have no effect.
    fn effect(
        &mut self,
        s: &mut TileState,
        inst: usize,
        row: usize,
        chunk: usize,
    ) -> Result<(), BackendError> {
        match &s.tile.insts[inst] {
            Inst::Update { accumulator, value } => {
                let in_chunk = s.variances[accumulator.index()].columns.then_some(chunk);
                let value = self.operand(s, *value, row, in_chunk)?;
                let slot = s.slot(accumulator.index(), row, chunk);
                s.next[slot] = Some(value);
                Ok(())
            }
            Inst::Store { .. } => self.store_instance(s, inst, row, chunk),
            _ => Ok(()),
        }
    }
}
