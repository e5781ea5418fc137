//! Runs a lowered graph by the interpreter of the kernel language.

use tracelift_loops::interpret;
use tracelift_tensor::{Bytes, Tensor};

use super::{Lowered, StorageKind};

impl Lowered {
    /// The outputs for the given inputs, every kernel interpreted: the reference for code
    /// generation, and the test of lowering without it.
    ///
    /// # Panics
    /// When the inputs do not have the types of [`Lowered::inputs`].
    pub fn interpret(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        assert_eq!(inputs.len(), self.inputs.len(), "one tensor per input");
        let mut memory: Vec<Vec<u8>> = self
            .storages
            .iter()
            .map(|storage| match &storage.kind {
                StorageKind::Input(k) => {
                    assert_eq!(inputs[*k].shape(), self.inputs[*k].shape, "inputs fit");
                    inputs[*k].bytes().to_vec()
                }
                StorageKind::Constant(recipe) => recipe.make().bytes().to_vec(),
                StorageKind::Output(_) | StorageKind::Temporary => vec![0xA5; storage.size_bytes()],
            })
            .collect();
        for step in &self.steps {
            let mut buffers: Vec<Vec<u8>> =
                step.operands.iter().map(|&id| std::mem::take(&mut memory[id])).collect();
            interpret(&self.kernels[step.kernel], &mut buffers);
            for (&id, buffer) in step.operands.iter().zip(buffers) {
                memory[id] = buffer;
            }
        }
        let output = |k: usize| self.storages.iter().position(|s| s.kind == StorageKind::Output(k));
        self.outputs
            .iter()
            .enumerate()
            .map(|(k, port)| {
                let bytes = match output(k) {
                    Some(id) => std::mem::take(&mut memory[id]),
                    None => unreachable!("every output has a storage"),
                };
                Tensor::from_bytes(port.dtype, &port.shape, Bytes::from(bytes))
                    .expect("a storage has the size of its output")
            })
            .collect()
    }
}
