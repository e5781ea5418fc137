//! Strips: a fold over windows and a product of its columns, some rows of the image at a time.
//!
//! A depthwise convolution and the 1 × 1 convolution after it: a task folds over the windows of a
//! few rows, whose results only ever lie in its scratch, and multiplies them with all weights from
//! there. Where that does not fit the cache, each part gets a kernel of its own.

use tracelift_scalar::IndexExpr;

use super::{
    Group, KernelBuilder, Lowering, StorageId, StorageKind,
    column_fold::{Blocks, slides_along},
    fold::FoldSpace,
    product::{Product, RightOperand},
    segments::block_size,
};

/// The rows of the product that a strip has, about, and the fewest.
const STRIP_ROWS: [usize; 2] = [448, 48];

/// The result of a fold whose windows slide over the rows of an image.
struct Image {
    /// The axis of rows, which that of positions follows, which that of columns follows.
    rows: usize,
    n_rows: usize,
    n_positions: usize,
    n_columns: usize,
    /// How many images there are.
    n_images: usize,
}

impl Image {
    fn of(space: &FoldSpace) -> Option<Image> {
        let [rows, positions] = slides_along(space)[..] else { return None };
        let identity = (0..space.n_result).all(|a| space.index[a] == IndexExpr::axis(a));
        let extent = |a: usize| space.extents[a];
        (identity && positions == rows + 1 && positions + 2 == space.n_result).then(|| Image {
            rows,
            n_rows: extent(rows),
            n_positions: extent(positions),
            n_columns: extent(positions + 1),
            n_images: space.extents[..rows].iter().product(),
        })
    }

    /// The elements of a row.
    fn row_len(&self) -> usize {
        self.n_positions * self.n_columns
    }

    /// Where a block of rows begins among all images; `outer` are the coordinates of its image.
    fn start(&self, outer: &[IndexExpr], extents: &[usize], block: IndexExpr) -> IndexExpr {
        let image = tracelift_scalar::linearise(outer, &extents[..self.rows]);
        image.scale((self.n_rows * self.row_len()) as i64).add(&block.scale(self.row_len() as i64))
    }
}

impl Lowering<'_> {
    pub(super) fn lower_strip(&mut self, group: &Group) {
        let [first, last] = group.parts.as_slice() else { unreachable!("a strip has two parts") };
        let words = match self.strip_kernel(first, last) {
            Ok((kernel, n_rows)) => {
                self.add_step(kernel, &self.provenance_of(&group.members));
                format!("one kernel, {n_rows} rows of the image at a time")
            }
            Err(reason) => {
                group.parts.iter().for_each(|part| self.lower_group(part));
                format!("a kernel for each part: {reason}")
            }
        };
        self.choices.insert(group.members[0], words);
    }

    /// The kernel and the rows of a strip, or why the parts need kernels of their own.
    fn strip_kernel(
        &mut self,
        first: &Group,
        last: &Group,
    ) -> Result<(KernelBuilder, usize), &'static str> {
        let (mut windows, folded) = self.fold_of(first);
        let (products, multiplied) = self.fold_of(last);
        self.prepare_column_fold(&mut windows);
        let image = Image::of(&windows).ok_or("windows do not slide over rows of an image")?;
        let [(_, between)] = folded.stores[..] else { return Err("it has several results") };
        if self.out.storages[between].kind != StorageKind::Temporary {
            return Err("what lies between is a result");
        }
        let n_rows = self.strip_rows(&windows, &image, &products)?;
        let product = self.product_below(&products, &multiplied, image.rows);
        let product = product.ok_or("the product has no register tiles")?;
        let tile_rows =
            product_rows(&product, &image, between, n_rows).ok_or("the product moves rows")?;
        let mut kernel = KernelBuilder::new();
        let outer: Vec<IndexExpr> = (0..image.rows)
            .map(|a| IndexExpr::axis(kernel.grid_axis("i", windows.extents[a])))
            .collect();
        let axis = kernel.grid_axis("m", image.n_rows.div_ceil(n_rows));
        let blocks = |n_axes: usize, size: usize| {
            let mut axes = outer.clone();
            axes.resize(n_axes, IndexExpr::default());
            Blocks { axes, axis, size }
        };
        let of_windows = blocks(windows.extents.len(), n_rows);
        let (kernel, mut body) = self.column_fold_of_blocks(kernel, &windows, &folded, of_windows);
        let of_product = blocks(product.space.n_result, tile_rows);
        let (mut kernel, tiles, (height, width)) =
            self.product_of_blocks(kernel, &product, &multiplied, of_product);
        body.extend(tiles);
        kernel.kernel.name = format!("{}_strip_{height}x{width}", product.dtype);
        kernel.kernel.body = body;
        let block = IndexExpr::axis(axis).scale(n_rows as i64);
        let start = image.start(&outer, &windows.extents, block);
        kernel.hold_in_scratch(between, &start, n_rows * image.row_len());
        Ok((kernel, n_rows))
    }

    /// The rows of a strip, or why there are to be none.
    fn strip_rows(
        &self,
        windows: &FoldSpace,
        image: &Image,
        products: &FoldSpace,
    ) -> Result<usize, &'static str> {
        let size = windows.term.dtype().size_bytes();
        let n_multiplied: usize = products.extents[products.n_result..].iter().product();
        let n_columns = products.extents[products.n_result - 1];
        if n_multiplied * n_columns * size > self.target.l2_bytes / 4 {
            return Err("the weights leave no room in cache");
        }
        if image.n_rows * image.row_len() * size <= self.target.l2_bytes / 2 {
            return Err("what lies between stays in cache anyway");
        }
        let fitting = self.target.l2_bytes / 4 / (image.row_len() * size);
        let fitting = fitting.min(self.rows_in_cache(windows)) * image.n_positions;
        let [most, fewest] = STRIP_ROWS;
        if fitting < fewest {
            return Err("few rows fit the cache");
        }
        let work = [most.min(fitting), fewest];
        Ok(block_size(image.n_rows, image.n_positions, work, image.n_images))
    }
}

/// How many positions of the product's outer row axis are as many rows of the image; `None` where
/// the product does not read the rows of a strip in order from the storage between.
fn product_rows(
    product: &Product,
    image: &Image,
    between: StorageId,
    n_rows: usize,
) -> Option<usize> {
    let (space, left) = (&product.space, &product.left);
    let RightOperand::Panels { others, .. } = &product.right else { return None };
    let extent = |a: usize| space.extents[a];
    let size = match product.rows[..] {
        [a] if a == image.rows && extent(a) == image.n_rows * image.n_positions => {
            n_rows * image.n_positions
        }
        [a, b]
            if [a, b] == [image.rows, image.rows + 1]
                && [extent(a), extent(b)] == [image.n_rows, image.n_positions] =>
        {
            n_rows
        }
        _ => return None,
    };
    // The strides of the result's axes but the last, innermost first.
    let mut stride = image.n_columns;
    let in_order = (0..product.columns).rev().all(|a| {
        let expected = stride as i64;
        stride *= extent(a);
        extent(a) == 1 || left.position.stride_of(a) == Some(expected)
    });
    let inside = left.position.substitute(
        &|a| if a < space.n_result { IndexExpr::default() } else { IndexExpr::axis(a) },
        &space.extents,
    );
    let (low, high) = inside.bounds(&space.extents);
    let whole = low >= 0 && high < image.n_columns as i64;
    let plain = others.is_empty() && space.guards.is_empty() && product.tested.is_empty();
    (left.storage == between && plain && in_order && whole).then_some(size)
}
