//! The reference interpreter of kernels: slow and plain, one number at a time.
//!
//! A tile program runs instruction by instruction, each over all points of the tile before the
//! next, so that a load after a store in the same tile sees what was stored.

use std::ops::Range;

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use crate::{AxisId, BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId, Variance};

/// What scratch holds at the start of each task: NaN as a float, −1 as a signed integer.
const POISON: u8 = 0xff;

/// Runs every task of a kernel in ascending order.
///
/// `buffers` holds the little-endian elements of every buffer that is not scratch, in the order of
/// [`Kernel::buffers`].
///
/// # Panics
/// When the kernel is not verified, or the number or size of the buffers differs from its own.
pub fn interpret(kernel: &Kernel, buffers: &mut [Vec<u8>]) {
    interpret_tasks(kernel, buffers, 0..kernel.n_tasks());
}

/// Runs some tasks of a kernel; see [`interpret`].
///
/// # Panics
/// As [`interpret`] does.
pub fn interpret_tasks(kernel: &Kernel, buffers: &mut [Vec<u8>], tasks: Range<usize>) {
    let mut memory = Memory::new(kernel, buffers);
    let mut point = vec![0; kernel.axes.len()];
    let mut plans = Vec::new();
    let dtypes: Vec<DType> = kernel.buffers.iter().map(|b| b.dtype).collect();
    kernel.for_each_tile(&mut |tile| plans.push(Plan::new(tile, &dtypes)));
    for task in tasks {
        let mut rest = task;
        for &axis in kernel.grid.iter().rev() {
            point[axis] = rest % kernel.axes[axis].extent;
            rest /= kernel.axes[axis].extent;
        }
        memory.poison_scratch();
        let mut run = Run { kernel, plans: &plans, memory: &mut memory, point: &mut point };
        run.stmts(&kernel.body, 0);
    }
}

/// The bytes of all buffers, borrowed from the caller or owned as scratch.
struct Memory<'m> {
    places: Vec<Bytes<'m>>,
}

enum Bytes<'m> {
    Operand(DType, &'m mut [u8]),
    Scratch(DType, Vec<u8>),
}

impl<'m> Memory<'m> {
    fn new(kernel: &Kernel, buffers: &'m mut [Vec<u8>]) -> Memory<'m> {
        let mut operands = buffers.iter_mut();
        let mut places = Vec::new();
        for buffer in &kernel.buffers {
            let n_bytes = buffer.len * buffer.dtype.size_bytes();
            places.push(match buffer.kind {
                BufferKind::Scratch => Bytes::Scratch(buffer.dtype, vec![POISON; n_bytes]),
                BufferKind::Input | BufferKind::Output => {
                    let bytes = operands.next().expect("there is one buffer for each operand");
                    assert_eq!(bytes.len(), n_bytes, "the size of buffer %{}", buffer.name);
                    Bytes::Operand(buffer.dtype, bytes)
                }
            });
        }
        assert!(operands.next().is_none(), "there is one operand for each buffer");
        Memory { places }
    }

    fn poison_scratch(&mut self) {
        for place in &mut self.places {
            if let Bytes::Scratch(_, bytes) = place {
                bytes.fill(POISON);
            }
        }
    }

    fn element(&mut self, buffer: usize, index: i64) -> (DType, &mut [u8]) {
        let (dtype, bytes) = match &mut self.places[buffer] {
            Bytes::Operand(dtype, bytes) => (*dtype, &mut **bytes),
            Bytes::Scratch(dtype, bytes) => (*dtype, bytes.as_mut_slice()),
        };
        let size = dtype.size_bytes();
        let at = usize::try_from(index).expect("a verified index is not negative") * size;
        let element = bytes.get_mut(at..at + size).expect("a verified index is below the length");
        (dtype, element)
    }

    fn load(&mut self, buffer: usize, index: i64) -> Scalar {
        let (dtype, bytes) = self.element(buffer, index);
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Scalar::from_bits(dtype, u64::from_le_bytes(wide))
    }

    fn store(&mut self, buffer: usize, index: i64, value: Scalar) {
        let (_, bytes) = self.element(buffer, index);
        let n_bytes = bytes.len();
        bytes.copy_from_slice(&value.to_bits().to_le_bytes()[..n_bytes]);
    }
}

/// What is known of a tile before it runs.
struct Plan {
    dtypes: Vec<DType>,
    variances: Vec<Variance>,
}

impl Plan {
    fn new(tile: &Tile, buffer_dtypes: &[DType]) -> Plan {
        Plan { dtypes: tile.dtypes(buffer_dtypes), variances: tile.variances() }
    }
}

/// A task on its way through the body.
struct Run<'r, 'm> {
    kernel: &'r Kernel,
    plans: &'r [Plan],
    memory: &'r mut Memory<'m>,
    point: &'r mut [usize],
}

impl Run<'_, '_> {
    /// Runs statements; `first` is the number of the first tile in them, the result that after them.
    fn stmts(&mut self, stmts: &[Stmt], first: usize) -> usize {
        let mut next = first;
        for stmt in stmts {
            next = match stmt {
                Stmt::For { axis, body } => {
                    for at in 0..self.kernel.axes[*axis].extent {
                        self.point[*axis] = at;
                        self.stmts(body, next);
                    }
                    next + n_tiles(body)
                }
                Stmt::If { guards, body } => {
                    if guards.iter().all(|g| g.holds(self.point)) {
                        self.stmts(body, next);
                    }
                    next + n_tiles(body)
                }
                Stmt::Tile(tile) => {
                    TileRun::new(self, tile, next).run();
                    next + 1
                }
            };
        }
        next
    }
}

fn n_tiles(stmts: &[Stmt]) -> usize {
    let count = |stmt: &Stmt| match stmt {
        Stmt::For { body, .. } | Stmt::If { body, .. } => n_tiles(body),
        Stmt::Tile(_) => 1,
    };
    stmts.iter().map(count).sum()
}

/// A tile on its way through its program.
struct TileRun<'t, 'r, 'm> {
    run: &'t mut Run<'r, 'm>,
    tile: &'t Tile,
    plan: &'t Plan,
    n_rows: usize,
    n_columns: usize,
    /// One number for each place where a value varies, row-major.
    values: Vec<Vec<Scalar>>,
    /// What accumulators become at the end of the iteration.
    pending: Vec<(ValueId, Vec<Scalar>)>,
}

impl<'t, 'r, 'm> TileRun<'t, 'r, 'm> {
    fn new(run: &'t mut Run<'r, 'm>, tile: &'t Tile, number: usize) -> Self {
        TileRun {
            plan: &run.plans[number],
            n_rows: run.kernel.axes[tile.rows].extent,
            n_columns: run.kernel.axes[tile.columns].extent,
            values: vec![Vec::new(); tile.insts.len()],
            pending: Vec::new(),
            run,
            tile,
        }
    }

    fn run(&mut self) {
        if self.n_rows * self.n_columns == 0 {
            return;
        }
        self.insts(self.tile.init());
        self.loops(&self.tile.loops);
        self.insts(self.tile.finish());
    }

    fn loops(&mut self, loops: &[AxisId]) {
        let [axis, inner @ ..] = loops else {
            self.insts(self.tile.body());
            for (accumulator, next) in self.pending.drain(..) {
                self.values[accumulator.index()] = next;
            }
            return;
        };
        for at in 0..self.run.kernel.axes[*axis].extent {
            self.run.point[*axis] = at;
            self.loops(inner);
        }
    }

    fn insts(&mut self, range: Range<usize>) {
        for k in range {
            match &self.tile.insts[k] {
                Inst::Store { place, guards, condition, value } => {
                    self.store(place, guards, *condition, *value);
                }
                Inst::Update { accumulator, value } => {
                    let next = self.spread(self.plan.variances[accumulator.index()], *value);
                    self.pending.push((*accumulator, next));
                }
                Inst::Prefetch { .. } => {}
                inst => self.values[k] = self.evaluate(inst, k),
            }
        }
    }

    /// The value of an instruction at every place where it varies.
    fn evaluate(&mut self, inst: &Inst, k: usize) -> Vec<Scalar> {
        let variance = self.plan.variances[k];
        match inst {
            Inst::Const(scalar) => vec![*scalar],
            Inst::Index(e) => {
                self.each(variance, |t, _, _| Scalar::Signed(DType::I64, e.eval(t.run.point)))
            }
            Inst::Test(guards) => self.each(variance, |t, _, _| {
                Scalar::Bool(guards.iter().all(|g| g.holds(t.run.point)))
            }),
            Inst::Apply(op, operands) => self.each(variance, |t, r, c| {
                let args: Vec<Scalar> = operands.iter().map(|v| t.value(*v, r, c)).collect();
                op.eval(&args)
            }),
            Inst::Load { place, guards, fill } => self.each(variance, |t, r, c| {
                if guards.iter().all(|g| g.holds(t.run.point)) {
                    let index = t.index(&place.index, &place.dynamic, r, c);
                    t.run.memory.load(place.buffer, index)
                } else {
                    *fill
                }
            }),
            Inst::Accumulator(v) => self.spread(variance, *v),
            Inst::FoldColumns(op, v) => self.each(variance, |t, r, _| t.fold(*op, *v, r)),
            Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. } => Vec::new(),
        }
    }

    /// Calls `f` with (row, column) at every place where a value of this variance varies.
    fn each(
        &mut self,
        variance: Variance,
        mut f: impl FnMut(&mut Self, usize, usize) -> Scalar,
    ) -> Vec<Scalar> {
        let n_rows = if variance.rows { self.n_rows } else { 1 };
        let n_columns = if variance.columns { self.n_columns } else { 1 };
        let mut out = Vec::with_capacity(n_rows * n_columns);
        for r in 0..n_rows {
            self.run.point[self.tile.rows] = r;
            for c in 0..n_columns {
                self.run.point[self.tile.columns] = c;
                out.push(f(self, r, c));
            }
        }
        out
    }

    fn value(&self, id: ValueId, r: usize, c: usize) -> Scalar {
        let variance = self.plan.variances[id.index()];
        let width = if variance.columns { self.n_columns } else { 1 };
        let r = if variance.rows { r } else { 0 };
        let c = if variance.columns { c } else { 0 };
        self.values[id.index()][r * width + c]
    }

    fn spread(&mut self, variance: Variance, id: ValueId) -> Vec<Scalar> {
        self.each(variance, |t, r, c| t.value(id, r, c))
    }

    fn fold(&self, op: Op, id: ValueId, r: usize) -> Scalar {
        (1..self.n_columns)
            .fold(self.value(id, r, 0), |total, c| op.eval(&[total, self.value(id, r, c)]))
    }

    fn index(&self, index: &IndexExpr, dynamic: &[(ValueId, i64)], r: usize, c: usize) -> i64 {
        dynamic.iter().fold(index.eval(self.run.point), |total, (v, stride)| {
            debug_assert_eq!(self.plan.dtypes[v.index()], DType::I64, "dynamic values are i64");
            total.wrapping_add(stride.wrapping_mul(self.value(*v, r, c).to_i64()))
        })
    }

    fn store(
        &mut self,
        place: &Place,
        guards: &[Guard],
        condition: Option<ValueId>,
        value: ValueId,
    ) {
        self.each(Variance { rows: true, columns: true }, |t, r, c| {
            let wanted = condition.is_none_or(|v| t.value(v, r, c) == Scalar::Bool(true));
            let value = t.value(value, r, c);
            if wanted && guards.iter().all(|g| g.holds(t.run.point)) {
                let index = t.index(&place.index, &place.dynamic, r, c);
                t.run.memory.store(place.buffer, index, value);
            }
            value
        });
    }
}

#[cfg(test)]
mod tests;
