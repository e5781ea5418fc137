//! Values of a tile at one row and chunk of columns, emitted when first needed.

use cranelift_codegen::ir::Value;
use tracelift_loops::{Inst, Place, ValueId};
use tracelift_scalar::{Guard, Op};
use tracelift_tensor::DType;

use super::{Emitter, address::Point, memory::Access, op::Operand, tile::TileState};
use crate::BackendError;

impl TileState<'_> {
    /// The first point of a row and chunk.
    fn point(&self, row: usize, chunk: Option<usize>) -> Point {
        let column = chunk.map_or(0, |k| self.chunks[k].start);
        Point {
            rows: (self.tile.rows, row),
            columns: (self.tile.columns, column),
            unrolled: self.unrolled,
        }
    }

    fn lanes(&self, chunk: Option<usize>) -> usize {
        chunk.map_or(1, |k| self.chunks[k].lanes)
    }
}

impl Emitter<'_, '_> {
    /// A value at a row, with the lanes of a chunk, or as one element where no chunk is given.
    pub(super) fn operand(
        &mut self,
        s: &mut TileState,
        value: ValueId,
        row: usize,
        chunk: Option<usize>,
    ) -> Result<Value, BackendError> {
        let inst = value.index();
        let lanes = s.lanes(chunk);
        if let Inst::Const(scalar) = s.tile.insts[inst] {
            // A literal costs one load wherever it is used, and a register wherever it is kept.
            return Ok(self.constant(scalar, lanes));
        }
        let element = self.instance(s, inst, row, chunk.unwrap_or(0))?;
        if s.variances[inst].columns || lanes == 1 {
            return Ok(element);
        }
        let slot = s.slot(inst, row, 0);
        if let Some(vector) = s.splats[slot] {
            return Ok(vector);
        }
        let vector = self.splat(s.dtypes[inst], lanes, element);
        s.splats[slot] = Some(vector);
        Ok(vector)
    }

    /// The value of an instruction at a row and chunk.
    pub(super) fn instance(
        &mut self,
        s: &mut TileState,
        inst: usize,
        row: usize,
        chunk: usize,
    ) -> Result<Value, BackendError> {
        let slot = s.slot(inst, row, chunk);
        if let Some(value) = s.values[slot] {
            return Ok(value);
        }
        let in_chunk = s.variances[inst].columns.then_some(chunk);
        let value = self.compute(s, inst, row, in_chunk)?;
        s.values[slot] = Some(value);
        Ok(value)
    }

    fn compute(
        &mut self,
        s: &mut TileState,
        inst: usize,
        row: usize,
        chunk: Option<usize>,
    ) -> Result<Value, BackendError> {
        let tile = s.tile;
        let lanes = s.lanes(chunk);
        match &tile.insts[inst] {
            Inst::Const(scalar) => Ok(self.constant(*scalar, lanes)),
            Inst::Index(expr) => Ok(self.each_lane(s, row, chunk, DType::I64, &mut |e, point| {
                let expr = point.resolve(expr, &e.extents);
                e.index(&expr)
            })),
            Inst::Test(guards) => Ok(self.test(s, row, chunk, guards)),
            Inst::Apply(op, operands) => self.apply_instance(s, *op, operands, row, chunk),
            Inst::Load { place, guards, fill } => {
                let access = self.access(s, place, guards, row, chunk)?;
                Ok(self.load(&access, *fill))
            }
            Inst::Accumulator(initial) => self.operand(s, *initial, row, chunk),
            Inst::FoldColumns(op, value) => {
                let parts = self.columns(s, *value, row)?;
                self.fold_columns(*op, s.dtypes[inst], &parts)
            }
            Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. } => {
                unreachable!("a verified tile uses no value of an instruction without one")
            }
        }
    }

    /// A value over all columns of a row, with the number of lanes of each part.
    fn columns(
        &mut self,
        s: &mut TileState,
        value: ValueId,
        row: usize,
    ) -> Result<Vec<(Value, usize)>, BackendError> {
        if !s.variances[value.index()].columns {
            // Its dtype may be wider than the lanes of what does vary.
            let element = self.operand(s, value, row, None)?;
            let n_columns: usize = s.chunks.iter().map(|c| c.lanes).sum();
            return Ok(vec![(element, 1); n_columns]);
        }
        let mut parts = Vec::with_capacity(s.chunks.len());
        for k in 0..s.chunks.len() {
            let part = self.operand(s, value, row, Some(k))?;
            parts.push((part, s.chunks[k].lanes));
        }
        Ok(parts)
    }

    fn test(&mut self, s: &TileState, row: usize, chunk: Option<usize>, guards: &[Guard]) -> Value {
        self.each_lane(s, row, chunk, DType::Bool, &mut |e, point| {
            let condition = e.guards(guards, point);
            e.condition_value(condition)
        })
    }

    /// A value made of one element per lane.
    fn each_lane(
        &mut self,
        s: &TileState,
        row: usize,
        chunk: Option<usize>,
        dtype: DType,
        element: &mut dyn FnMut(&mut Self, &Point) -> Value,
    ) -> Value {
        let point = s.point(row, chunk);
        let (axis, start) = point.columns;
        let elements: Vec<Value> = (start..start + s.lanes(chunk))
            .map(|column| element(self, &Point { columns: (axis, column), ..point }))
            .collect();
        self.join_lanes(dtype, &elements)
    }

    fn apply_instance(
        &mut self,
        s: &mut TileState,
        op: Op,
        operands: &[ValueId],
        row: usize,
        chunk: Option<usize>,
    ) -> Result<Value, BackendError> {
        let mut args = Vec::with_capacity(operands.len());
        for id in operands {
            let value = self.operand(s, *id, row, chunk)?;
            let literal = match s.tile.insts[id.index()] {
                Inst::Const(scalar) => Some(scalar),
                _ => None,
            };
            args.push(Operand { value, dtype: s.dtypes[id.index()], literal });
        }
        self.apply(op, &args, s.lanes(chunk))
    }

    /// Emits a store at a row and chunk.
    pub(super) fn store_instance(
        &mut self,
        s: &mut TileState,
        inst: usize,
        row: usize,
        chunk: usize,
    ) -> Result<(), BackendError> {
        let tile = s.tile;
        let Inst::Store { place, guards, condition, value } = &tile.insts[inst] else {
            unreachable!("the caller found a store");
        };
        let chunk = s.variances[inst].columns.then_some(chunk);
        let access = self.access(s, place, guards, row, chunk)?;
        let condition = condition.map(|c| self.operand(s, c, row, chunk)).transpose()?;
        let dtype = s.dtypes[value.index()];
        let value = self.operand(s, *value, row, chunk)?;
        self.store(&access, dtype, value, condition);
        Ok(())
    }

    fn access<'t>(
        &mut self,
        s: &mut TileState,
        place: &'t Place,
        guards: &'t [Guard],
        row: usize,
        chunk: Option<usize>,
    ) -> Result<Access<'t>, BackendError> {
        let (point, lanes) = (s.point(row, chunk), s.lanes(chunk));
        let dynamic = self.dynamic(s, place, row, chunk)?;
        Ok(Access { buffer: place.buffer, index: &place.index, guards, dynamic, point, lanes })
    }

    /// The run-time part of each lane's place, in bytes; one value where all lanes share it.
    fn dynamic(
        &mut self,
        s: &mut TileState,
        place: &Place,
        row: usize,
        chunk: Option<usize>,
    ) -> Result<Vec<Value>, BackendError> {
        if place.dynamic.is_empty() {
            return Ok(Vec::new());
        }
        let size = self.kernel.buffers[place.buffer].dtype.size_bytes() as i64;
        let varies = place.dynamic.iter().any(|(v, _)| s.variances[v.index()].columns);
        let lanes = s.lanes(chunk);
        let n = if varies { lanes } else { 1 };
        let mut sums: Vec<Option<Value>> = vec![None; n];
        for (value, stride) in &place.dynamic {
            let spread = s.variances[value.index()].columns;
            let vector = self.operand(s, *value, row, chunk.filter(|_| spread))?;
            for (lane, sum) in sums.iter_mut().enumerate() {
                let element = match spread {
                    true => self.lane(DType::I64, lanes, vector, lane),
                    false => vector,
                };
                *sum = Some(self.add_product(*sum, element, stride * size));
            }
        }
        Ok(sums.into_iter().flatten().collect())
    }

    fn add_product(&mut self, sum: Option<Value>, x: Value, factor: i64) -> Value {
        use cranelift_codegen::ir::InstBuilder;
        let product = self.times(x, factor);
        sum.map_or(product, |sum| self.b.ins().iadd(sum, product))
    }
}
