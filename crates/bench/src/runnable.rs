//! A compiled graph with its memory in place.

use std::sync::Arc;

use tracelift::{
    Compiled, Error, Model, Options, Specialised,
    ir::Graph,
    loops::{Cost, cost},
    runtime::{AlignedBytes, Context, Port},
    tensor::Tensor,
};

/// A program, its context, inputs and outputs; a run allocates nothing.
pub struct Runnable {
    program: Arc<Specialised>,
    context: Context,
    inputs: Vec<AlignedBytes>,
    outputs: Vec<AlignedBytes>,
}

impl Runnable {
    /// Compiles a graph without symbols; its inputs hold numbers from −1 to 1, or what `inputs`
    /// says.
    ///
    /// # Errors
    /// When a stage fails.
    pub fn new(graph: Graph, options: &Options) -> Result<Runnable, Error> {
        let inputs = graph.inputs().map(|value| {
            let ty = graph.ty(value);
            let shape = ty.shape.as_consts().expect("the graph has no symbols");
            spread(&shape)
        });
        let inputs: Vec<Tensor> = inputs.collect();
        let options = Options { keep_kernels: true, ..options.clone() };
        Runnable::with_inputs(
            &Model::from_graph(graph).compile(&options)?,
            &inputs,
            options.threads,
        )
    }

    /// A compiled model with its inputs; counting work takes one that kept its kernels.
    ///
    /// # Errors
    /// When the inputs do not fit.
    pub fn with_inputs(
        compiled: &Compiled,
        inputs: &[Tensor],
        n_threads: usize,
    ) -> Result<Runnable, Error> {
        let program = compiled.for_inputs(inputs)?;
        let sizes = program.program().plan().outputs.iter().map(Port::size_bytes);
        let aligned = |tensor: &Tensor| {
            let mut bytes = AlignedBytes::zeroed(tensor.bytes().len());
            bytes.copy_from_slice(tensor.bytes());
            bytes
        };
        Ok(Runnable {
            context: program.context(n_threads),
            inputs: inputs.iter().map(aligned).collect(),
            outputs: sizes.map(AlignedBytes::zeroed).collect(),
            program,
        })
    }

    /// The same program and inputs in memory of their own.
    ///
    /// Caches of physical addresses hold some pages side by side and not others, which decides on
    /// up to a third of the time of a kernel whose operands nearly fill one.
    pub fn elsewhere(&self) -> Runnable {
        Runnable {
            program: Arc::clone(&self.program),
            context: self.program.program().context(self.context.n_threads()),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        }
    }

    /// Runs once.
    ///
    /// # Errors
    /// When the run is refused.
    pub fn run(&mut self) -> Result<(), Error> {
        let program = self.program.program();
        // Networks of one input and one output need no list of them.
        if let ([input], [output]) = (&self.inputs[..], &mut self.outputs[..]) {
            return Ok(program.run(&mut self.context, &[&input[..]], &mut [&mut output[..]])?);
        }
        let inputs: Vec<&[u8]> = self.inputs.iter().map(|bytes| &bytes[..]).collect();
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(|b| &mut b[..]).collect();
        Ok(program.run(&mut self.context, &inputs, &mut outputs)?)
    }

    /// Runs once and gives the nanoseconds of the launches that compute something; those that only
    /// move data, such as reorders at the edges of a single kernel, do not count.
    ///
    /// # Errors
    /// When the run is refused.
    pub fn run_kernels(&mut self) -> Result<u64, Error> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(|bytes| &bytes[..]).collect();
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(|b| &mut b[..]).collect();
        let program = self.program.program();
        let times = program.run_profiled(&mut self.context, &inputs, &mut outputs)?;
        let launches = program.plan().launches.iter().zip(times);
        let kernels = &self.program.report().kernels;
        Ok(launches.filter(|(l, _)| computes(&kernels[l.kernel])).map(|(_, nanos)| nanos).sum())
    }

    /// The work of all launches that compute something.
    pub fn cost(&self) -> Cost {
        let mut sum = Cost::default();
        for launch in &self.program.program().plan().launches {
            let kernel = &self.program.report().kernels[launch.kernel];
            if computes(kernel) {
                let cost = cost(kernel);
                sum.flops += cost.flops;
                sum.read_bytes += cost.read_bytes;
                sum.written_bytes += cost.written_bytes;
            }
        }
        sum
    }

    /// The outputs of the last run.
    pub fn outputs(&self) -> &[AlignedBytes] {
        &self.outputs
    }
}

fn computes(kernel: &tracelift::loops::Kernel) -> bool {
    let mut found = false;
    kernel.for_each_tile(&mut |tile| {
        let is_work = |inst: &tracelift::loops::Inst| {
            matches!(
                inst,
                tracelift::loops::Inst::Apply(..) | tracelift::loops::Inst::FoldColumns(..)
            )
        };
        found |= tile.insts.iter().any(is_work);
    });
    found
}

/// Numbers from −1 to 1 that look random and are always the same.
pub fn spread(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |k: usize| {
        let bits = (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        bits as f32 / (1u32 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..n).map(value).collect();
    Tensor::new(shape, &values)
}
