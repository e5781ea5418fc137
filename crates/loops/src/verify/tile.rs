//! What a tile program must obey in itself: definitions before uses, sections, dtypes.

use tracelift_scalar::Op;
use tracelift_tensor::DType;

use super::{Rule, Verifier};
use crate::{BufferKind, Inst, Place, Tile, ValueId};

/// What the checks of one tile share.
struct Check<'c, 'k> {
    verifier: &'c mut Verifier<'k>,
    tile: &'c Tile,
    dtypes: Vec<Option<DType>>,
}

/// Checks every instruction; `None` stands for the dtype of a value that has none.
pub(super) fn check_values(verifier: &mut Verifier, tile: &Tile) -> Vec<Option<DType>> {
    let mut check = Check { verifier, tile, dtypes: Vec::new() };
    for (k, inst) in tile.insts.iter().enumerate() {
        check.verifier.place.push(format!("%{k}"));
        let usable = check.uses(k, inst);
        check.section(k, inst);
        let dtype = if usable { check.dtype(inst) } else { None };
        check.dtypes.push(dtype);
        check.verifier.place.pop();
    }
    check.dtypes
}

impl Check<'_, '_> {
    fn require(&mut self, holds: bool, rule: Rule, message: impl FnOnce() -> String) {
        self.verifier.require(holds, rule, message);
    }

    /// Whether every operand is defined, in reach and has a value.
    fn uses(&mut self, k: usize, inst: &Inst) -> bool {
        let mut usable = true;
        for id in inst.operands() {
            let at = id.index();
            let no_value = self.tile.insts.get(at).is_some_and(|inst| !inst.has_value());
            let leaves = self.tile.body().contains(&at) && self.tile.finish().contains(&k);
            self.require(at < k, Rule::UseBeforeDefinition, || {
                format!("%{at} is used before its definition")
            });
            self.require(!no_value, Rule::Type, || format!("%{at} has no value"));
            self.require(!leaves, Rule::BodyValue, || {
                format!("%{at} belongs to an iteration and ends with it, expected an accumulator")
            });
            usable &= at < k && !no_value;
        }
        usable
    }

    fn section(&mut self, k: usize, inst: &Inst) {
        let (in_init, in_body) = (self.tile.init().contains(&k), self.tile.body().contains(&k));
        match inst {
            Inst::Accumulator(_) => {
                self.require(in_init, Rule::Accumulator, || {
                    "an accumulator outside init".to_string()
                });
            }
            Inst::FoldColumns(op, _) => {
                let known = matches!(op, Op::Add | Op::Mul | Op::Min | Op::Max | Op::And | Op::Or);
                self.require(!in_body, Rule::Fold, || "a fold of columns in body".to_string());
                self.require(known, Rule::Fold, || {
                    format!("columns fold by {}, expected add, mul, min, max, and, or", op.name())
                });
            }
            Inst::Update { accumulator, .. } => {
                let at = accumulator.index();
                let target = matches!(self.tile.insts.get(at), Some(Inst::Accumulator(_)));
                let earlier = self.tile.insts[..k]
                    .iter()
                    .any(|i| matches!(i, Inst::Update { accumulator: a, .. } if a == accumulator));
                self.require(in_body, Rule::Accumulator, || "an update outside body".to_string());
                self.require(target, Rule::Accumulator, || format!("%{at} is no accumulator"));
                self.require(!earlier, Rule::Accumulator, || {
                    format!("accumulator %{at} is updated twice")
                });
            }
            Inst::Prefetch { place } => {
                let in_tile = [self.tile.rows, self.tile.columns];
                let varies = in_tile.iter().any(|&axis| place.index.mentions(axis));
                let is_one = !varies && place.dynamic.is_empty();
                self.require(in_body, Rule::Prefetch, || "a prefetch outside body".to_string());
                self.require(is_one, Rule::Prefetch, || {
                    "a prefetch of several places, expected one for the whole tile".to_string()
                });
            }
            _ => {}
        }
    }

    /// The dtype of an instruction whose operands are usable.
    fn dtype(&mut self, inst: &Inst) -> Option<DType> {
        match inst {
            Inst::Const(scalar) => Some(scalar.dtype()),
            Inst::Index(_) => Some(DType::I64),
            Inst::Test(_) => Some(DType::Bool),
            Inst::Apply(op, operands) => self.applied(*op, operands),
            Inst::Accumulator(v) => self.dtypes[v.index()],
            Inst::FoldColumns(op, v) => self.applied(*op, &[*v, *v]),
            Inst::Load { place, fill, .. } => {
                let dtype = self.buffer_dtype(place);
                self.same(dtype, Some(fill.dtype()), "the fill of a load");
                dtype
            }
            Inst::Update { accumulator, value } => {
                let [to, from] = [accumulator, value].map(|v| self.dtypes[v.index()]);
                self.same(to, from, "the next value of an accumulator");
                None
            }
            Inst::Prefetch { place } => {
                self.buffer_dtype(place);
                None
            }
            Inst::Store { place, condition, value, .. } => {
                let dtype = self.buffer_dtype(place);
                self.same(dtype, self.dtypes[value.index()], "the value stored");
                if let Some(v) = condition {
                    self.same(Some(DType::Bool), self.dtypes[v.index()], "the condition");
                }
                self.writable(place);
                None
            }
        }
    }

    fn applied(&mut self, op: Op, operands: &[ValueId]) -> Option<DType> {
        let dtypes: Option<Vec<DType>> = operands.iter().map(|v| self.dtypes[v.index()]).collect();
        match op.result_dtype(&dtypes?) {
            Ok(dtype) => Some(dtype),
            Err(error) => {
                self.require(false, Rule::Type, || error.to_string());
                None
            }
        }
    }

    fn same(&mut self, expected: Option<DType>, found: Option<DType>, what: &str) {
        if let (Some(expected), Some(found)) = (expected, found) {
            self.require(expected == found, Rule::Type, || {
                format!("{what} is {found}, expected {expected}")
            });
        }
    }

    fn buffer_dtype(&mut self, place: &Place) -> Option<DType> {
        for (v, _) in &place.dynamic {
            self.same(Some(DType::I64), self.dtypes[v.index()], "a value in a place");
        }
        let kernel = self.verifier.kernel;
        let buffer = kernel.buffers.get(place.buffer);
        self.require(buffer.is_some(), Rule::Structure, || {
            format!("buffer {} of {}", place.buffer, kernel.buffers.len())
        });
        buffer.map(|b| b.dtype)
    }

    fn writable(&mut self, place: &Place) {
        if let Some(buffer) = self.verifier.kernel.buffers.get(place.buffer) {
            self.require(buffer.kind != BufferKind::Input, Rule::Write, || {
                format!("a store to the input %{}", buffer.name)
            });
        }
    }
}
