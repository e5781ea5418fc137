//! Runs: checks what the caller gives, then walks the launches.

use std::sync::Arc;

use tracelift_tensor::Tensor;

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
        let sized = plan.inputs.iter().zip(&context.inputs).zip(inputs);
        for ((port, operand), bytes) in sized {
            operand.check_size("input", port, bytes.len())?;
        }
        let sized = plan.outputs.iter().zip(&context.outputs).zip(outputs.iter());
        for ((port, operand), bytes) in sized {
            operand.check_size("output", port, bytes.len())?;
        }
        for (operand, bytes) in context.inputs.iter_mut().zip(inputs) {
            operand.place_input(bytes);
        }
        for (operand, bytes) in context.outputs.iter_mut().zip(outputs.iter_mut()) {
            operand.place_output(bytes);
        }
        context.patch();
        context.walk(observe);
        for (operand, bytes) in context.outputs.iter().zip(outputs) {
            if !operand.fits(bytes) {
                bytes.copy_from_slice(&operand.staged);
            }
        }
        Ok(())
    }
}

impl Operand {
    #[inline]
    fn check_size(&self, what: &'static str, port: &Port, found: usize) -> Result<(), RunError> {
        let expected = self.size_bytes;
        if expected == found {
            return Ok(());
        }
        Err(RunError::Size { what, name: port.name.clone(), expected, found })
    }

    /// Whether kernels can use bytes where they are.
    #[inline]
    fn fits(&self, bytes: &[u8]) -> bool {
        // A remainder by a number known at run time would take as long as a small layer.
        bytes.as_ptr().addr() & (self.alignment - 1) == 0
    }

    #[inline]
    fn place_input(&mut self, bytes: &[u8]) {
        if self.fits(bytes) {
            // Kernels only read inputs.
            return self.move_to(bytes.as_ptr().cast_mut());
        }
        self.stage();
        self.staged.copy_from_slice(bytes);
    }

    #[inline]
    fn place_output(&mut self, bytes: &mut [u8]) {
        match self.fits(bytes) {
            true => self.move_to(bytes.as_mut_ptr()),
            false => self.stage(),
        }
    }

    /// Moves the operand to aligned memory of its own.
    fn stage(&mut self) {
        if self.staged.len() != self.size_bytes {
            self.staged = AlignedBytes::zeroed(self.size_bytes);
        }
        let address = self.staged.address();
        self.move_to(address);
    }

    #[inline]
    fn move_to(&mut self, address: *mut u8) {
        self.has_moved = self.address.0 != address;
        self.address = Address(address);
    }
}

fn check_count(what: &'static str, expected: usize, found: usize) -> Result<(), RunError> {
    if expected == found { Ok(()) } else { Err(RunError::Count { what, expected, found }) }
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
