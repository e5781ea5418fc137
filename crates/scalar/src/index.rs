//! Quasi-affine index expressions, guards and index maps over a box of axes.
//!
//! An index is a sum of integer multiples of axes, floor divisions and remainders, plus a
//! constant. Knowing the extents of the axes, [`IndexExpr::simplify`] removes divisions that have
//! no effect, so that the composition of reshapes, transposes and slices stays short.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use tracelift_tensor::floor_div;

/// Terms with their coefficients; few, as most positions have.
pub type IndexTerms = SmallVec<[(IndexTerm, i64); 4]>;

/// One variable part of an index.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum IndexTerm {
    /// The coordinate along an axis.
    Axis(usize),
    /// `⌊expr / divisor⌋`, the divisor positive.
    Div(Box<IndexExpr>, i64),
    /// `expr − divisor · ⌊expr / divisor⌋`, the divisor positive.
    Rem(Box<IndexExpr>, i64),
}

/// A quasi-affine expression: `constant + Σ coefficient · term`, terms sorted, coefficients not 0.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct IndexExpr {
    /// The part without variables.
    pub constant: i64,
    /// Terms in ascending order with their coefficients.
    pub terms: IndexTerms,
}

/// The condition `0 ≤ expr < extent`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Guard {
    /// The expression bounded.
    pub expr: IndexExpr,
    /// The bound, exclusive.
    pub extent: i64,
}

impl IndexExpr {
    /// A constant.
    pub fn constant(constant: i64) -> IndexExpr {
        IndexExpr { constant, terms: IndexTerms::new() }
    }

    /// The coordinate along an axis.
    pub fn axis(axis: usize) -> IndexExpr {
        IndexExpr { constant: 0, terms: smallvec![(IndexTerm::Axis(axis), 1)] }
    }

    /// The value, where there is no variable part.
    pub fn as_const(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    fn add_term(&mut self, term: IndexTerm, coefficient: i64) {
        match self.terms.binary_search_by(|(t, _)| t.cmp(&term)) {
            Ok(at) if self.terms[at].1 + coefficient == 0 => {
                self.terms.remove(at);
            }
            Ok(at) => self.terms[at].1 += coefficient,
            Err(at) if coefficient != 0 => self.terms.insert(at, (term, coefficient)),
            Err(_) => {}
        }
    }

    /// The sum.
    pub fn add(&self, other: &IndexExpr) -> IndexExpr {
        let mut out = self.clone();
        out.add_scaled(other, 1);
        out
    }

    /// Adds the product of another expression with a constant.
    fn add_scaled(&mut self, other: &IndexExpr, factor: i64) {
        self.constant += factor * other.constant;
        for (term, coefficient) in &other.terms {
            self.add_term(term.clone(), factor * coefficient);
        }
    }

    /// Whether no division has any part in it.
    fn is_affine(&self) -> bool {
        self.terms.iter().all(|(term, _)| matches!(term, IndexTerm::Axis(_)))
    }

    /// The sum with a constant.
    pub fn offset(&self, constant: i64) -> IndexExpr {
        IndexExpr { constant: self.constant + constant, terms: self.terms.clone() }
    }

    /// The product with a constant.
    pub fn scale(&self, factor: i64) -> IndexExpr {
        let mut out = self.clone();
        out.scale_by(factor);
        out
    }

    fn scale_by(&mut self, factor: i64) {
        self.constant *= factor;
        match factor {
            0 => self.terms.clear(),
            _ => self.terms.iter_mut().for_each(|(_, c)| *c *= factor),
        }
    }

    /// `⌊self / divisor⌋` for a positive divisor, simplified by the axes' extents.
    pub fn div(&self, divisor: i64, extents: &[usize]) -> IndexExpr {
        debug_assert!(divisor > 0, "divisors are positive");
        if divisor == 1 {
            return self.clone();
        }
        let (whole, part) = self.split(divisor);
        let (low, high) = part.bounds(extents);
        if floor_div(low, divisor) == floor_div(high, divisor) {
            return whole.offset(floor_div(low, divisor));
        }
        if let Some((factor, a, _)) = part.common_factor(divisor, extents) {
            return whole.add(&a.div(divisor / factor, extents));
        }
        if let Some((inner, by)) = part.as_quotient()
            && let Some(total) = by.checked_mul(divisor)
        {
            return whole.add(&inner.div(total, extents));
        }
        let rest = IndexTerm::Div(Box::new(part), divisor);
        whole.add(&IndexExpr { constant: 0, terms: smallvec![(rest, 1)] })
    }

    /// `⌊a / b⌋ + e = ⌊(a + b·e) / b⌋`, and so the quotient of this by `c` is that of `a + b·e` by
    /// `b·c`.
    fn as_quotient(&self) -> Option<(IndexExpr, i64)> {
        let (inner, by) = self.terms.iter().find_map(|(term, c)| match term {
            IndexTerm::Div(inner, by) if *c == 1 => Some((inner, *by)),
            _ => None,
        })?;
        let mut rest = self.clone();
        rest.add_term(IndexTerm::Div(inner.clone(), by), -1);
        Some((inner.add(&rest.scale(by)), by))
    }

    /// The remainder by a positive divisor, in `0..divisor`, simplified by the axes' extents.
    pub fn rem(&self, divisor: i64, extents: &[usize]) -> IndexExpr {
        debug_assert!(divisor > 0, "divisors are positive");
        let (_, part) = self.split(divisor);
        let (low, high) = part.bounds(extents);
        let quotient = floor_div(low, divisor);
        if quotient == floor_div(high, divisor) {
            return part.offset(-quotient * divisor);
        }
        if let Some((factor, a, b)) = part.common_factor(divisor, extents) {
            return a.rem(divisor / factor, extents).scale(factor).add(&b);
        }
        IndexExpr { constant: 0, terms: smallvec![(IndexTerm::Rem(Box::new(part), divisor), 1)] }
    }

    /// `self = f · a + b` with `f > 1` a factor of the divisor and `0 ≤ b < f`, where there is such
    /// a split; then `⌊self / d⌋ = ⌊a / (d/f)⌋` and `self mod d = f · (a mod d/f) + b`.
    fn common_factor(
        &self,
        divisor: i64,
        extents: &[usize],
    ) -> Option<(i64, IndexExpr, IndexExpr)> {
        let mut factors: Vec<i64> =
            self.terms.iter().map(|(_, c)| gcd(c.abs(), divisor)).filter(|&f| f > 1).collect();
        factors.sort_unstable_by(|x, y| y.cmp(x));
        factors.dedup();
        factors.into_iter().find_map(|f| {
            let mut a = IndexExpr::constant(floor_div(self.constant, f));
            let mut b = IndexExpr::constant(self.constant.rem_euclid(f));
            for (term, c) in &self.terms {
                if c % f == 0 {
                    a.add_term(term.clone(), c / f);
                } else {
                    b.add_term(term.clone(), *c);
                }
            }
            let (low, high) = b.bounds(extents);
            (low >= 0 && high < f).then_some((f, a, b))
        })
    }

    /// `self = whole · divisor + part`, every coefficient of `part` in `0..divisor`.
    fn split(&self, divisor: i64) -> (IndexExpr, IndexExpr) {
        let mut whole = IndexExpr::constant(floor_div(self.constant, divisor));
        let mut part = IndexExpr::constant(self.constant.rem_euclid(divisor));
        for (term, c) in &self.terms {
            whole.add_term(term.clone(), floor_div(*c, divisor));
            part.add_term(term.clone(), c.rem_euclid(divisor));
        }
        (whole, part)
    }

    /// The least and the greatest value over the box of axes (possibly wider, never narrower).
    ///
    /// An empty axis counts as having one coordinate.
    pub fn bounds(&self, extents: &[usize]) -> (i64, i64) {
        let (mut low, mut high) = (self.constant, self.constant);
        for (term, c) in &self.terms {
            let (a, b) = term.bounds(extents);
            let (x, y) = (a.saturating_mul(*c), b.saturating_mul(*c));
            low = low.saturating_add(x.min(y));
            high = high.saturating_add(x.max(y));
        }
        (low, high)
    }

    /// Rebuilds the expression with divisions simplified by the axes' extents.
    pub fn simplify(&self, extents: &[usize]) -> IndexExpr {
        if self.is_affine() {
            return self.clone();
        }
        self.substitute(&|axis| IndexExpr::axis(axis), extents)
    }

    /// Replaces every axis by an expression over new axes with the given extents.
    pub fn substitute(&self, by: &dyn Fn(usize) -> IndexExpr, extents: &[usize]) -> IndexExpr {
        let mut out = IndexExpr::constant(self.constant);
        for (term, coefficient) in &self.terms {
            let replaced = match term {
                IndexTerm::Axis(axis) => by(*axis),
                IndexTerm::Div(e, d) => e.substitute(by, extents).div(*d, extents),
                IndexTerm::Rem(e, d) => e.substitute(by, extents).rem(*d, extents),
            };
            out.add_scaled(&replaced, *coefficient);
        }
        out.join_div_rem(extents)
    }

    /// `d · ⌊e / d⌋ + (e mod d) = e`, where `e` may itself be a quotient.
    fn join_div_rem(self, extents: &[usize]) -> IndexExpr {
        for (term, c) in &self.terms {
            let IndexTerm::Rem(e, d) = term else { continue };
            let quotient = e.div(*d, extents);
            let [(of_axes, 1)] = quotient.terms.as_slice() else { continue };
            let found = self.terms.iter().any(|(t, k)| t == of_axes && *k == c * d);
            if found {
                let mut rest = self.clone();
                rest.add_scaled(&quotient, -c * d);
                rest.add_term(term.clone(), -c);
                return rest.add(&e.scale(*c)).join_div_rem(extents);
            }
        }
        self
    }

    /// The value at a point.
    ///
    /// # Panics
    /// When an axis is missing from the point.
    pub fn eval(&self, point: &[usize]) -> i64 {
        let term = |t: &IndexTerm| match t {
            IndexTerm::Axis(axis) => point[*axis] as i64,
            IndexTerm::Div(e, d) => floor_div(e.eval(point), *d),
            IndexTerm::Rem(e, d) => e.eval(point).rem_euclid(*d),
        };
        self.constant + self.terms.iter().map(|(t, c)| term(t) * c).sum::<i64>()
    }

    /// Whether the axis occurs anywhere.
    pub fn mentions(&self, axis: usize) -> bool {
        self.terms.iter().any(|(term, _)| match term {
            IndexTerm::Axis(a) => *a == axis,
            IndexTerm::Div(e, _) | IndexTerm::Rem(e, _) => e.mentions(axis),
        })
    }

    /// The coefficient of the axis where the expression is affine in it: 0 when it does not occur,
    /// `None` when it occurs inside a division or remainder.
    pub fn stride_of(&self, axis: usize) -> Option<i64> {
        let mut stride = 0;
        for (term, c) in &self.terms {
            match term {
                IndexTerm::Axis(a) if *a == axis => stride = *c,
                IndexTerm::Axis(_) => {}
                IndexTerm::Div(e, _) | IndexTerm::Rem(e, _) if e.mentions(axis) => return None,
                _ => {}
            }
        }
        Some(stride)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl IndexTerm {
    fn bounds(&self, extents: &[usize]) -> (i64, i64) {
        match self {
            IndexTerm::Axis(axis) => (0, extents[*axis].saturating_sub(1) as i64),
            IndexTerm::Div(e, d) => {
                let (low, high) = e.bounds(extents);
                (floor_div(low, *d), floor_div(high, *d))
            }
            IndexTerm::Rem(e, d) => {
                let (low, high) = e.bounds(extents);
                match floor_div(low, *d) == floor_div(high, *d) {
                    true => (low.rem_euclid(*d), high.rem_euclid(*d)),
                    false => (0, d - 1),
                }
            }
        }
    }
}

impl Guard {
    /// Whether the condition holds at a point.
    pub fn holds(&self, point: &[usize]) -> bool {
        (0..self.extent).contains(&self.expr.eval(point))
    }

    /// `Some(true)` or `Some(false)` where the condition is the same over the whole box of axes.
    pub fn decide(&self, extents: &[usize]) -> Option<bool> {
        let (low, high) = self.expr.bounds(extents);
        if low >= 0 && high < self.extent {
            Some(true)
        } else if high < 0 || low >= self.extent {
            Some(false)
        } else {
            None
        }
    }
}

/// The row-major position of an index in a buffer of the given extents.
pub fn linearise(index: &[IndexExpr], extents: &[usize]) -> IndexExpr {
    assert_eq!(index.len(), extents.len(), "an index has one expression per axis");
    index.iter().zip(extents).fold(IndexExpr::default(), |mut at, (i, &extent)| {
        at.scale_by(extent as i64);
        at.add_scaled(i, 1);
        at
    })
}

/// The index in a buffer of the given extents at a row-major position; `axes` are the extents of
/// the axes that `position` speaks of.
pub fn delinearise(position: &IndexExpr, extents: &[usize], axes: &[usize]) -> Vec<IndexExpr> {
    let mut stride = 1i64;
    let mut out: Vec<IndexExpr> = Vec::with_capacity(extents.len());
    for (k, &extent) in extents.iter().enumerate().rev() {
        let quotient = position.div(stride, axes);
        let extent = extent.max(1) as i64;
        out.push(if k == 0 { quotient } else { quotient.rem(extent, axes) });
        stride *= extent;
    }
    out.reverse();
    out
}

impl fmt::Display for IndexExpr {
    /// Writes axes as `i0`, `i1`, …; see [`IndexExpr::display_with`] for names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display_with(&|axis| format!("i{axis}")))
    }
}

impl IndexExpr {
    /// The text with the axes' names given, such as `4*i + (j floordiv 2) - 1`.
    pub fn display_with(&self, name: &dyn Fn(usize) -> String) -> String {
        let mut out = String::new();
        for (term, c) in &self.terms {
            out += match (out.is_empty(), *c < 0) {
                (true, true) => "-",
                (true, false) => "",
                (false, true) => " - ",
                (false, false) => " + ",
            };
            if c.unsigned_abs() != 1 {
                out += &format!("{}*", c.unsigned_abs());
            }
            out += &match term {
                IndexTerm::Axis(axis) => name(*axis),
                IndexTerm::Div(e, d) => format!("floordiv({}, {d})", e.display_with(name)),
                IndexTerm::Rem(e, d) => format!("mod({}, {d})", e.display_with(name)),
            };
        }
        match (out.is_empty(), self.constant) {
            (true, c) => c.to_string(),
            (false, 0) => out,
            (false, c) if c < 0 => format!("{out} - {}", c.unsigned_abs()),
            (false, c) => format!("{out} + {c}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelift_tensor::for_each_index;

    fn axis(a: usize) -> IndexExpr {
        IndexExpr::axis(a)
    }

    #[test]
    fn reshape_there_and_back_is_the_identity() {
        let (wide, flat) = ([4, 6], [24]);
        let there = delinearise(&axis(0), &wide, &flat);
        let position = linearise(&[axis(0), axis(1)], &wide);
        let back: Vec<IndexExpr> =
            there.iter().map(|e| e.substitute(&|_| position.clone(), &wide)).collect();
        assert_eq!(back, [axis(0), axis(1)]);
        assert_eq!(linearise(&there, &wide).simplify(&flat), axis(0));
    }

    #[test]
    fn a_position_cut_into_three_digits_comes_back() {
        let (cube, flat) = ([2, 3, 7], [42]);
        let digits = delinearise(&axis(0), &cube, &flat);
        assert_eq!(linearise(&digits, &cube).simplify(&flat), axis(0));
        let scaled = linearise(&digits, &cube).scale(5).add(&IndexExpr::constant(2));
        assert_eq!(scaled.simplify(&flat), axis(0).scale(5).offset(2));
    }

    #[test]
    fn digits_of_a_position_in_tiles_that_cross_rows_come_back() {
        // Tiles of 64 in rows of 56, which share a factor.
        let tiles = [392, 64];
        let position = axis(0).scale(64).add(&axis(1));
        for dims in [vec![8, 56, 56], vec![8, 3136], vec![4, 2, 28, 2, 56], vec![448, 7, 8]] {
            let digits = delinearise(&position, &dims, &tiles);
            assert_eq!(linearise(&digits, &dims).simplify(&tiles), position, "{dims:?}");
        }
    }

    #[test]
    fn quotients_of_sums_with_quotients_keep_their_values() {
        let extents = [7, 9, 5];
        let inner = axis(0).scale(3).add(&axis(1)).offset(-4);
        let e = inner.div(5, &extents).add(&axis(2).scale(2)).offset(3);
        for divisor in [2, 3, 4, 6, 7] {
            let (quotient, remainder) = (e.div(divisor, &extents), e.rem(divisor, &extents));
            let joined = quotient.scale(divisor).add(&remainder).simplify(&extents);
            for_each_index(&extents, |p| {
                let x = floor_div(3 * p[0] as i64 + p[1] as i64 - 4, 5) + 2 * p[2] as i64 + 3;
                assert_eq!(quotient.eval(p), floor_div(x, divisor), "{quotient} at {p:?}");
                assert_eq!(remainder.eval(p), x.rem_euclid(divisor), "{remainder} at {p:?}");
                assert_eq!(joined.eval(p), x, "{joined} at {p:?}");
            });
        }
    }

    #[test]
    fn divisions_without_effect_vanish() {
        let extents = [4, 6];
        let e = axis(0).scale(6).add(&axis(1));
        assert_eq!(e.div(6, &extents), axis(0));
        assert_eq!(e.rem(6, &extents), axis(1));
        assert_eq!(e.div(12, &extents).div(2, &extents).to_string(), "0");
        assert_eq!(e.div(4, &extents).to_string(), "i0 + floordiv(2*i0 + i1, 4)");
        let pairs = axis(0).scale(2).add(&axis(1));
        assert_eq!(pairs.div(6, &[6, 2]).to_string(), "floordiv(i0, 3)");
        assert_eq!(pairs.rem(6, &[6, 2]).to_string(), "i1 + 2*mod(i0, 3)");
    }

    #[test]
    fn simplification_keeps_the_value_and_the_bounds() {
        let extents = [3, 5, 7];
        let base = axis(0).scale(35).add(&axis(1).scale(7)).add(&axis(2));
        let samples = [
            base.div(14, &extents).rem(3, &extents),
            base.rem(20, &extents).div(7, &extents),
            base.offset(-11).div(9, &extents),
            base.scale(-1).rem(6, &extents).add(&axis(2)),
        ];
        for e in &samples {
            let (low, high) = e.bounds(&extents);
            for_each_index(&extents, |p| {
                let b = (35 * p[0] + 7 * p[1] + p[2]) as i64;
                let expected = match samples.iter().position(|s| s == e) {
                    Some(0) => (b / 14) % 3,
                    Some(1) => (b % 20) / 7,
                    Some(2) => floor_div(b - 11, 9),
                    _ => (-b).rem_euclid(6) + p[2] as i64,
                };
                assert_eq!(e.eval(p), expected, "{e} at {p:?}");
                assert!(low <= expected && expected <= high, "{e} at {p:?}");
            });
        }
    }

    #[test]
    fn guards_decide_where_they_can() {
        let inside = Guard { expr: axis(0), extent: 4 };
        assert_eq!(inside.decide(&[4]), Some(true));
        assert_eq!(Guard { expr: axis(0).offset(-1), extent: 4 }.decide(&[4]), None);
        assert_eq!(Guard { expr: axis(0).offset(9), extent: 4 }.decide(&[4]), Some(false));
    }
}
