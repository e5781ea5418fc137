//! From a tile program to virtual instructions.
//!
//! Values are selected when first needed, point by point, so that few are live at once.

mod body;
mod coordinate;
mod fetch;
mod fold;
mod narrow;
mod update;

use std::ops::Range;

use tracelift_loops::{AxisId, BufferId, Inst, Kernel, Place, Tile, ValueId, Variance};
use tracelift_scalar::Op;
use tracelift_tensor::{DType, Scalar};

use super::{
    Unsupported, Width,
    program::{Address, Class, Source, Two, V, VInst, VProgram},
    stream::{Pattern, Streams},
};

/// The instructions that there is room for at first.
const TYPICAL_INSTS: usize = 512;

/// A tile being selected.
pub(super) struct Selector<'t, 's, 'k> {
    kernel: &'k Kernel,
    pub(super) width: Width,
    pub(super) tile: &'t Tile,
    streams: &'s mut Streams<'k>,
    pub(super) program: VProgram,
    pub(super) dtypes: Vec<DType>,
    variances: Vec<Variance>,
    pub(super) rows: usize,
    /// The first column and the number of columns of each vector.
    pub(super) chunks: Vec<(usize, usize)>,
    /// The first slot of each instruction; slots are row-major over rows and chunks.
    slots: Vec<usize>,
    values: Vec<Option<V>>,
    next: Vec<Option<V>>,
    patterns: Vec<Option<Pattern>>,
    /// The mask of the last, narrower vector.
    tail: Option<V>,
    /// What coordinates of the copy being selected are counted from.
    bases: Vec<(Address, V)>,
    /// The axes that are written out, and how far along each the copy being selected lies.
    ahead: Vec<(AxisId, usize)>,
    /// How many vectors of a row of the body are selected before the next row.
    side_by_side: usize,
    /// Whether each update and store of the body is selected for all points before the next.
    in_turns: bool,
}

/// The dtypes whose elements fill a lane; bools are masks.
fn fits_lanes(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I32 | DType::U32 | DType::Bool)
}

impl<'t, 's, 'k> Selector<'t, 's, 'k> {
    pub(super) fn new(
        kernel: &'k Kernel,
        width: Width,
        tile: &'t Tile,
        streams: &'s mut Streams<'k>,
    ) -> Result<Selector<'t, 's, 'k>, Unsupported> {
        let buffer_dtypes: Vec<DType> = kernel.buffers.iter().map(|b| b.dtype).collect();
        let dtypes = narrow::dtypes(kernel, tile, tile.dtypes(&buffer_dtypes));
        if !dtypes.iter().all(|&d| fits_lanes(d)) {
            return Err(Unsupported("a dtype that is not 32 bits wide"));
        }
        let variances = tile.variances();
        let rows = kernel.axes[tile.rows].extent;
        let columns = kernel.axes[tile.columns].extent;
        let lanes = width.lanes();
        let chunks: Vec<(usize, usize)> =
            (0..columns).step_by(lanes).map(|start| (start, lanes.min(columns - start))).collect();
        let mut n_slots = 0;
        let slots = variances.iter().map(|v| {
            let first = n_slots;
            n_slots += (if v.rows { rows } else { 1 }) * (if v.columns { chunks.len() } else { 1 });
            first
        });
        let slots = slots.collect();
        Ok(Selector {
            kernel,
            width,
            tile,
            streams,
            program: VProgram {
                insts: Vec::with_capacity(TYPICAL_INSTS),
                classes: Vec::with_capacity(TYPICAL_INSTS),
            },
            patterns: vec![None; dtypes.len()],
            dtypes,
            variances,
            rows,
            chunks,
            slots,
            values: vec![None; n_slots],
            next: vec![None; n_slots],
            tail: None,
            bases: Vec::new(),
            ahead: Vec::new(),
            side_by_side: usize::MAX,
            in_turns: false,
        })
    }

    /// Selects the body for so many vectors of all rows, then for the next ones: fewer values of
    /// columns are live at once, and elements that do not vary over columns are loaded again.
    pub(super) fn side_by_side(self, n_vectors: usize) -> Selector<'t, 's, 'k> {
        Selector { side_by_side: n_vectors, ..self }
    }

    /// Selects each update and store of the body for all points before the next, so that fewer
    /// values are live at once where there are several.
    pub(super) fn in_turns(self) -> Selector<'t, 's, 'k> {
        Selector { in_turns: true, ..self }
    }

    /// Selects the whole tile.
    pub(super) fn select(mut self) -> Result<VProgram, Unsupported> {
        if self.rows == 0 || self.chunks.is_empty() {
            return Ok(self.program);
        }
        let (_, last) = self.chunks[self.chunks.len() - 1];
        if last < self.width.lanes() {
            let to = self.register(self.width.mask_class());
            self.push(VInst::Tail { to, lanes: last });
            self.tail = Some(to);
        }
        self.init()?;
        self.start_accumulators()?;
        let extent = |axis: &AxisId| self.kernel.axes[*axis].extent;
        if self.tile.loops.iter().all(|axis| extent(axis) > 0) {
            let loops: Vec<AxisId> =
                self.tile.loops.iter().copied().filter(|axis| extent(axis) > 1).collect();
            let trips: usize = loops.iter().map(extent).product();
            self.prefetch(trips)?;
            self.loops(&loops)?;
        }
        self.bases.clear();
        self.points(self.tile.finish(), self.all_chunks())?;
        Ok(self.program)
    }

    pub(super) fn register(&mut self, class: Class) -> V {
        self.program.register(class)
    }

    pub(super) fn push(&mut self, inst: VInst) {
        self.program.insts.push(inst);
    }

    /// The slot of an instruction at a row and chunk, whichever of them it varies over.
    fn slot(&self, inst: usize, row: usize, chunk: usize) -> usize {
        let Variance { rows, columns } = self.variances[inst];
        let width = if columns { self.chunks.len() } else { 1 };
        self.slots[inst] + if rows { row * width } else { 0 } + if columns { chunk } else { 0 }
    }

    /// The rows and chunks at which an instruction has values.
    fn places(&self, inst: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Variance { rows, columns } = self.variances[inst];
        let rows = 0..if rows { self.rows } else { 1 };
        let chunks = if columns { self.chunks.len() } else { 1 };
        rows.flat_map(move |r| (0..chunks).map(move |k| (r, k)))
    }

    fn accumulators(&self) -> Vec<usize> {
        let is_accumulator = |k: &usize| matches!(self.tile.insts[*k], Inst::Accumulator(_));
        self.tile.init().filter(is_accumulator).collect()
    }

    /// Gives each accumulator registers of its own, holding its initial value.
    fn start_accumulators(&mut self) -> Result<(), Unsupported> {
        for inst in self.accumulators() {
            let Inst::Accumulator(initial) = self.tile.insts[inst] else { continue };
            for (row, chunk) in self.places(inst) {
                let to = self.register(self.class(inst));
                if let Inst::Const(scalar) = self.tile.insts[initial.index()] {
                    let bits = literal_bits(scalar)?;
                    self.push(VInst::Literal { to, bits });
                } else {
                    let from = self.value(initial, row, chunk)?;
                    self.push(VInst::Move { to, from });
                }
                let slot = self.slot(inst, row, chunk);
                self.values[slot] = Some(to);
            }
        }
        Ok(())
    }

    fn class(&self, inst: usize) -> Class {
        if self.dtypes[inst] == DType::Bool { self.width.mask_class() } else { Class::Vector }
    }

    /// Whether an instruction of the loops or after them uses a value.
    fn is_used_later(&self, value: usize) -> bool {
        let uses = |v: &ValueId| v.index() == value;
        self.tile.insts[self.tile.n_init..].iter().any(|inst| match inst {
            Inst::Apply(_, operands) => operands.iter().any(uses),
            Inst::Update { value, .. } => uses(value),
            Inst::FoldColumns(_, v) => uses(v),
            Inst::Store { condition, value, .. } => uses(value) || condition.iter().any(uses),
            _ => false,
        })
    }

    /// Selects what later parts need of `init`, and its stores.
    fn init(&mut self) -> Result<(), Unsupported> {
        let range = self.tile.init();
        if self.has_hazard(&range) {
            self.points(range.clone(), self.all_chunks())?;
        }
        for inst in range.clone() {
            let inert = matches!(self.tile.insts[inst], Inst::Const(_) | Inst::Accumulator(_));
            if !inert && self.is_used_later(inst) {
                for (row, chunk) in self.places(inst) {
                    self.value(ValueId(inst as u32), row, chunk)?;
                }
            }
        }
        if self.has_hazard(&range) { Ok(()) } else { self.points(range, self.all_chunks()) }
    }

    /// Whether a range has a store and another access to the same buffer, so that the order of
    /// instructions matters.
    fn has_hazard(&self, range: &Range<usize>) -> bool {
        let (mut loaded, mut stored): (Vec<BufferId>, Vec<BufferId>) = (Vec::new(), Vec::new());
        for inst in &self.tile.insts[range.clone()] {
            match inst {
                Inst::Load { place, .. } if !loaded.contains(&place.buffer) => {
                    loaded.push(place.buffer);
                }
                Inst::Store { place, .. } if stored.contains(&place.buffer) => return true,
                Inst::Store { place, .. } => stored.push(place.buffer),
                _ => {}
            }
        }
        loaded.iter().any(|buffer| stored.contains(buffer))
    }

    fn all_chunks(&self) -> Range<usize> {
        0..self.chunks.len()
    }

    /// Selects the stores and updates of a part in some vectors of columns, and the values they
    /// need.
    fn points(&mut self, range: Range<usize>, chunks: Range<usize>) -> Result<(), Unsupported> {
        if self.has_hazard(&range) {
            for inst in range {
                for (row, chunk) in self.places(inst) {
                    self.effect(inst, row, chunk)?;
                    if matches!(self.tile.insts[inst], Inst::Load { .. }) {
                        self.value(ValueId(inst as u32), row, chunk)?;
                    }
                }
            }
            return Ok(());
        }
        for row in 0..self.rows {
            for chunk in chunks.clone() {
                for inst in range.clone() {
                    let Variance { rows, columns } = self.variances[inst];
                    if (rows || row == 0) && (columns || chunk == 0) {
                        self.effect(inst, row, chunk)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn effect(&mut self, inst: usize, row: usize, chunk: usize) -> Result<(), Unsupported> {
        let tile = self.tile;
        match &tile.insts[inst] {
            Inst::Update { accumulator, value } => {
                let value = self.value(*value, row, chunk)?;
                let slot = self.slot(accumulator.index(), row, chunk);
                self.next[slot] = Some(value);
                Ok(())
            }
            Inst::Prefetch { place } => self.fetch(inst, place),
            Inst::Store { place, guards, condition, value } => {
                if condition.is_some() {
                    return Err(Unsupported("a conditional store"));
                }
                if !guards.is_empty() {
                    return Err(Unsupported("a guarded store"));
                }
                let pattern = self.pattern(inst, place)?;
                let from = self.value(*value, row, chunk)?;
                if self.kernel.buffers[place.buffer].dtype == DType::I64 {
                    return self.store_wide(from, &pattern, self.variances[inst], row, chunk);
                }
                let to = pattern.at(row, self.chunks[chunk].0, self.ahead_by(&pattern))?;
                match pattern.column {
                    0 if self.variances[inst].columns => {
                        return Err(Unsupported("several columns stored in one place"));
                    }
                    0 => self.push(VInst::StoreOne { to, from, is_wide: false }),
                    _ => {
                        let mask = self.mask_of(chunk);
                        self.push(VInst::Store { to, from, mask });
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn mask_of(&self, chunk: usize) -> Option<V> {
        self.tail.filter(|_| self.chunks[chunk].1 < self.width.lanes())
    }

    pub(super) fn ahead_by(&self, pattern: &Pattern) -> i64 {
        let stride = |axis: AxisId| self.streams.stride(pattern.stream, axis);
        self.ahead.iter().map(|&(axis, n)| n as i64 * stride(axis)).sum()
    }

    fn pattern(&mut self, inst: usize, place: &Place) -> Result<Pattern, Unsupported> {
        if let Some(pattern) = self.patterns[inst] {
            return Ok(pattern);
        }
        if !place.dynamic.is_empty() {
            return Err(Unsupported("a place known at run time"));
        }
        let dtype = self.kernel.buffers[place.buffer].dtype;
        let is_load = matches!(self.tile.insts[inst], Inst::Load { .. });
        if dtype == DType::Bool && !is_load {
            return Err(Unsupported("bools stored"));
        }
        let pattern = self.streams.pattern(self.tile, Some(place.buffer), &place.index)?;
        let is_contiguous = pattern.column == dtype.size_bytes() as i64;
        let is_legal =
            pattern.column == 0 || is_contiguous || is_load && self.is_transposed(inst, &pattern);
        if !is_legal {
            return Err(Unsupported("columns that are not contiguous"));
        }
        self.patterns[inst] = Some(pattern);
        Ok(pattern)
    }

    /// The value of an instruction at a row and chunk.
    pub(super) fn value(
        &mut self,
        id: ValueId,
        row: usize,
        chunk: usize,
    ) -> Result<V, Unsupported> {
        let inst = id.index();
        let tile = self.tile;
        if let Inst::Const(scalar) = tile.insts[inst] {
            // A literal costs little wherever it is used, and a register wherever it is kept.
            return self.literal(scalar);
        }
        let slot = self.slot(inst, row, chunk);
        if let Some(value) = self.values[slot] {
            return Ok(value);
        }
        let value = match &tile.insts[inst] {
            Inst::Apply(Op::Select, operands) if self.test(operands[0]).is_some() => {
                let guards = self.test(operands[0]).unwrap_or_default();
                let chosen = if self.holds(guards, row)? { operands[1] } else { operands[2] };
                self.value(chosen, row, chunk)?
            }
            Inst::Apply(op, operands) => {
                let mut args = Vec::with_capacity(operands.len());
                for operand in operands {
                    let v = self.value(*operand, row, chunk)?;
                    args.push((v, self.dtypes[operand.index()]));
                }
                self.apply(*op, &args)?
            }
            Inst::Load { guards, fill, .. } if !self.holds(guards, row)? => self.literal(*fill)?,
            Inst::Load { place, .. } => {
                let pattern = self.pattern(inst, place)?;
                if self.is_transposed(inst, &pattern) {
                    let rows = self.load_transposed(inst, chunk, &pattern)?;
                    for (row, &v) in rows.iter().enumerate() {
                        let slot = self.slot(inst, row, chunk);
                        self.values[slot] = Some(v);
                    }
                    return Ok(rows[row]);
                }
                let (start, lanes) = self.chunks[chunk];
                let from = pattern.at(row, start, self.ahead_by(&pattern))?;
                let to = self.register(Class::Vector);
                let mask = self.mask_of(chunk);
                let is_bool = self.dtypes[inst] == DType::Bool;
                self.push(match (pattern.column, is_bool) {
                    (0, false) => VInst::Splat { to, from },
                    (0, true) => VInst::SplatByte { to, from },
                    (_, false) => VInst::Load { to, from, mask },
                    (_, true) => VInst::LoadBytes { to, from, lanes, mask },
                });
                match is_bool {
                    true => self.cast(to, DType::I32, DType::Bool)?,
                    false => to,
                }
            }
            Inst::FoldColumns(op, value) => self.fold_columns(*op, *value, row)?,
            Inst::Accumulator(_) => unreachable!("accumulators have values before they are used"),
            Inst::Index(index) => self.coordinate(index, row, chunk)?,
            Inst::Test(_) => return Err(Unsupported("conditions on coordinates")),
            Inst::Const(_) | Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. } => {
                unreachable!("a verified tile uses no value of an instruction without one")
            }
        };
        self.values[slot] = Some(value);
        Ok(value)
    }

    pub(super) fn literal(&mut self, scalar: Scalar) -> Result<V, Unsupported> {
        let bits = literal_bits(scalar)?;
        Ok(self.bits(bits))
    }

    /// A literal of 32 bits in every lane.
    pub(super) fn bits(&mut self, bits: u32) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::Literal { to, bits });
        to
    }

    pub(super) fn two(&mut self, op: Two, a: V, b: V) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::Two { op, to, a, b: Source::Register(b) });
        to
    }
}

fn literal_bits(scalar: Scalar) -> Result<u32, Unsupported> {
    match scalar.dtype() {
        DType::F32 | DType::I32 | DType::U32 => Ok(scalar.to_bits() as u32),
        DType::I64 if i32::try_from(scalar.to_bits() as i64).is_ok() => Ok(scalar.to_bits() as u32),
        _ => Err(Unsupported("a literal that is not 32 bits wide")),
    }
}
