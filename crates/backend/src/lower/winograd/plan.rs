//! Which algorithm a layer gets, and how its tiles are blocked.

use tracelift_tensor::{DType, Target};

use super::{
    Layer,
    algorithm::{Algorithm, TAPS},
    blocks::Line,
    error,
    filters::transformed_bytes,
    weights::{Filters, amplification},
};
use crate::lower::{
    LowerOptions, Registers,
    register_tile::{most_rows, panel_columns},
};

/// Cycles to move a vector between registers and near memory, on average.
const MOVE_CYCLES: f64 = 1.5;
/// The bytes of filters that arrive from memory in a cycle.
const BYTES_PER_CYCLE: f64 = 8.0;
/// The bytes of transformed filters that are written to memory in a cycle.
const BYTES_WRITTEN_PER_CYCLE: f64 = 4.0;
/// The fewest tasks worth having; never a matter of how many threads there are.
const MIN_TASKS: usize = 8;
/// The fewest output channels a task computes where these are dealt out: each task transforms all
/// of the input.
const MIN_TASK_CHANNELS: usize = 128;

/// How a layer is computed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) algorithm: Algorithm,
    /// Whether every run transforms the filters, so that the program only keeps the weights.
    pub(super) transforms_at_run: bool,
    /// The blocks of tiles along rows and columns of the image.
    pub(super) n_blocks: [usize; 2],
    /// The most tiles of a block.
    pub(super) n_tiles: usize,
    /// The columns of a register tile, which are those of a panel of filters.
    pub(super) panel: usize,
    /// The most rows of a register tile.
    pub(super) tile_rows: usize,
    /// How many tasks share the panels of a block.
    pub(super) n_groups: usize,
}

impl Plan {
    /// The cheapest way within the error budget, and words about it.
    pub(super) fn choose(
        layer: &Layer,
        extents: &[usize],
        weights: &[u8],
        registers: Registers,
        target: &Target,
        options: &LowerOptions,
    ) -> (Option<Plan>, String) {
        let budget = options.winograd_budget;
        let n_batch: usize = layer.batch.iter().map(|(a, _)| extents[*a]).product();
        let direct = direct_cycles(layer, n_batch, registers);
        let (mut words, mut energies) = (Vec::new(), None);
        let mut best: Option<(f64, Plan, f64)> = None;
        for algorithm in [Algorithm::F2, Algorithm::F4] {
            let plan = Plan::new(algorithm, layer, n_batch, registers, target, options);
            let cycles = plan.cycles(layer, n_batch, registers);
            let name = algorithm.name();
            if cycles >= direct {
                words.push(format!("{name} would be slower"));
                continue;
            }
            let energies = energies.get_or_insert_with(|| layer.filters.energies(weights));
            let amplification = amplification(energies, algorithm);
            let bound = error::estimate(
                algorithm,
                plan.transforms_at_run,
                amplification,
                layer.filters.n_in,
            );
            if bound > budget {
                words.push(format!("{name} has bound {bound:.1e}, above {budget:.1e}"));
            } else if best.as_ref().is_none_or(|(least, ..)| cycles < *least) {
                best = Some((cycles, plan, bound));
            }
        }
        match best {
            Some((_, plan, bound)) => {
                let filters = match plan.transforms_at_run {
                    true => " with filters transformed in every run",
                    false => "",
                };
                let words =
                    format!("winograd {}{filters}, bound {bound:.1e}", plan.algorithm.name());
                (Some(plan), words)
            }
            None => (None, format!("direct: {}", words.join("; "))),
        }
    }

    fn new(
        algorithm: Algorithm,
        layer: &Layer,
        n_batch: usize,
        registers: Registers,
        target: &Target,
        options: &LowerOptions,
    ) -> Plan {
        let Filters { n_in, n_out, .. } = layer.filters;
        let lanes = registers.lanes(DType::F32);
        let panel = panel_columns(registers, lanes, n_out);
        let tile_rows = most_rows(registers, panel.div_ceil(lanes));
        let n_products = algorithm.n_products().pow(2);
        // Transformed inputs fill half of the cache at most, products of a panel a quarter.
        let most = (target.l2_bytes * 5 / 8 / (4 * n_products * n_in))
            .min(target.l2_bytes / 4 / (4 * n_products * panel))
            .max(tile_rows);
        let tiles = layer.lines.map(|line| line.n_tiles(algorithm.n_outputs()));
        let n_blocks = match most / tiles[1] {
            0 => [tiles[0], tiles[1].div_ceil(most)],
            rows => [tiles[0].div_ceil(rows), 1],
        };
        let sizes = [0, 1].map(|k| tiles[k].div_ceil(n_blocks[k]));
        let n_full = n_out / panel;
        let n_blocks_all = n_batch * n_blocks[0] * n_blocks[1];
        let fits = |groups: usize| {
            n_full.is_multiple_of(groups) && n_full / groups * panel >= MIN_TASK_CHANNELS
        };
        let enough = |groups: &usize| groups * n_blocks_all >= MIN_TASKS;
        let groups: Vec<usize> = (1..=n_full).filter(|g| fits(*g)).collect();
        let n_groups = groups.iter().find(|g| enough(g)).or(groups.last()).copied().unwrap_or(1);
        let weights = 4 * TAPS * TAPS * n_in * n_out;
        let transforms_at_run =
            transformed_bytes(&layer.filters, algorithm) - weights > options.winograd_kept_bytes;
        let n_tiles = sizes[0] * sizes[1];
        Plan { algorithm, transforms_at_run, n_blocks, n_tiles, panel, tile_rows, n_groups }
    }

    /// Cycles of a core, about: products, transforms, and filters from memory.
    fn cycles(&self, layer: &Layer, n_batch: usize, registers: Registers) -> f64 {
        let Filters { n_in, n_out, .. } = layer.filters;
        let lanes = (registers.bytes / 4) as f64;
        let (m, n) = (self.algorithm.n_outputs() as f64, self.algorithm.n_products() as f64);
        let tiles: usize =
            layer.lines.iter().map(|line| line.n_tiles(self.algorithm.n_outputs())).product();
        let tiles = (tiles * n_batch) as f64;
        let vectors = |n: usize| (n as f64 / lanes).ceil();
        let products = n * n * n_in as f64 * vectors(n_out);
        // Both passes load and store, and compute about as much.
        let input = (MOVE_CYCLES + 1.0) * 2.0 * (m * n + n * n) * vectors(n_in);
        let output = (MOVE_CYCLES + 1.0) * 2.0 * (m * n + m * m + n * n) / 2.0 * 1.5;
        let output = output * vectors(n_out) + products * 0.02;
        let filters = transformed_bytes(&layer.filters, self.algorithm) as f64;
        let input = input * self.n_groups as f64;
        let mut cycles = tiles * (products + input + output) + filters / BYTES_PER_CYCLE;
        if self.transforms_at_run {
            // Both passes compute about as much as they store.
            let transforms = 2.0 * (3.0 * n + n * n) * n_in as f64 * vectors(n_out);
            cycles += transforms + filters / BYTES_WRITTEN_PER_CYCLE;
        }
        cycles
    }
}

/// The same of the direct form.
fn direct_cycles(layer: &Layer, n_batch: usize, registers: Registers) -> f64 {
    let Filters { n_in, n_out, .. } = layer.filters;
    let lanes = (registers.bytes / 4) as f64;
    let taps: usize = layer.lines.iter().map(Line::n_taps).product();
    let products = n_in as f64 * (n_out as f64 / lanes).ceil();
    let filters = 9.0 * (n_in * n_out) as f64 * 4.0;
    (taps * n_batch) as f64 * products + filters / BYTES_PER_CYCLE
}
