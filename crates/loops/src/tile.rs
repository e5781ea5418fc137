//! Tile programs: straight-line programs over a register tile of rows × columns.
//!
//! A tile program computes for every point (row, column) of its tile. It runs `init` once, then
//! `body` for every point of its inner loops, then `finish`. A value varies over rows, columns,
//! both or neither: an emitter keeps one register (or one vector of consecutive columns) for each
//! place where it varies. The three parts share one numbering of values.

use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use crate::{AxisId, Place};

/// A value of a tile program: a position in [`Tile::insts`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The position in [`Tile::insts`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One instruction of a tile program.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Inst {
    /// A literal.
    Const(Scalar),
    /// The value of an index expression, as `i64`.
    Index(IndexExpr),
    /// Whether all guards hold, as bool.
    Test(Vec<Guard>),
    /// An operation over earlier values.
    Apply(Op, Vec<ValueId>),
    /// The element at a place; where a guard fails nothing is read and the result is `fill`.
    Load {
        /// Where it lies.
        place: Place,
        /// Conditions for reading.
        guards: Vec<Guard>,
        /// The value where a condition fails; of the buffer's dtype.
        fill: Scalar,
    },
    /// An accumulator, in `init` only: holds the operand until updated. Its value in `body` is that
    /// at the start of the iteration, in `finish` the final one.
    Accumulator(ValueId),
    /// In `body` only: gives an accumulator its value for the next iteration. The new value varies
    /// no more than the accumulator does.
    Update {
        /// The accumulator.
        accumulator: ValueId,
        /// Its next value.
        value: ValueId,
    },
    /// In `body` only: a hint that the elements around a place will be read soon. The place is the
    /// same for the whole tile and may lie outside of its buffer; nothing is read.
    Prefetch {
        /// Where they lie.
        place: Place,
    },
    /// The fold by an operation (`add`, `mul`, `min`, `max`) over all columns of the tile, in an
    /// unspecified but fixed order; varies over rows at most. Not in `body`.
    FoldColumns(Op, ValueId),
    /// Writes an element where all guards hold and the condition, a bool, is true. Points write in
    /// row-major order of (row, column).
    Store {
        /// Where it goes.
        place: Place,
        /// Conditions for writing.
        guards: Vec<Guard>,
        /// A further condition known at run time.
        condition: Option<ValueId>,
        /// What is written; of the buffer's dtype.
        value: ValueId,
    },
}

impl Inst {
    /// Whether the instruction gives a value that others may use.
    pub fn has_value(&self) -> bool {
        !matches!(self, Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. })
    }

    /// Every value that is read or updated.
    pub fn operands(&self) -> Vec<ValueId> {
        let dynamic = |place: &Place| place.dynamic.iter().map(|(v, _)| *v).collect::<Vec<_>>();
        match self {
            Inst::Const(_) | Inst::Index(_) | Inst::Test(_) => Vec::new(),
            Inst::Apply(_, operands) => operands.clone(),
            Inst::Load { place, .. } | Inst::Prefetch { place } => dynamic(place),
            Inst::Accumulator(v) | Inst::FoldColumns(_, v) => vec![*v],
            Inst::Update { accumulator, value } => vec![*accumulator, *value],
            Inst::Store { place, condition, value, .. } => {
                dynamic(place).into_iter().chain(*condition).chain([*value]).collect()
            }
        }
    }
}

/// A tile program.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tile {
    /// The axis of rows; its extent is the number of rows of the register tile.
    pub rows: AxisId,
    /// The axis of columns; its extent is the number of columns, in elements. Vectors run along it.
    pub columns: AxisId,
    /// Inner loops around `body`, outermost first.
    pub loops: Vec<AxisId>,
    /// How many iterations of the innermost loop the emitter should unroll.
    pub unroll: usize,
    /// All instructions: `init`, then `body`, then `finish`.
    pub insts: Vec<Inst>,
    /// The number of instructions in `init`.
    pub n_init: usize,
    /// The number of instructions in `body`.
    pub n_body: usize,
}

/// Over which tile axes a value varies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Variance {
    /// Over rows.
    pub rows: bool,
    /// Over columns.
    pub columns: bool,
}

impl Variance {
    fn join(self, other: Variance) -> Variance {
        Variance { rows: self.rows || other.rows, columns: self.columns || other.columns }
    }
}

impl Tile {
    /// The instructions before the loops.
    pub fn init(&self) -> std::ops::Range<usize> {
        0..self.n_init
    }

    /// The instructions inside the loops.
    pub fn body(&self) -> std::ops::Range<usize> {
        self.n_init..self.n_init + self.n_body
    }

    /// The instructions after the loops.
    pub fn finish(&self) -> std::ops::Range<usize> {
        self.n_init + self.n_body..self.insts.len()
    }

    /// The dtype of every value; instructions without a result count as bool.
    ///
    /// # Panics
    /// When an instruction uses a later value or operands that do not fit; the verifier finds these.
    pub fn dtypes(&self, buffer_dtypes: &[DType]) -> Vec<DType> {
        let mut out: Vec<DType> = Vec::with_capacity(self.insts.len());
        for inst in &self.insts {
            let dtype = match inst {
                Inst::Const(scalar) => scalar.dtype(),
                Inst::Index(_) => DType::I64,
                Inst::Load { place, .. } => buffer_dtypes[place.buffer],
                Inst::Accumulator(v) | Inst::FoldColumns(_, v) => out[v.index()],
                Inst::Apply(op, operands) => {
                    let dtypes: Vec<DType> = operands.iter().map(|v| out[v.index()]).collect();
                    op.result_dtype(&dtypes).expect("a verified tile is well typed")
                }
                Inst::Test(_)
                | Inst::Update { .. }
                | Inst::Prefetch { .. }
                | Inst::Store { .. } => DType::Bool,
            };
            out.push(dtype);
        }
        out
    }

    /// Over which axes every value varies.
    ///
    /// An accumulator varies as its initial value and all its updates do.
    pub fn variances(&self) -> Vec<Variance> {
        let mut out = vec![Variance::default(); self.insts.len()];
        loop {
            let before = out.clone();
            for (k, inst) in self.insts.iter().enumerate() {
                out[k] = out[k].join(self.variance_of(inst, &out));
                if let Inst::Update { accumulator, value } = inst {
                    out[accumulator.index()] = out[accumulator.index()].join(out[value.index()]);
                }
            }
            if out == before {
                return out;
            }
        }
    }

    fn variance_of(&self, inst: &Inst, known: &[Variance]) -> Variance {
        let of_expr = |e: &IndexExpr| Variance {
            rows: e.mentions(self.rows),
            columns: e.mentions(self.columns),
        };
        let of_guards = |guards: &[Guard]| {
            guards.iter().fold(Variance::default(), |v, g| v.join(of_expr(&g.expr)))
        };
        let of_values = |values: &mut dyn Iterator<Item = ValueId>| {
            values.fold(Variance::default(), |v, id| v.join(known[id.index()]))
        };
        let of_place = |place: &Place| {
            of_expr(&place.index).join(of_values(&mut place.dynamic.iter().map(|(v, _)| *v)))
        };
        match inst {
            Inst::Const(_) | Inst::Prefetch { .. } => Variance::default(),
            Inst::Index(e) => of_expr(e),
            Inst::Test(guards) => of_guards(guards),
            Inst::Apply(_, operands) => of_values(&mut operands.iter().copied()),
            Inst::Load { place, guards, .. } => of_place(place).join(of_guards(guards)),
            Inst::Accumulator(v) => known[v.index()],
            Inst::Update { accumulator, .. } => known[accumulator.index()],
            Inst::FoldColumns(_, v) => Variance { rows: known[v.index()].rows, columns: false },
            Inst::Store { place, guards, condition, value } => of_place(place)
                .join(of_guards(guards))
                .join(of_values(&mut condition.iter().chain([value]).copied())),
        }
    }
}
