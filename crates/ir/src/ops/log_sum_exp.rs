//! `log_sum_exp`.

use super::exactly;
use crate::{Abs, Builder, Composite, Lt, ReduceKind, TypeError, Value, operator};

operator! {
    /// `ln Σ e^x` along axes, which vanish, as `m + ln Σ e^(x − m)`, `m` the maximum where that is
    /// finite and 0 elsewhere.
    ///
    /// (C1) `axes` ascends and stays below the rank.
    /// (C2) The operand is a float.
    ///
    /// Result: the operand's dtype without the dimensions `axes`; −∞ for nothing.
    /// Source: ONNX `ReduceLogSumExp`, opset 18.
    LogSumExp = "log_sum_exp" {
        /// The axes that vanish.
        axes: Vec<usize>,
    }
}

impl Composite for LogSumExp {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let maximum = b.reduce(x, ReduceKind::Max, &self.axes, false)?;
        let size = b.op1(Abs {}, &[maximum])?;
        let finite = b.map_scalar(Lt {}, size, f64::INFINITY)?;
        let zero = b.splat_like(maximum, 0.0);
        let shift = b.select(finite, maximum, zero)?;
        let spread = b.spread_like(shift, x, &self.axes)?;
        let shifted = b.sub(x, spread)?;
        let powers = b.exp(shifted)?;
        let total = b.reduce(powers, ReduceKind::Sum, &self.axes, false)?;
        let log = b.log(total)?;
        Ok(vec![b.add(shift, log)?])
    }
}
