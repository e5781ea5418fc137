//! Random tile programs.

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use super::{KernelGen, MAX_ELEMENTS};
use crate::{AxisId, BufferId, BufferKind, Inst, Place, Tile, ValueId};

/// A tile on its way: its instructions so far, and which of their values can be used.
pub(super) struct TileGen<'g, 'o> {
    kernel: &'g mut KernelGen<'o>,
    rows: AxisId,
    columns: AxisId,
    loops: Vec<AxisId>,
    scope: Vec<AxisId>,
    insts: Vec<Inst>,
    values: Vec<(ValueId, DType)>,
    in_body: bool,
}

impl<'g, 'o> TileGen<'g, 'o> {
    pub fn new(kernel: &'g mut KernelGen<'o>) -> Self {
        let known = kernel.last_tile.filter(|_| kernel.random.chance(30));
        let (rows, columns) = known.unwrap_or_else(|| {
            let n = kernel.kernel.axes.len();
            let n_rows = kernel.random.extent(5, 2);
            let n_columns = kernel.random.pick(&[1, 2, 3, 4, 5, 8, 8, 16, 17, 33]).unwrap_or(1);
            let rows = kernel.kernel.add_axis(&format!("r{n}"), n_rows);
            (rows, kernel.kernel.add_axis(&format!("c{n}"), n_columns))
        });
        kernel.last_tile = Some((rows, columns));
        let mut scope = kernel.scope.clone();
        scope.extend([rows, columns]);
        TileGen {
            kernel,
            rows,
            columns,
            loops: Vec::new(),
            scope,
            insts: Vec::new(),
            values: Vec::new(),
            in_body: false,
        }
    }

    /// A tile that fills new scratch, one element for each point.
    pub fn scratch_tile(mut self) -> Tile {
        let (n_rows, n_columns) = (self.extent(self.rows), self.extent(self.columns));
        let dtype = self.dtype();
        let len = n_rows * n_columns;
        let value = self.some_value(dtype);
        let index =
            IndexExpr::axis(self.rows).scale(n_columns as i64).add(&IndexExpr::axis(self.columns));
        if len > 0 {
            let buffer = self.kernel.kernel.add_buffer("tmp", dtype, len, BufferKind::Scratch);
            self.kernel.scratch = Some(buffer);
            let place = Place { buffer, index, dynamic: Vec::new() };
            self.insts.push(Inst::Store { place, guards: vec![], condition: None, value });
        }
        let n_init = self.insts.len();
        self.finish(n_init, 0)
    }

    /// A tile that computes something and stores it.
    pub fn tile(mut self) -> Tile {
        self.some_insts(6);
        let has_body = self.kernel.random.chance(60);
        let accumulators = if has_body { self.accumulators() } else { Vec::new() };
        let (n_init, n_visible) = (self.insts.len(), self.values.len());
        if has_body {
            self.body(&accumulators);
        }
        let n_body = self.insts.len() - n_init;
        self.values.truncate(n_visible);
        self.some_insts(5);
        for _ in 0..self.kernel.random.between(1, 2) {
            self.store();
            self.some_insts(2);
        }
        self.store();
        self.finish(n_init, n_body)
    }

    fn finish(self, n_init: usize, n_body: usize) -> Tile {
        let unroll = self.kernel.random.pick(&[1, 1, 2, 4]).unwrap_or(1);
        Tile {
            rows: self.rows,
            columns: self.columns,
            loops: self.loops,
            unroll,
            insts: self.insts,
            n_init,
            n_body,
        }
    }

    fn accumulators(&mut self) -> Vec<(ValueId, DType)> {
        for _ in 0..self.kernel.random.below(3) {
            let extent = self.kernel.random.extent(5, 5);
            let name = format!("k{}", self.kernel.kernel.axes.len());
            self.loops.push(self.kernel.kernel.add_axis(&name, extent));
        }
        let n_accumulators = self.kernel.random.below(3);
        (0..n_accumulators)
            .map(|_| {
                let dtype = self.dtype();
                let initial = self.some_value(dtype);
                (self.push(Inst::Accumulator(initial), dtype), dtype)
            })
            .collect()
    }

    fn body(&mut self, accumulators: &[(ValueId, DType)]) {
        self.in_body = true;
        let n_outer = self.scope.len();
        self.scope.extend(self.loops.clone());
        self.some_insts(6);
        for &(accumulator, dtype) in accumulators {
            let value = self.some_value(dtype);
            self.insts.push(Inst::Update { accumulator, value });
        }
        if self.kernel.random.chance(20) {
            self.store();
        }
        if self.kernel.random.chance(20) {
            self.prefetch();
        }
        self.scope.truncate(n_outer);
        self.in_body = false;
    }

    fn extent(&self, axis: AxisId) -> usize {
        self.kernel.kernel.axes[axis].extent
    }

    fn dtype(&mut self) -> DType {
        self.kernel.random.pick(&self.kernel.options.dtypes).unwrap_or(DType::F32)
    }

    fn has(&self, dtype: DType) -> bool {
        self.kernel.options.dtypes.contains(&dtype)
    }

    fn push(&mut self, inst: Inst, dtype: DType) -> ValueId {
        let id = ValueId(self.insts.len() as u32);
        self.insts.push(inst);
        self.values.push((id, dtype));
        id
    }

    /// A value of a dtype: mostly one of the latest, else a new one.
    fn some_value(&mut self, dtype: DType) -> ValueId {
        let known: Vec<ValueId> =
            self.values.iter().rev().filter(|v| v.1 == dtype).take(4).map(|v| v.0).collect();
        match self.kernel.random.pick(&known) {
            Some(id) if self.kernel.random.chance(85) => id,
            _ if self.kernel.random.chance(50) => self.load(dtype),
            _ => {
                let scalar = self.kernel.random.scalar(dtype);
                self.push(Inst::Const(scalar), dtype)
            }
        }
    }

    fn some_insts(&mut self, most: usize) {
        for _ in 0..self.kernel.random.below(most + 1) {
            match self.kernel.random.below(10) {
                0..=2 => {
                    let dtype = self.dtype();
                    self.load(dtype);
                }
                3 if self.has(DType::I64) => {
                    let e = self.kernel.expr(&self.scope);
                    self.push(Inst::Index(e), DType::I64);
                }
                4 if self.has(DType::Bool) => {
                    let guards = self.guards(3);
                    self.push(Inst::Test(guards), DType::Bool);
                }
                5 if !self.in_body => self.fold(),
                _ => self.apply(),
            }
        }
    }

    fn guards(&mut self, most: usize) -> Vec<Guard> {
        let scope = self.scope.clone();
        (0..self.kernel.random.below(most + 1)).map(|_| self.kernel.guard(&scope)).collect()
    }

    /// Applies a random operation that is allowed.
    fn apply(&mut self) {
        for _ in 0..8 {
            let (dtype, to) = (self.dtype(), self.dtype());
            let op = match self.kernel.random.below(5) {
                0 => Op::Cast(to),
                1 if self.kernel.random.chance(20) => Op::Bitcast(to),
                _ => self.kernel.random.pick(Op::ALL).expect("there are operations"),
            };
            let mut dtypes = vec![dtype; op.arity()];
            if op == Op::Select {
                dtypes[0] = DType::Bool;
            }
            let Ok(result) = op.result_dtype(&dtypes) else { continue };
            if (self.kernel.options.allow)(op, dtype)
                && self.has(result)
                && dtypes.iter().all(|d| self.has(*d))
            {
                let operands = dtypes.iter().map(|d| self.some_value(*d)).collect();
                self.push(Inst::Apply(op, operands), result);
                return;
            }
        }
    }

    fn fold(&mut self) {
        let dtype = self.dtype();
        let mut value = self.some_value(dtype);
        let is_exact = !dtype.is_float() || self.kernel.options.has_inexact_folds;
        let ops: &[Op] = match dtype {
            DType::Bool => &[Op::And, Op::Or],
            _ if !is_exact => &[Op::Add, Op::Min, Op::Max],
            _ => &[Op::Add, Op::Mul, Op::Min, Op::Max],
        };
        if !is_exact {
            if !self.has(DType::I8) {
                return;
            }
            // Sums of small integers do not depend on their order, nor do extrema without −0.
            let small = self.push(Inst::Apply(Op::Cast(DType::I8), vec![value]), DType::I8);
            value = self.push(Inst::Apply(Op::Cast(dtype), vec![small]), dtype);
        }
        let op = self.kernel.random.pick(ops).expect("there are operations");
        self.push(Inst::FoldColumns(op, value), dtype);
    }

    /// An index that often runs along the columns, and guards that often speak of parts of it.
    fn place_index(&mut self) -> (IndexExpr, Vec<Guard>) {
        let scope = self.scope.clone();
        let mut guards = self.guards(1);
        let mut index = self.kernel.expr(&scope);
        if self.kernel.random.chance(60) {
            index = index.add(&IndexExpr::axis(self.columns));
        }
        if let Some(guard) = guards.first()
            && self.kernel.random.chance(70)
        {
            let factor = self.kernel.random.between(1, 40) as i64;
            index = index.add(&guard.expr.scale(factor));
        }
        if self.kernel.random.chance(20) {
            guards.extend(self.guards(1));
        }
        (index, guards)
    }

    /// Reads an element of a dtype.
    fn load(&mut self, dtype: DType) -> ValueId {
        let fits = |b: &BufferId| self.kernel.kernel.buffers[*b].dtype == dtype;
        if let Some(scratch) = self.kernel.scratch.filter(fits)
            && self.kernel.random.chance(40)
        {
            return self.load_scratch(scratch);
        }
        let (mut index, guards) = self.place_index();
        let (mut low, mut high) = self.kernel.bounds(&self.scope, &guards, &index);
        if high - low >= MAX_ELEMENTS {
            (index, low, high) = (IndexExpr::constant(0), 0, 0);
        }
        let mut place =
            Place { buffer: 0, index: index.offset(-(low as i64)), dynamic: Vec::new() };
        let mut len = (high - low + 1) as usize;
        if self.kernel.options.has_dynamic_places && self.kernel.random.chance(12) {
            len += self.dynamic(&mut place, 6);
        }
        place.buffer = self.input(dtype, len);
        let fill = self.kernel.random.scalar(dtype);
        self.push(Inst::Load { place, guards, fill }, dtype)
    }

    fn load_scratch(&mut self, buffer: BufferId) -> ValueId {
        let guards = self.guards(1);
        let (dtype, len) = {
            let b = &self.kernel.kernel.buffers[buffer];
            (b.dtype, b.len)
        };
        let scope = self.scope.clone();
        let index = self.kernel.expr(&scope).rem(len as i64, &self.kernel.kernel.extents());
        let fill = self.kernel.random.scalar(dtype);
        let place = Place { buffer, index, dynamic: Vec::new() };
        self.push(Inst::Load { place, guards, fill }, dtype)
    }

    /// Adds a clamped value to a place, and returns how far it reaches.
    fn dynamic(&mut self, place: &mut Place, most: usize) -> usize {
        if !self.has(DType::I64) {
            return 0;
        }
        let n = self.kernel.random.between(1, most) as i64;
        let stride = self.kernel.random.between(1, 5) as i64;
        let bound = |value| Inst::Const(Scalar::Signed(DType::I64, value));
        let scope = self.scope.clone();
        let e = self.kernel.expr(&scope);
        let index = match self.values.iter().rev().find(|v| v.1 == DType::I64) {
            Some((v, _)) => *v,
            None => self.push(Inst::Index(e), DType::I64),
        };
        let (low, high) = (self.push(bound(0), DType::I64), self.push(bound(n - 1), DType::I64));
        let above = self.push(Inst::Apply(Op::Max, vec![index, low]), DType::I64);
        let clamped = self.push(Inst::Apply(Op::Min, vec![above, high]), DType::I64);
        place.dynamic.push((clamped, stride));
        (stride * (n - 1)) as usize
    }

    /// An input with at least so many elements, sometimes one that is known.
    fn input(&mut self, dtype: DType, len: usize) -> BufferId {
        let buffers = &self.kernel.kernel.buffers;
        let fits =
            |b: &crate::Buffer| b.kind == BufferKind::Input && b.dtype == dtype && b.len >= len;
        if let Some(known) = buffers.iter().position(fits) {
            return known;
        }
        let name = format!("x{}", buffers.len());
        let slack = self.kernel.random.below(3);
        self.kernel.kernel.add_buffer(&name, dtype, len + slack, BufferKind::Input)
    }

    /// Writes a value to a new output, each task to its own elements.
    fn store(&mut self) {
        let dtype = self.dtype();
        let value = self.some_value(dtype);
        let condition = (self.has(DType::Bool) && self.kernel.random.chance(25))
            .then(|| self.some_value(DType::Bool));
        let (mut place, guards, width) = self.local_place();
        let (task, n_tasks) = self.task_number();
        if self.kernel.random.chance(50) {
            place.index = place.index.add(&task.scale(width as i64));
        } else {
            place.index = place.index.scale(n_tasks as i64).add(&task);
            place.dynamic.iter_mut().for_each(|(_, stride)| *stride *= n_tasks as i64);
        }
        let name = format!("y{}", self.kernel.kernel.buffers.len());
        let len = n_tasks * width;
        place.buffer = self.kernel.kernel.add_buffer(&name, dtype, len, BufferKind::Output);
        let stored = Inst::Store { place: place.clone(), guards: guards.clone(), condition, value };
        self.insts.push(stored);
        if self.kernel.random.chance(25) {
            let fill = self.kernel.random.scalar(dtype);
            self.push(Inst::Load { place, guards, fill }, dtype);
        }
    }

    /// Fetches an element of any operand, or what lies outside of it.
    fn prefetch(&mut self) {
        let buffers: Vec<BufferId> = (0..self.kernel.kernel.buffers.len()).collect();
        let Some(buffer) = self.kernel.random.pick(&buffers) else { return };
        let in_tile = [self.rows, self.columns];
        let scope: Vec<AxisId> =
            self.scope.iter().copied().filter(|axis| !in_tile.contains(axis)).collect();
        let index = self.kernel.expr(&scope);
        self.insts.push(Inst::Prefetch { place: Place { buffer, index, dynamic: Vec::new() } });
    }

    /// A place within what one task writes, its guards, and how many elements it may reach.
    fn local_place(&mut self) -> (Place, Vec<Guard>, usize) {
        let n_grid = self.kernel.kernel.grid.len();
        let all = self.scope.clone();
        self.scope = all[n_grid..].to_vec();
        let (mut index, mut guards) = self.place_index();
        let is_dynamic = self.kernel.options.has_dynamic_places && self.kernel.random.chance(15);
        if !self.kernel.options.has_shared_places {
            guards.clear();
            index = self.every_point();
        }
        let (mut low, mut high) = self.kernel.bounds(&all, &guards, &index);
        if high - low >= MAX_ELEMENTS / 64 {
            (index, guards) = (self.every_point(), Vec::new());
            (low, high) = self.kernel.bounds(&all, &guards, &index);
        }
        self.scope = all;
        let mut place =
            Place { buffer: 0, index: index.offset(-(low as i64)), dynamic: Vec::new() };
        let mut width = (high - low).max(0) as usize + 1;
        if is_dynamic && self.kernel.options.has_shared_places {
            width += self.dynamic(&mut place, 4);
        }
        (place, guards, width)
    }

    /// The row-major position of a point of the tile.
    fn every_point(&self) -> IndexExpr {
        let n_columns = self.extent(self.columns) as i64;
        IndexExpr::axis(self.rows).scale(n_columns).add(&IndexExpr::axis(self.columns))
    }

    /// The number of the task at hand, and how many there are, at least 1.
    fn task_number(&self) -> (IndexExpr, usize) {
        let kernel = &self.kernel.kernel;
        let mut out = (IndexExpr::constant(0), 1);
        for &axis in kernel.grid.iter().rev() {
            out.0 = out.0.add(&IndexExpr::axis(axis).scale(out.1 as i64));
            out.1 *= kernel.axes[axis].extent.max(1);
        }
        out
    }
}
