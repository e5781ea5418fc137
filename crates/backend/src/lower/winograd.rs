//! Convolutions with 3 × 3 taps by Winograd's algorithm, where it pays and is accurate enough.
//!
//! `Y = Aᵀ [Σ_c U_c ⊙ (B X_c Bᵀ)] A` for every tile of outputs, `U = G g Gᵀ`: fewer multiplications
//! than the direct form by 2.25 (2 × 2 outputs) or 4 (4 × 4 outputs), at the price of transforms and
//! larger filters. One kernel does it all for a block of tiles, whose transformed inputs and
//! products stay in the second-level cache.
//!
//! In: a fold that is such a convolution, channels last.  Out: its kernel, or why not.
//! Not here: other convolutions (`contract`).

mod algorithm;
mod blocks;
mod error;
mod filters;
mod kernel;
mod passes;
mod plan;
#[cfg(test)]
mod tests;
mod transform;
mod weights;

use std::sync::Arc;

use tracelift_ir::{Provenance, Value};
use tracelift_scalar::IndexExpr;
use tracelift_tensor::DType;

use crate::recipe::{Pack, Recipe, Transform};

use super::{
    KernelBuilder, Lowering, StorageId, StorageKind,
    fold::{FoldOutputs, FoldRead, FoldSpace},
};
use algorithm::TAPS;
use blocks::Line;
use plan::Plan;
use weights::Filters;

/// The fewest channels on either side: below, transforms cost more than they save.
const MIN_CHANNELS: usize = 16;

/// A convolution with 3 × 3 taps, stride 1, one group, channels last.
pub(super) struct Layer {
    /// The storage of the image.
    image: StorageId,
    /// The position of the element at coordinate 0 of every axis.
    base: i64,
    /// Axes of the result that only the image has besides rows and columns, and their distances.
    batch: Vec<(usize, i64)>,
    /// The distances between rows and between columns of the image.
    distances: [i64; 2],
    /// Rows and columns.
    lines: [Line; 2],
    /// The result's axes for rows and columns; its last axis is the output channel.
    axes: [usize; 2],
    /// The storage of the filters.
    weights: StorageId,
    filters: Filters,
    n_result: usize,
}

impl Lowering<'_> {
    /// The kernel of a fold that is better done by Winograd's algorithm, and words about the choice
    /// where there was one.
    pub(super) fn winograd(
        &mut self,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
        provenance: &Provenance,
    ) -> (Option<KernelBuilder>, Option<String>) {
        let Some(layer) = self.winograd_layer(space) else { return (None, None) };
        if self.options.winograd_budget <= 0.0 {
            return (None, Some("direct: Winograd is off".into()));
        }
        let StorageKind::Constant(Recipe::Stored(source)) = &self.out.storages[layer.weights].kind
        else {
            return (None, Some("direct: the weights are not constant".into()));
        };
        let source = source.clone();
        let registers = self.registers(DType::F32);
        let (plan, words) = Plan::choose(
            &layer,
            &space.extents,
            source.bytes(),
            registers,
            &self.target,
            &self.options,
        );
        let Some(plan) = plan else { return (None, Some(words)) };
        let packed = match plan.transforms_at_run {
            true => self.winograd_filters(&layer, &plan, provenance),
            false => self.winograd_weights(&layer, &plan),
        };
        let kernel = kernel::build(self, &layer, &plan, packed, space, outputs);
        (Some(kernel), Some(words))
    }

    /// The transformed filters, made after lowering.
    fn winograd_weights(&mut self, layer: &Layer, plan: &Plan) -> StorageId {
        let (filters, algorithm, panel) = (layer.filters.clone(), plan.algorithm, plan.panel);
        let transform = Transform {
            key: format!("winograd {algorithm:?} {panel} {filters:?}"),
            dtype: DType::F32,
            len: filters::transformed_bytes(&filters, algorithm) / 4,
            function: Arc::new(move |from, to| filters.pack(from, algorithm, panel, to)),
        };
        self.packed_constant(layer.weights, Pack::Computed(transform), "winograd")
            .expect("the weights are constant")
    }

    /// The filters that a kernel of their own transforms in every run.
    fn winograd_filters(
        &mut self,
        layer: &Layer,
        plan: &Plan,
        provenance: &Provenance,
    ) -> StorageId {
        let pack = filters::pack_taps(&layer.filters, plan.panel);
        let taps =
            self.packed_constant(layer.weights, pack, "taps").expect("the weights are constant");
        let len = filters::transformed_bytes(&layer.filters, plan.algorithm) / 4;
        let name = format!("{}.winograd", self.out.storages[layer.weights].name);
        let transformed = self.temporary(DType::F32, len, &name);
        let kernel = filters::build(self, &layer.filters, plan, taps, transformed);
        self.add_step(kernel, provenance);
        transformed
    }

    /// Recognises the convolution from the fold's structure.
    fn winograd_layer(&mut self, space: &FoldSpace) -> Option<Layer> {
        let identity = (0..space.n_result).all(|a| space.index[a] == IndexExpr::axis(a));
        if !space.is_product() || space.term.dtype() != DType::F32 || !identity {
            return None;
        }
        if space.extents.contains(&0) || space.n_result < 3 {
            return None;
        }
        let output = space.n_result - 1;
        let [FoldRead::Value(x, x_index), FoldRead::Value(w, w_index)] = space.reads.as_slice()
        else {
            return None;
        };
        let weights = self.resolve(*w, w_index.clone(), &space.extents)?;
        let windows = Windows::of(space, x_index)?;
        let [rows, columns] = windows.0;
        let channel = (space.n_result..space.extents.len())
            .find(|&a| a != rows.tap && a != columns.tap && space.extents[a] > 1)?;
        let w_stride = |a: usize| weights.position.stride_of(a);
        let strides =
            [w_stride(rows.tap)?, w_stride(columns.tap)?, w_stride(channel)?, w_stride(output)?];
        let batch: Vec<usize> =
            (0..output).filter(|&a| a != rows.result && a != columns.result).collect();
        let others = (space.n_result..space.extents.len())
            .all(|a| [rows.tap, columns.tap, channel].contains(&a) || space.extents[a] == 1);
        if !others || (0..output).any(|a| weights.position.mentions(a)) {
            return None;
        }
        let image = self.image(space, *x, x_index, &[rows, columns], channel, &batch)?;
        let filters = Filters {
            base: weights.position.constant,
            strides,
            n_in: space.extents[channel],
            n_out: space.extents[output],
        };
        let few = filters.n_in < MIN_CHANNELS || filters.n_out < MIN_CHANNELS;
        let line = |w: &WindowAxis| Line {
            n_inputs: w.n_inputs,
            n_outputs: space.extents[w.result],
            pad: w.pad,
        };
        let layer = Layer {
            image: image.storage,
            base: image.base,
            batch: batch.into_iter().zip(image.batch).collect(),
            distances: image.distances,
            lines: [line(&rows), line(&columns)],
            axes: [rows.result, columns.result],
            weights: weights.storage,
            filters,
            n_result: space.n_result,
        };
        (!few).then_some(layer)
    }

    /// How the image lies in memory; its channels must be contiguous.
    fn image(
        &mut self,
        space: &FoldSpace,
        x: Value,
        index: &[IndexExpr],
        windows: &[WindowAxis; 2],
        channel: usize,
        batch: &[usize],
    ) -> Option<Image> {
        // Coordinates of rows and columns become axes of their own: the taps' axes serve as these.
        let mut extents = space.extents.clone();
        let mut at = index.to_vec();
        for window in windows {
            extents[window.tap] = window.n_inputs;
            at[window.dim] = IndexExpr::axis(window.tap);
        }
        let read = self.resolve(x, at, &extents)?;
        let stride = |a: usize| read.position.stride_of(a);
        let allowed =
            |a: usize| windows.iter().any(|w| w.tap == a) || a == channel || batch.contains(&a);
        let affine = (0..extents.len())
            .all(|a| if allowed(a) { stride(a).is_some() } else { !read.position.mentions(a) });
        if !affine || stride(channel) != Some(1) {
            return None;
        }
        Some(Image {
            storage: read.storage,
            base: read.position.constant,
            batch: batch.iter().map(|&a| stride(a)).collect::<Option<_>>()?,
            distances: [stride(windows[0].tap)?, stride(windows[1].tap)?],
        })
    }
}

struct Image {
    storage: StorageId,
    base: i64,
    batch: Vec<i64>,
    distances: [i64; 2],
}

/// A coordinate of the image that is an axis of the result plus a tap.
#[derive(Clone, Copy)]
struct WindowAxis {
    /// The image's dimension.
    dim: usize,
    /// The axis of the result.
    result: usize,
    /// The axis of the taps.
    tap: usize,
    /// The inputs missing before the first.
    pad: i64,
    n_inputs: usize,
}

struct Windows([WindowAxis; 2]);

impl Windows {
    /// The two windows of an image's index, whose guards, where they have any, keep them inside.
    fn of(space: &FoldSpace, index: &[IndexExpr]) -> Option<Windows> {
        let mut found = Vec::new();
        for (dim, e) in index.iter().enumerate() {
            let axes: Vec<usize> = (0..space.extents.len()).filter(|&a| e.mentions(a)).collect();
            let [result, tap] = axes[..] else { continue };
            let taken = |w: &WindowAxis| w.tap == tap || w.result == result;
            let is_window = result < space.n_result - 1
                && tap >= space.n_result
                && space.extents[tap] == TAPS
                && *e == IndexExpr::axis(result).add(&IndexExpr::axis(tap)).offset(e.constant);
            if !is_window || found.iter().any(taken) {
                return None;
            }
            let guard = space.guards.iter().find(|g| g.expr == *e);
            // Without a guard every window lies inside.
            let n_inputs = match guard {
                Some(guard) => guard.extent,
                None => e.bounds(&space.extents).1 + 1,
            };
            let n_inputs = usize::try_from(n_inputs).ok()?;
            found.push(WindowAxis { dim, result, tap, pad: -e.constant, n_inputs });
        }
        let guarded = |w: &WindowAxis| space.guards.iter().any(|g| g.expr == index[w.dim]);
        let all = found.iter().filter(|w| guarded(w)).count() == space.guards.len();
        match found[..] {
            [rows, columns] if all => Some(Windows([rows, columns])),
            _ => None,
        }
    }
}
