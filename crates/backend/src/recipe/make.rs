//! Makes constants, on several threads.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tracelift_tensor::{Bytes, Pages, Populator, Scalar, Tensor, release_mapped};

use super::{Pack, Recipe, StridedCopy, Transform, views::copy_view};

/// Stored constants up to this size are copied beside the others, larger ones stay where they are.
const COPIED_BYTES: usize = 1 << 16;
/// The bytes that one job writes, about, where the source is read in the order of its elements.
const LONG_JOB_BYTES: usize = 8 << 20;
/// The same where it is read across.
const SHORT_JOB_BYTES: usize = 256 << 10;
/// The alignment of each constant: a cache line.
const ALIGNMENT: usize = 64;

/// Makes the constants, flat and in order.
///
/// Their bytes do not depend on the number of threads. Every recipe is dropped as soon as its
/// constant is made, and so are the pages of the mapped file that it alone read.
///
/// # Panics
/// When a strided copy leaves its source; positions come from verified index maps.
pub fn make_constants(recipes: Vec<Recipe>, n_threads: usize) -> Vec<Tensor> {
    let mut total = 0;
    let places: Vec<Option<usize>> = recipes
        .iter()
        .map(|recipe| {
            let place = (!stays(recipe)).then_some(total);
            total += place.map_or(0, |_| recipe.size_bytes().next_multiple_of(ALIGNMENT));
            place
        })
        .collect();
    let types: Vec<_> = recipes.iter().map(|r| (r.dtype(), r.count())).collect();
    let stored: Vec<Option<Bytes>> = recipes.iter().map(stored_bytes).collect();
    let mut pages = Pages::zeroed(total);
    let (populator, unwritten) = pages.unwritten();
    let mut jobs = jobs(recipes, &places, unwritten);
    // While the last constants are made, most memory is taken: then sources should be small.
    jobs.sort_by_key(|job| Reverse(job.source.recipe.size_bytes()));
    run_jobs(jobs, &populator, n_threads);
    pages.merge();
    let made = Bytes::from_owner(pages);
    let tensors =
        types.into_iter().zip(places).zip(stored).map(|(((dtype, count), at), stored)| {
            let bytes = match (at, stored) {
                (Some(at), _) => made.slice(at..at + count * dtype.size_bytes()),
                (None, Some(bytes)) => bytes,
                (None, None) => unreachable!("only stored constants have no place"),
            };
            Tensor::from_bytes(dtype, &[count], bytes)
                .expect("a constant has the size of its recipe")
        });
    tensors.collect()
}

/// Whether a recipe's bytes are used where they lie.
fn stays(recipe: &Recipe) -> bool {
    matches!(recipe, Recipe::Stored(tensor) if tensor.bytes().len() > COPIED_BYTES)
}

fn stored_bytes(recipe: &Recipe) -> Option<Bytes> {
    match recipe {
        Recipe::Stored(tensor) => Some(tensor.bytes().clone()),
        Recipe::Splat(..) | Recipe::Packed(..) => None,
    }
}

/// What jobs read: made by the first, dropped with the last.
struct Source {
    recipe: Recipe,
    made: OnceLock<Tensor>,
}

impl Source {
    fn bytes(&self) -> &[u8] {
        match &self.recipe {
            Recipe::Stored(tensor) => tensor.bytes(),
            other => self.made.get_or_init(|| other.make()).bytes(),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Recipe::Stored(tensor) = &self.recipe {
            release_mapped(tensor.bytes());
        }
    }
}

/// A part of the work: fills some bytes of one constant.
struct Job<'p> {
    source: Arc<Source>,
    task: Task,
    to: &'p mut [u8],
}

enum Task {
    Whole,
    Fill(Scalar),
    Copy(StridedCopy, usize),
    Compute(Transform),
}

impl Job<'_> {
    fn run(self, populator: &Populator<'_>) {
        let Job { source, task, to } = self;
        populator.populate(to);
        match task {
            Task::Whole => to.copy_from_slice(source.bytes()),
            Task::Fill(scalar) => {
                let element = scalar.to_bits().to_le_bytes();
                let size = scalar.dtype().size_bytes();
                to.chunks_exact_mut(size).for_each(|x| x.copy_from_slice(&element[..size]));
            }
            Task::Copy(copy, size) => copy_view(&copy, size, source.bytes(), to),
            Task::Compute(transform) => (transform.function)(source.bytes(), to),
        }
    }
}

/// The jobs that fill the places of constants, in the order of their places.
fn jobs<'p>(
    recipes: Vec<Recipe>,
    places: &[Option<usize>],
    mut rest: &'p mut [u8],
) -> Vec<Job<'p>> {
    let mut jobs = Vec::new();
    let mut take = |n: usize| {
        let (first, after) = std::mem::take(&mut rest).split_at_mut(n);
        rest = after;
        first
    };
    for (recipe, place) in recipes.into_iter().zip(places) {
        if place.is_none() {
            continue;
        }
        let n_bytes = recipe.size_bytes();
        let source = |recipe: Recipe| Arc::new(Source { recipe, made: OnceLock::new() });
        match recipe {
            Recipe::Packed(from, Pack::Copies(copies)) => {
                let (size, source) =
                    (from.dtype().size_bytes(), source(Arc::unwrap_or_clone(from)));
                for copy in copies.iter().flat_map(|copy| split(copy, size)) {
                    let to = take(copy.count() * size);
                    jobs.push(Job { source: source.clone(), task: Task::Copy(copy, size), to });
                }
            }
            Recipe::Packed(from, Pack::Computed(transform)) => {
                let source = source(Arc::unwrap_or_clone(from));
                jobs.push(Job { source, task: Task::Compute(transform), to: take(n_bytes) });
            }
            Recipe::Splat(scalar, _) => {
                let (source, to) = (source(recipe), take(n_bytes));
                jobs.push(Job { source, task: Task::Fill(scalar), to });
            }
            stored => {
                jobs.push(Job { source: source(stored), task: Task::Whole, to: take(n_bytes) })
            }
        }
        take(n_bytes.next_multiple_of(ALIGNMENT) - n_bytes);
    }
    jobs
}

fn split(copy: &StridedCopy, size: usize) -> Vec<StridedCopy> {
    let most = if copy.is_ordered() { LONG_JOB_BYTES } else { SHORT_JOB_BYTES };
    copy.split(most / size)
}

/// Runs jobs on as many threads as asked for, the calling one included.
fn run_jobs(jobs: Vec<Job<'_>>, populator: &Populator<'_>, n_threads: usize) {
    let n_helpers = n_threads.min(jobs.len()).saturating_sub(1);
    let queue = Mutex::new(jobs.into_iter());
    let work = || {
        loop {
            // A panicking job takes itself out of the queue before, so that the queue stays whole.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            match next {
                Some(job) => job.run(populator),
                None => break,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..n_helpers {
            scope.spawn(work);
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelift_tensor::DType;

    #[test]
    fn constants_do_not_depend_on_threads() {
        let numbers: Vec<f32> = (0..600_000).map(|k| k as f32).collect();
        let matrix = Recipe::Stored(Tensor::new(&[600, 1000], &numbers));
        let turned =
            Pack::Copies(vec![StridedCopy { base: 0, dims: vec![(1000, 1), (600, 1000)], pad: 0 }]);
        let turned = Recipe::Packed(matrix.clone().into(), turned);
        let sums = Transform {
            key: "sum of rows".into(),
            dtype: DType::F32,
            len: 1000,
            function: Arc::new(|from, to| {
                for (row, sum) in from.chunks_exact(2400).zip(to.chunks_exact_mut(4)) {
                    let row =
                        row.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
                    sum.copy_from_slice(&row.sum::<f32>().to_le_bytes());
                }
            }),
        };
        let sums = Recipe::Packed(turned.clone().into(), Pack::Computed(sums));
        let small = Recipe::Stored(Tensor::new(&[3], &[1u8, 2, 3]));
        let twos = Recipe::Splat(Scalar::F32(2.0), 6);
        let every_other = Pack::Copies(vec![StridedCopy { base: 1, dims: vec![(2, 2)], pad: 0 }]);
        let fewer = Recipe::Packed(twos.clone().into(), every_other);
        let recipes = vec![small, turned, sums, matrix, twos, fewer];
        let made = make_constants(recipes.clone(), 1);
        assert_eq!(made[0].to_vec::<u8>(), [1, 2, 3]);
        assert_eq!(made[1].to_vec::<f32>()[..3], [0.0, 1000.0, 2000.0]);
        assert_eq!(
            made[2].to_vec::<f32>()[999],
            (0..600).map(|k| 999.0 + 1e3 * k as f32).sum::<f32>()
        );
        assert_eq!(made[3].to_vec::<f32>(), numbers);
        assert_eq!(made[4].to_vec::<f32>(), [2.0; 6]);
        assert_eq!(made[5].to_vec::<f32>(), [2.0; 2]);
        assert!(made[..3].iter().all(|t| t.bytes().as_ptr().addr() % ALIGNMENT == 0));
        assert_eq!(make_constants(recipes, 3), made);
    }
}
