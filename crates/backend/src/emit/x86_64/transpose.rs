//! Loads of elements that are contiguous along the rows of a tile: squares transposed in registers.

use tracelift_loops::Inst;
use tracelift_tensor::DType;

use super::{
    Unsupported, Width,
    program::{Class, Shuffle, V, VInst},
    select::Selector,
    stream::Pattern,
};

impl Selector<'_, '_, '_> {
    /// Whether an element of 32 bits lies beside that of the next row, so that one vector holds several
    /// rows of a column.
    pub(super) fn is_transposed(&self, inst: usize, pattern: &Pattern) -> bool {
        let is_apart = pattern.row == 4 && !matches!(pattern.column, 0 | 4);
        is_apart && self.dtypes[inst] != DType::Bool && self.rows <= self.width.lanes()
    }

    /// Selects a load of all rows of some columns that fill a vector; gives the vector of each row.
    pub(super) fn load_transposed(
        &mut self,
        inst: usize,
        chunk: usize,
        pattern: &Pattern,
    ) -> Result<Vec<V>, Unsupported> {
        if !matches!(&self.tile.insts[inst], Inst::Load { guards, .. } if guards.is_empty()) {
            return Err(Unsupported("a guarded load along rows"));
        }
        let lanes = self.width.lanes();
        let mask = match self.rows < lanes {
            true => {
                let to = self.register(self.width.mask_class());
                self.push(VInst::Tail { to, lanes: self.rows });
                Some(to)
            }
            false => None,
        };
        let (first, n_columns) = self.chunks[chunk];
        let ahead = self.ahead_by(pattern);
        let mut columns = Vec::with_capacity(lanes);
        for column in first..first + n_columns {
            let to = self.register(Class::Vector);
            let from = pattern.at(0, column, ahead)?;
            self.push(VInst::Load { to, from, mask });
            columns.push(to);
        }
        // What is beyond the last column is not stored.
        columns.resize(lanes, columns[0]);
        let quads = columns.chunks(4).map(|quad| self.transpose_quad(quad)).collect::<Vec<_>>();
        let mut rows = vec![0; lanes];
        for k in 0..4 {
            let parts: Vec<V> = quads.iter().map(|quad| quad[k]).collect();
            let across = self.transpose_parts(&parts);
            across.into_iter().enumerate().for_each(|(part, v)| rows[4 * part + k] = v);
        }
        rows.truncate(self.rows);
        Ok(rows)
    }

    /// In each 128 bits, the transpose of four vectors' four lanes.
    fn transpose_quad(&mut self, quad: &[V]) -> [V; 4] {
        use Shuffle::*;
        let [a, b, c, d] = [quad[0], quad[1], quad[2], quad[3]];
        let [low, low_2] = [(a, b), (c, d)].map(|(x, y)| self.shuffle(UnpackLow, x, y));
        let [high, high_2] = [(a, b), (c, d)].map(|(x, y)| self.shuffle(UnpackHigh, x, y));
        [
            self.shuffle(UnpackLowPairs, low, low_2),
            self.shuffle(UnpackHighPairs, low, low_2),
            self.shuffle(UnpackLowPairs, high, high_2),
            self.shuffle(UnpackHighPairs, high, high_2),
        ]
    }

    /// The transpose of as many vectors as they have parts of 128 bits.
    fn transpose_parts(&mut self, vectors: &[V]) -> Vec<V> {
        use Shuffle::{EvenParts, OddParts};
        match (self.width, vectors) {
            (Width::Zmm, &[a, b, c, d]) => {
                let [even, even_2] = [(a, b), (c, d)].map(|(x, y)| self.shuffle(EvenParts, x, y));
                let [odd, odd_2] = [(a, b), (c, d)].map(|(x, y)| self.shuffle(OddParts, x, y));
                vec![
                    self.shuffle(EvenParts, even, even_2),
                    self.shuffle(EvenParts, odd, odd_2),
                    self.shuffle(OddParts, even, even_2),
                    self.shuffle(OddParts, odd, odd_2),
                ]
            }
            (Width::Ymm, &[a, b]) => {
                vec![self.shuffle(EvenParts, a, b), self.shuffle(OddParts, a, b)]
            }
            _ => unreachable!("a vector has four parts or two"),
        }
    }

    fn shuffle(&mut self, how: Shuffle, a: V, b: V) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::Shuffle { how, to, a, b });
        to
    }
}
