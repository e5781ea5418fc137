//! Loads and stores of elements and vectors.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use tracelift_loops::BufferId;
use tracelift_scalar::{Guard, IndexExpr};
use tracelift_tensor::{DType, Scalar};

use super::{
    Emitter,
    address::{Point, Position},
    guard::Condition,
    plain,
    vector::{scalar_type, value_type},
};

/// A place in memory: an address and a constant offset in bytes.
#[derive(Clone, Copy)]
pub(super) struct Address {
    base: Value,
    offset: i32,
}

/// Where a load or store of one vector or element goes.
pub(super) struct Access<'t> {
    pub(super) buffer: BufferId,
    pub(super) index: &'t IndexExpr,
    pub(super) guards: &'t [Guard],
    /// The run-time part of each lane's place, in bytes; one entry where it is the same in all.
    pub(super) dynamic: Vec<Value>,
    pub(super) point: Point,
    pub(super) lanes: usize,
}

/// How the lanes of an access lie.
#[derive(PartialEq, Eq)]
enum Shape {
    /// One after another, all or none guarded away.
    Vector,
    /// One after another; where the first and the last pass the guards, all do.
    VectorInside,
    /// Anyhow.
    Lanes,
}

impl Access<'_> {
    fn at_lane(&self, lane: usize) -> Point {
        let (axis, column) = self.point.columns;
        Point { columns: (axis, column + lane), ..self.point }
    }

    fn shape(&self) -> Shape {
        let columns = self.point.columns.0;
        if self.dynamic.len() > 1 || self.index.stride_of(columns) != Some(1) {
            return Shape::Lanes;
        }
        let strides: Vec<_> = self.guards.iter().map(|g| g.expr.stride_of(columns)).collect();
        if strides.iter().all(|s| *s == Some(0)) {
            Shape::Vector
        } else if strides.iter().all(Option::is_some) {
            Shape::VectorInside
        } else {
            Shape::Lanes
        }
    }
}

impl Emitter<'_, '_> {
    fn address(&mut self, access: &Access, lane: usize) -> Address {
        let point = access.at_lane(lane);
        let Position { linear, offset } = self.position(access.buffer, access.index, &point);
        let mut base = self.linear(&linear);
        if let Some(&dynamic) = access.dynamic.get(lane).or(access.dynamic.first()) {
            base = self.b.ins().iadd(base, dynamic);
        }
        match i32::try_from(offset) {
            Ok(offset) => Address { base, offset },
            Err(_) => Address { base: self.add_constant(base, offset), offset: 0 },
        }
    }

    /// Loads one vector, or one element where the access has one lane.
    pub(super) fn load(&mut self, access: &Access, fill: Scalar) -> Value {
        let dtype = fill.dtype();
        match (access.lanes, access.shape()) {
            (1, _) => self.load_lane(access, 0, fill),
            (lanes, Shape::Vector) => {
                let condition = self.guards(access.guards, &access.point);
                if matches!(condition, Condition::Never) {
                    return self.constant(fill, lanes);
                }
                let address = self.address(access, 0);
                let address = self.safe_address(address, condition, fill);
                self.load_vector(dtype, lanes, address)
            }
            (_, Shape::VectorInside) => self.load_inside(access, fill),
            (_, Shape::Lanes) => self.load_lanes(access, fill),
        }
    }

    fn load_lanes(&mut self, access: &Access, fill: Scalar) -> Value {
        let elements: Vec<Value> =
            (0..access.lanes).map(|lane| self.load_lane(access, lane, fill)).collect();
        self.join_lanes(fill.dtype(), &elements)
    }

    fn load_lane(&mut self, access: &Access, lane: usize, fill: Scalar) -> Value {
        let condition = self.guards(access.guards, &access.at_lane(lane));
        if matches!(condition, Condition::Never) {
            return self.constant(fill, 1);
        }
        let address = self.address(access, lane);
        let Address { base, offset } = self.safe_address(address, condition, fill);
        self.b.ins().load(scalar_type(fill.dtype()), plain(), base, offset)
    }

    /// A vector load where every lane passes its guards, else one load per lane.
    fn load_inside(&mut self, access: &Access, fill: Scalar) -> Value {
        let (dtype, lanes) = (fill.dtype(), access.lanes);
        let all = self.all_lanes(access);
        let Condition::If(all) = all else {
            return match all {
                Condition::Always => {
                    let address = self.address(access, 0);
                    self.load_vector(dtype, lanes, address)
                }
                _ => self.load_lanes(access, fill),
            };
        };
        let [whole, parts, after] = [(); 3].map(|()| self.b.create_block());
        let result = self.b.append_block_param(after, value_type(dtype, lanes));
        self.b.ins().brif(all, whole, &[], parts, &[]);
        self.b.switch_to_block(whole);
        let address = self.address(access, 0);
        let vector = self.load_vector(dtype, lanes, address);
        self.b.ins().jump(after, &[vector.into()]);
        self.b.switch_to_block(parts);
        let vector = self.load_lanes(access, fill);
        self.b.ins().jump(after, &[vector.into()]);
        self.b.switch_to_block(after);
        result
    }

    /// Whether all lanes pass guards that are affine in the column: the first and the last do.
    fn all_lanes(&mut self, access: &Access) -> Condition {
        let first = self.guards(access.guards, &access.at_lane(0));
        let last = self.guards(access.guards, &access.at_lane(access.lanes - 1));
        self.both(first, last)
    }

    /// The address, or that of the fill value where the condition fails.
    fn safe_address(&mut self, address: Address, condition: Condition, fill: Scalar) -> Address {
        let Condition::If(inside) = condition else { return address };
        let slot = self.fill_slot(fill);
        let outside = self.b.ins().stack_addr(types::I64, slot, 0);
        let wanted = self.add_constant(address.base, address.offset.into());
        Address { base: self.b.ins().select(inside, wanted, outside), offset: 0 }
    }

    fn load_vector(&mut self, dtype: DType, lanes: usize, address: Address) -> Value {
        let Address { base, offset } = address;
        if dtype != DType::Bool {
            return self.b.ins().load(value_type(dtype, lanes), plain(), base, offset);
        }
        // Bytes of 0 and 1 widen to lanes, and negation makes all ones of 1.
        let packed = match lanes {
            4 => self.b.ins().load(types::I32, plain(), base, offset),
            _ => self.b.ins().uload16(types::I32, plain(), base, offset),
        };
        let packed = self.b.ins().scalar_to_vector(types::I32X4, packed);
        let bytes = self.bitcast(types::I8X16, packed);
        let halves = self.b.ins().uwiden_low(bytes);
        let words = self.b.ins().uwiden_low(halves);
        let wide = if lanes == 4 { words } else { self.b.ins().uwiden_low(words) };
        self.b.ins().ineg(wide)
    }

    /// Stores one vector or element where its guards and the condition's lanes hold.
    pub(super) fn store(
        &mut self,
        access: &Access,
        dtype: DType,
        value: Value,
        condition: Option<Value>,
    ) {
        let shape = if condition.is_some() { Shape::Lanes } else { access.shape() };
        match (access.lanes, shape) {
            (1, _) | (_, Shape::Lanes) => self.store_lanes(access, dtype, value, condition),
            (_, Shape::Vector) => {
                let inside = self.guards(access.guards, &access.point);
                self.when(inside, &mut |e| e.store_vector(access, dtype, value));
            }
            (_, Shape::VectorInside) => self.store_inside(access, dtype, value),
        }
    }

    fn store_lanes(
        &mut self,
        access: &Access,
        dtype: DType,
        value: Value,
        condition: Option<Value>,
    ) {
        for lane in 0..access.lanes {
            let mut wanted = self.guards(access.guards, &access.at_lane(lane));
            if let Some(condition) = condition {
                let lane = self.lane(DType::Bool, access.lanes, condition, lane);
                wanted = self.both(wanted, Condition::If(lane));
            }
            self.when(wanted, &mut |e| {
                let element = e.lane(dtype, access.lanes, value, lane);
                let Address { base, offset } = e.address(access, lane);
                e.b.ins().store(plain(), element, base, offset);
            });
        }
    }

    /// A vector store where every lane passes its guards, else one store per lane that does.
    fn store_inside(&mut self, access: &Access, dtype: DType, value: Value) {
        match self.all_lanes(access) {
            Condition::Always => self.store_vector(access, dtype, value),
            Condition::Never => self.store_lanes(access, dtype, value, None),
            Condition::If(all) => {
                let [whole, parts, after] = [(); 3].map(|()| self.b.create_block());
                self.b.ins().brif(all, whole, &[], parts, &[]);
                self.b.switch_to_block(whole);
                self.store_vector(access, dtype, value);
                self.b.ins().jump(after, &[]);
                self.b.switch_to_block(parts);
                self.store_lanes(access, dtype, value, None);
                self.b.ins().jump(after, &[]);
                self.b.switch_to_block(after);
            }
        }
    }

    fn store_vector(&mut self, access: &Access, dtype: DType, value: Value) {
        if dtype == DType::Bool {
            let bits = self.pack_mask(value, access.lanes);
            let Address { base, offset } = self.address(access, 0);
            self.b.ins().store(plain(), bits, base, offset);
        } else {
            let Address { base, offset } = self.address(access, 0);
            self.b.ins().store(plain(), value, base, offset);
        }
    }

    /// A mask as consecutive bytes of 0 and 1.
    fn pack_mask(&mut self, mask: Value, lanes: usize) -> Value {
        let (words, packed) = match lanes {
            4 => (mask, types::I32),
            _ => (self.bitcast(types::I32X4, mask), types::I16),
        };
        let halves = self.b.ins().snarrow(words, words);
        let bytes = self.b.ins().snarrow(halves, halves);
        let wide = self.bitcast(types::I32X4, bytes);
        let low = self.b.ins().extractlane(wide, 0);
        if packed == types::I32 {
            return self.b.ins().band_imm_s(low, 0x0101_0101);
        }
        // Each mask of 64 bits became two equal bytes.
        let first = self.b.ins().band_imm_s(low, 1);
        let shifted = self.b.ins().ushr_imm_u(low, 8);
        let second = self.b.ins().band_imm_s(shifted, 0x100);
        let both = self.b.ins().bor(first, second);
        self.b.ins().ireduce(packed, both)
    }
}
