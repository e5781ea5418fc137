//! `floor_mod`.

use super::exactly;
use crate::{Builder, Composite, Lt, Ne, TypeError, Value, operator, require};

operator! {
    /// The remainder of flooring division: `x − y·⌊x / y⌋`, with the sign of `y`.
    ///
    /// (C1) Both are numbers of one dtype.
    /// (C2) The operands have equal shapes.
    ///
    /// Result: the operands' type. An integer remainder by 0 is 0; a float result of zero has the sign
    /// of `x`.
    /// Source: ONNX `Mod`, opset 13, with `fmod = 0`; `numpy.mod`.
    FloorMod = "floor_mod" {}
}

impl Composite for FloorMod {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x, y] = *exactly(operands)?;
        require!(b.ty(x) == b.ty(y), "C2: {} beside {}", b.ty(x), b.ty(y));
        let rest = b.rem(x, y)?;
        let below = b.map_scalar(Lt {}, rest, 0.0)?;
        let divisor_below = b.map_scalar(Lt {}, y, 0.0)?;
        let signs_differ = b.xor(below, divisor_below)?;
        let left = b.map_scalar(Ne {}, rest, 0.0)?;
        let moves = b.and(signs_differ, left)?;
        let moved = b.add(rest, y)?;
        Ok(vec![b.select(moves, moved, rest)?])
    }
}
