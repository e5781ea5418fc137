//! Parameters: tensors that belong to a model, filled when first needed or from a state dict.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicU64, Ordering},
};

use tracelift_tensor::{DType, Scalar, Tensor, checked_count};

use super::random::Stream;
use crate::{Fault, MistakeKind};

/// Tells parameters apart.
pub(crate) type ParameterId = u64;

/// How a parameter starts.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Init {
    /// Every element is this number.
    Constant(f64),
    /// Uniform over `−bound..bound`.
    Uniform(f64),
    /// The normal distribution with mean 0 and variance 1; the row of that number, if any, is 0.
    Normal {
        /// The row of zeros.
        zero_row: Option<usize>,
    },
}

impl Init {
    /// PyTorch's `kaiming_uniform_` with `a = √5`: uniform within `1/√fan_in`.
    pub fn fan_in(fan_in: usize) -> Init {
        match fan_in {
            0 => Init::Constant(0.0),
            _ => Init::Uniform(1.0 / (fan_in as f64).sqrt()),
        }
    }

    /// PyTorch's `xavier_uniform_`: uniform within `√(6 / (fan_in + fan_out))`.
    pub fn xavier(fan_in: usize, fan_out: usize) -> Init {
        Init::Uniform((6.0 / (fan_in + fan_out).max(1) as f64).sqrt())
    }

    fn element(self, stream: Stream, position: usize, row_length: usize) -> f64 {
        match self {
            Init::Constant(x) => x,
            Init::Uniform(bound) => bound * (2.0 * stream.unit(position as u64) - 1.0),
            Init::Normal { zero_row } if zero_row == Some(position / row_length.max(1)) => 0.0,
            Init::Normal { .. } => stream.normal(position as u64),
        }
    }
}

#[derive(Debug)]
struct Contents {
    id: ParameterId,
    dtype: DType,
    shape: Vec<usize>,
    init: Init,
    stream: Stream,
    optional: bool,
    value: RwLock<Option<Tensor>>,
}

/// A parameter or buffer of a module; clones share the elements.
#[derive(Clone, Debug)]
pub struct Parameter(Arc<Contents>);

impl Parameter {
    /// An `f32` parameter.
    pub fn new(shape: &[usize], init: Init) -> Parameter {
        Parameter::build(DType::F32, shape, init, Stream::next(), false)
    }

    /// A count that a state dict may lack, as those of old versions of PyTorch do.
    pub(crate) fn counter() -> Parameter {
        Parameter::build(DType::I64, &[], Init::Constant(0.0), Stream::next(), true)
    }

    /// A parameter with the same sequence of numbers but another shape and distribution.
    pub(crate) fn rebuilt(&self, shape: &[usize], init: Init) -> Parameter {
        Parameter::build(self.0.dtype, shape, init, self.0.stream, self.0.optional)
    }

    fn build(
        dtype: DType,
        shape: &[usize],
        init: Init,
        stream: Stream,
        optional: bool,
    ) -> Parameter {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let value = RwLock::new(None);
        let shape = shape.to_vec();
        Parameter(Arc::new(Contents { id, dtype, shape, init, stream, optional, value }))
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The elements; those it starts with are made here when none were set.
    ///
    /// # Panics
    /// When the parameter has more elements than memory can hold.
    pub fn tensor(&self) -> Tensor {
        let contents = &self.0;
        if let Some(tensor) = contents.value.read().expect(LOCK).as_ref() {
            return tensor.clone();
        }
        let mut value = contents.value.write().expect(LOCK);
        value.get_or_insert_with(|| contents.initial()).clone()
    }

    /// Replaces the elements.
    ///
    /// # Errors
    /// When the dtype or the shape differs; the message says how.
    pub fn set(&self, tensor: Tensor) -> Result<(), String> {
        self.fits(&tensor)?;
        *self.0.value.write().expect(LOCK) = Some(tensor);
        Ok(())
    }

    /// Whether a tensor has the dtype and the shape; the message says how it differs.
    pub(crate) fn fits(&self, tensor: &Tensor) -> Result<(), String> {
        if tensor.dtype() == self.0.dtype && tensor.shape() == self.0.shape {
            return Ok(());
        }
        let found = format!("{}{:?}", tensor.dtype(), tensor.shape());
        Err(format!("found {found}, expected {}", self.describe()))
    }

    /// The type, as in `f32[128, 2304]`.
    pub(crate) fn describe(&self) -> String {
        format!("{}{:?}", self.0.dtype, self.0.shape)
    }

    pub(crate) fn id(&self) -> ParameterId {
        self.0.id
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.0.optional
    }

    /// Refuses a shape with more bytes than can be addressed.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let bytes = checked_count(&self.0.shape).and_then(|n| n.checked_mul(8));
        if bytes.is_some_and(|n| isize::try_from(n).is_ok()) {
            return Ok(());
        }
        let message = format!("a parameter {} does not fit into memory", self.describe());
        Err(Fault::new(MistakeKind::Setting, message))
    }
}

const LOCK: &str = "no holder of a parameter's lock panics";

impl Contents {
    fn initial(&self) -> Tensor {
        let row_length = self.shape.iter().skip(1).product();
        let mut position = 0;
        Tensor::from_fn(self.dtype, &self.shape, |_| {
            let x = self.init.element(self.stream, position, row_length);
            position += 1;
            Scalar::from_f64(self.dtype, x)
        })
    }
}
