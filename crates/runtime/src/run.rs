//! Runs: checks what the caller gives, then walks the launches.

use std::sync::Arc;

use tracelift_tensor::{DType, Tensor};

use crate::{
    Context, Port, Program, RunError,
    context::Operand,
    machine::{Address, AlignedBytes},
};

impl Program {
    /// Computes the outputs from the inputs, both little-endian and row-major.
    ///
    /// Bytes that are not aligned to their dtype are copied. A bool is one byte, 0 or 1.
    ///
    /// # Errors
    /// When the number or size of inputs or outputs is wrong, or the context is not this program's.
    pub fn run(
        &self,
        context: &mut Context,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<(), RunError> {
        self.run_observed(context, inputs, outputs, None)
    }

    /// Runs and gives the time of each launch in nanoseconds.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_profiled(
        &self,
        context: &mut Context,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<Vec<u64>, RunError> {
        let mut times = vec![0; self.plan().launches.len()];
        self.run_observed(context, inputs, outputs, Some(&mut times))?;
        Ok(times)
    }

    /// Runs on tensors and gives new ones.
    ///
    /// # Errors
    /// When the number, dtype or shape of inputs is wrong, or the context is not this program's.
    pub fn run_tensors(
        &self,
        context: &mut Context,
        inputs: &[Tensor],
    ) -> Result<Vec<Tensor>, RunError> {
        let plan = self.plan();
        check_count("inputs", plan.inputs.len(), inputs.len())?;
        for (port, tensor) in plan.inputs.iter().zip(inputs) {
            check_type(port, tensor)?;
        }
        let bytes: Vec<&[u8]> = inputs.iter().map(|t| &t.bytes()[..]).collect();
        let sizes = plan.outputs.iter().map(Port::size_bytes);
        let mut results: Vec<AlignedBytes> = sizes.map(AlignedBytes::zeroed).collect();
        let mut views: Vec<&mut [u8]> = results.iter_mut().map(|r| &mut r[..]).collect();
        self.run(context, &bytes, &mut views)?;
        let tensors = plan.outputs.iter().zip(results).map(|(port, bytes)| {
            Tensor::from_bytes(port.dtype, &port.shape, bytes.into_bytes())
                .expect("an output has the size of its port")
        });
        Ok(tensors.collect())
    }

    fn run_observed(
        &self,
        context: &mut Context,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        observe: Option<&mut [u64]>,
    ) -> Result<(), RunError> {
        if !Arc::ptr_eq(&self.code, &context.code) {
            return Err(RunError::ForeignContext);
        }
        let plan = self.plan();
        check_count("inputs", plan.inputs.len(), inputs.len())?;
        check_count("outputs", plan.outputs.len(), outputs.len())?;
        for (port, bytes) in plan.inputs.iter().zip(inputs) {
            check_size("input", port, bytes.len())?;
        }
        for (port, bytes) in plan.outputs.iter().zip(outputs.iter()) {
            check_size("output", port, bytes.len())?;
        }
        for ((port, operand), bytes) in plan.inputs.iter().zip(&mut context.inputs).zip(inputs) {
            operand.place_input(port.dtype, bytes);
        }
        for ((port, operand), bytes) in
            plan.outputs.iter().zip(&mut context.outputs).zip(outputs.iter_mut())
        {
            operand.place_output(port.dtype, bytes);
        }
        context.patch();
        context.walk(observe);
        for ((port, operand), bytes) in plan.outputs.iter().zip(&context.outputs).zip(outputs) {
            if !is_aligned(port.dtype, bytes) {
                bytes.copy_from_slice(&operand.staged);
            }
        }
        Ok(())
    }
}

fn is_aligned(dtype: DType, bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(dtype.size_bytes())
}

impl Operand {
    fn place_input(&mut self, dtype: DType, bytes: &[u8]) {
        // Kernels only read inputs.
        self.address = Address(bytes.as_ptr().cast_mut());
        if !is_aligned(dtype, bytes) {
            self.stage(bytes.len());
            self.staged.copy_from_slice(bytes);
        }
    }

    fn place_output(&mut self, dtype: DType, bytes: &mut [u8]) {
        self.address = Address(bytes.as_mut_ptr());
        if !is_aligned(dtype, bytes) {
            self.stage(bytes.len());
        }
    }

    /// Moves the operand to aligned memory.
    fn stage(&mut self, len: usize) {
        if self.staged.len() != len {
            self.staged = AlignedBytes::zeroed(len);
        }
        self.address = Address(self.staged.address());
    }
}

fn check_count(what: &'static str, expected: usize, found: usize) -> Result<(), RunError> {
    if expected == found { Ok(()) } else { Err(RunError::Count { what, expected, found }) }
}

fn check_size(what: &'static str, port: &Port, found: usize) -> Result<(), RunError> {
    let expected = port.size_bytes();
    if expected == found {
        return Ok(());
    }
    Err(RunError::Size { what, name: port.name.clone(), expected, found })
}

fn check_type(port: &Port, tensor: &Tensor) -> Result<(), RunError> {
    if port.dtype == tensor.dtype() && port.shape == tensor.shape() {
        return Ok(());
    }
    Err(RunError::Type {
        name: port.name.clone(),
        expected: port.dtype,
        expected_shape: port.shape.clone(),
        found: tensor.dtype(),
        found_shape: tensor.shape().to_vec(),
    })
}
