//! Elements at places that other values say.

use tracelift_ir::{Coordinate, Gather, Value};
use tracelift_loops::{BufferId, Inst, Place, ValueId};
use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use super::TileBuilder;

impl TileBuilder<'_, '_> {
    pub(super) fn gather(
        &mut self,
        v: Value,
        gather: &Gather,
        index: &[IndexExpr],
        guards: &[Guard],
    ) -> ValueId {
        let operands = self.lowering.graph.operands(v.node);
        let source = operands[0];
        let storage = self.lowering.storage(source).expect("a gather's source is in memory");
        let buffer = self.kernel.read(storage, &self.lowering.out.storages);
        let extents = self.lowering.extents(source);
        let (place, _) =
            self.place(&gather.coordinates, buffer, &extents, operands[1], index, guards);
        let fill = Scalar::zero(self.lowering.graph.ty(v).dtype);
        // An empty source has no element to clamp to.
        if extents.contains(&0) {
            return self.constant(fill);
        }
        self.push(Inst::Load { place, guards: guards.to_vec(), fill })
    }

    /// The place that coordinates lead to, clamped inside, and whether they lay inside, as bools.
    pub(crate) fn place(
        &mut self,
        coordinates: &[Coordinate],
        buffer: BufferId,
        extents: &[usize],
        indices: Value,
        index: &[IndexExpr],
        guards: &[Guard],
    ) -> (Place, Vec<ValueId>) {
        let mut place = Place { buffer, index: IndexExpr::default(), dynamic: Vec::new() };
        let mut inside = Vec::new();
        let mut stride = 1i64;
        for (coordinate, &extent) in coordinates.iter().zip(extents).rev() {
            match coordinate {
                Coordinate::At(e) => {
                    let e = e.substitute(&|a| index[a].clone(), &self.extents);
                    place.index = place.index.add(&e.scale(stride));
                }
                Coordinate::Lookup(at) => {
                    let at = self.at(at, index);
                    let raw = self.value(indices, &at, guards);
                    let (clamped, ok) = self.lookup(raw, extent as i64);
                    place.dynamic.push((clamped, stride));
                    inside.push(ok);
                }
            }
            stride *= extent.max(1) as i64;
        }
        place.index = place.index.simplify(&self.extents);
        (place, inside)
    }

    /// An index that counts from the end where negative, clamped; and whether it lay inside.
    fn lookup(&mut self, raw: ValueId, extent: i64) -> (ValueId, ValueId) {
        let int = |b: &mut Self, x: i64| b.constant(Scalar::Signed(DType::I64, x));
        let raw = self.apply(Op::Cast(DType::I64), &[raw]);
        let (zero, n, last) = (int(self, 0), int(self, extent), int(self, extent - 1));
        let from_end = self.apply(Op::Add, &[raw, n]);
        let negative = self.apply(Op::Lt, &[raw, zero]);
        let position = self.apply(Op::Select, &[negative, from_end, raw]);
        let not_below = self.apply(Op::Ge, &[position, zero]);
        let not_above = self.apply(Op::Lt, &[position, n]);
        let inside = self.apply(Op::And, &[not_below, not_above]);
        let low = self.apply(Op::Max, &[position, zero]);
        (self.apply(Op::Min, &[low, last]), inside)
    }
}
