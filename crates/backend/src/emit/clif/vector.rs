//! Types, constants and lanes of values.
//!
//! A bool is an `i8` of 0 or 1 where it stands alone, and a lane mask of all zeros or all ones, as
//! wide as the other values of its tile, in a vector.

use cranelift_codegen::ir::{
    ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, condcodes::IntCC, types,
};
use tracelift_tensor::{DType, Scalar};

use super::Emitter;

/// The type of one element.
pub(super) fn scalar_type(dtype: DType) -> Type {
    match dtype {
        DType::Bool | DType::U8 | DType::I8 => types::I8,
        DType::U16 | DType::I16 => types::I16,
        DType::U32 | DType::I32 => types::I32,
        DType::U64 | DType::I64 => types::I64,
        DType::F32 => types::F32,
        DType::F64 => types::F64,
    }
}

/// The type of a mask of 2 or 4 lanes.
fn mask_type(lanes: usize) -> Type {
    if lanes == 4 { types::I32X4 } else { types::I64X2 }
}

/// The type of a value of 1, 2 or 4 lanes.
pub(super) fn value_type(dtype: DType, lanes: usize) -> Type {
    match (dtype, lanes) {
        (_, 1) => scalar_type(dtype),
        (DType::Bool, _) => mask_type(lanes),
        _ => scalar_type(dtype).by(lanes as u32).expect("a vector has 128 bits"),
    }
}

impl Emitter<'_, '_> {
    /// Reinterprets a value's bits.
    pub(super) fn bitcast(&mut self, ty: Type, x: Value) -> Value {
        if self.b.func.dfg.value_type(x) == ty {
            return x;
        }
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.b.ins().bitcast(ty, flags, x)
    }

    /// A literal in every lane.
    pub(super) fn constant(&mut self, scalar: Scalar, lanes: usize) -> Value {
        let (dtype, bits) = (scalar.dtype(), scalar.to_bits());
        if lanes > 1 {
            let size = 16 / lanes;
            let bits = if dtype == DType::Bool { bits.wrapping_neg() } else { bits };
            let bytes = bits.to_le_bytes()[..size].repeat(lanes);
            let handle = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
            return self.b.ins().vconst(value_type(dtype, lanes), handle);
        }
        match dtype {
            DType::F32 => self.b.ins().f32const(f32::from_bits(bits as u32)),
            DType::F64 => self.b.ins().f64const(f64::from_bits(bits)),
            _ => self.b.ins().iconst(scalar_type(dtype), bits as i64),
        }
    }

    /// One element in every lane.
    pub(super) fn splat(&mut self, dtype: DType, lanes: usize, x: Value) -> Value {
        if lanes == 1 {
            return x;
        }
        let ty = value_type(dtype, lanes);
        let x = if dtype == DType::Bool { self.mask_lane(x, lanes) } else { x };
        self.b.ins().splat(ty, x)
    }

    /// A bool as one lane of a mask.
    fn mask_lane(&mut self, x: Value, lanes: usize) -> Value {
        let wide = self.b.ins().uextend(mask_type(lanes).lane_type(), x);
        self.b.ins().ineg(wide)
    }

    /// The element in one lane.
    pub(super) fn lane(&mut self, dtype: DType, lanes: usize, x: Value, lane: usize) -> Value {
        if lanes == 1 {
            return x;
        }
        let element = self.b.ins().extractlane(x, lane as u8);
        if dtype == DType::Bool {
            self.b.ins().icmp_imm_s(IntCC::NotEqual, element, 0)
        } else {
            element
        }
    }

    /// A vector of elements.
    pub(super) fn join_lanes(&mut self, dtype: DType, elements: &[Value]) -> Value {
        let lanes = elements.len();
        if lanes == 1 {
            return elements[0];
        }
        let ty = value_type(dtype, lanes);
        let mut vector = None;
        for (lane, &element) in elements.iter().enumerate() {
            let element =
                if dtype == DType::Bool { self.mask_lane(element, lanes) } else { element };
            vector = Some(match vector {
                None => self.b.ins().scalar_to_vector(ty, element),
                Some(vector) => self.b.ins().insertlane(vector, element, lane as u8),
            });
        }
        vector.expect("a vector has lanes")
    }
}
