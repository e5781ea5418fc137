//! Bounds of index expressions over the points that some guards leave.
//!
//! A guard bounds a sum of terms, so an index that contains a multiple of this sum is bounded
//! better than term by term: `1000·(2·y + dy − 1) + x` under `0 ≤ 2·y + dy − 1 < 8` lies below
//! 7000 + x. Each guard may be taken out of an index once; the best bounds found are kept.

use std::{cell::Cell, collections::BTreeMap};

use tracelift_scalar::{Guard, IndexExpr, IndexTerm};

use super::interval::Interval;

/// How many ways to take guards out of one index are tried.
const MAX_TRIALS: usize = 4096;

/// `constant + Σ coefficient · term`, in numbers that do not overflow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Linear {
    pub constant: i128,
    pub terms: BTreeMap<IndexTerm, i128>,
}

impl Linear {
    pub fn of(expr: &IndexExpr) -> Linear {
        let mut out = Linear { constant: expr.constant.into(), terms: BTreeMap::new() };
        for (term, c) in &expr.terms {
            out.add_term(term.clone(), (*c).into());
        }
        out
    }

    pub fn add_term(&mut self, term: IndexTerm, coefficient: i128) {
        let c = self.terms.entry(term.clone()).or_insert(0);
        *c = c.saturating_add(coefficient);
        if *c == 0 {
            self.terms.remove(&term);
        }
    }

    /// `self + factor · other`, where that does not come near overflow.
    pub fn plus(&self, other: &Linear, factor: i128) -> Option<Linear> {
        const LIMIT: i128 = 1 << 100;
        let product = |c: i128| c.checked_mul(factor).filter(|p| p.abs() < LIMIT);
        let mut out = self.clone();
        out.constant = out.constant.checked_add(product(other.constant)?)?;
        for (term, c) in &other.terms {
            out.add_term(term.clone(), product(*c)?);
        }
        Some(out)
    }
}

/// A sum of terms, without a constant, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub sum: Linear,
    pub interval: Interval,
    /// Whether all terms are axes.
    is_affine: bool,
}

impl Fact {
    fn of(guard: &Guard) -> Fact {
        let mut sum = Linear::of(&guard.expr);
        let constant = std::mem::take(&mut sum.constant);
        let interval = Interval::new(0, i128::from(guard.extent) - 1).offset(-constant);
        let is_affine = sum.terms.keys().all(|t| matches!(t, IndexTerm::Axis(_)));
        Fact { sum, interval, is_affine }
    }
}

/// The points of a box of axes at which some guards hold.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    axes: Vec<Interval>,
    terms: BTreeMap<IndexTerm, Interval>,
    facts: Vec<Fact>,
}

impl Region {
    /// The points within `axes` where all guards hold.
    pub fn new<'g>(axes: Vec<Interval>, guards: impl IntoIterator<Item = &'g Guard>) -> Region {
        let facts: Vec<Fact> = guards.into_iter().map(Fact::of).collect();
        let mut out = Region { axes, terms: BTreeMap::new(), facts };
        // A second round carries what one guard says about an axis into the others.
        for _ in 0..2 {
            out.tighten();
        }
        out
    }

    /// Whether there is provably no such point.
    pub fn is_empty(&self) -> bool {
        self.axes.iter().chain(self.terms.values()).any(|i| i.is_empty())
            || self.facts.iter().any(|f| f.interval.is_empty())
    }

    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The least and the greatest value (possibly wider, never narrower).
    pub fn bounds(&self, expr: &Linear) -> Interval {
        let all: Vec<&Fact> = self.facts.iter().collect();
        self.best(expr, &all, &Cell::new(MAX_TRIALS))
    }

    /// Bounds of what a division divides.
    ///
    /// Only facts about axes help here: others could bring back the division that is asked about.
    fn inner_bounds(&self, expr: &IndexExpr) -> Interval {
        let affine: Vec<&Fact> = self.facts.iter().filter(|f| f.is_affine).collect();
        self.best(&Linear::of(expr), &affine, &Cell::new(MAX_TRIALS))
    }

    /// The least and the greatest value of a term.
    pub fn term(&self, term: &IndexTerm) -> Interval {
        let natural = match term {
            IndexTerm::Axis(axis) => self.axes[*axis],
            IndexTerm::Div(e, d) => self.inner_bounds(e).floor_div((*d).into()),
            IndexTerm::Rem(e, d) => self.inner_bounds(e).rem((*d).into()),
        };
        self.terms.get(term).map_or(natural, |known| known.meet(natural))
    }

    /// Solves every fact for each of its terms.
    fn tighten(&mut self) {
        for fact in self.facts.clone() {
            for (term, c) in &fact.sum.terms {
                let mut others = fact.sum.clone();
                others.terms.remove(term);
                let product = fact.interval.add(self.plain(&others).scale(-1));
                let known = self.term(term).meet(product.divide_exactly(*c));
                self.terms.insert(term.clone(), known);
            }
            let known = self.plain(&fact.sum).meet(fact.interval);
            if known.is_empty() {
                self.terms.extend(fact.sum.terms.into_keys().map(|t| (t, known)));
                self.facts.push(Fact { sum: Linear::default(), interval: known, is_affine: true });
                return;
            }
        }
    }

    /// Bounds term by term, also after `e − (e mod d) = d · ⌊e / d⌋` and
    /// `e − d · ⌊e / d⌋ = e mod d`.
    fn plain(&self, expr: &Linear) -> Interval {
        let by_term = expr.terms.iter().fold(Interval::single(expr.constant), |sum, (term, c)| {
            sum.add(self.term(term).scale(*c))
        });
        let joined = expr.terms.iter().find_map(|(term, c)| {
            let other = joined(expr, term, *c)?;
            (other.terms.len() < expr.terms.len()).then_some(other)
        });
        let known = joined.map_or(by_term, |other| by_term.meet(self.plain(&other)));
        self.gathered(expr).map_or(known, |gathered| known.meet(gathered))
    }

    /// Bounds after `n + ⌊e / d⌋ = ⌊(d·n + e) / d⌋`, which brings back what guards speak of.
    fn gathered(&self, expr: &Linear) -> Option<Interval> {
        let (e, d, c) = expr.terms.iter().find_map(|(term, c)| match term {
            IndexTerm::Div(e, d) => Some((e, i128::from(*d), *c)),
            _ => None,
        })?;
        let mut others = expr.clone();
        others.terms.retain(|term, k| *k % c == 0 && matches!(term, IndexTerm::Axis(_)));
        let mut rest = expr.plus(&others, -1)?;
        rest.terms.retain(
            |term, _| !matches!(term, IndexTerm::Div(f, by) if f == e && i128::from(*by) == d),
        );
        rest.constant = others.constant % c;
        others.constant -= rest.constant;
        others.terms.values_mut().for_each(|k| *k /= c);
        others.constant /= c;
        let inside = Linear::of(e).plus(&others, d)?;
        let affine: Vec<&Fact> = self.facts.iter().filter(|f| f.is_affine).collect();
        let quotient = self.best(&inside, &affine, &Cell::new(MAX_TRIALS)).floor_div(d);
        Some(quotient.scale(c).add(self.plain(&rest)))
    }

    fn best(&self, expr: &Linear, facts: &[&Fact], trials: &Cell<usize>) -> Interval {
        let mut out = self.plain(expr);
        for (k, fact) in facts.iter().enumerate() {
            let mut factors: Vec<i128> =
                fact.sum.terms.iter().flat_map(|(t, a)| factors_for(expr, t, *a)).collect();
            factors.sort_unstable();
            factors.dedup();
            for factor in factors {
                let Some(rest) = expr.plus(&fact.sum, -factor) else { continue };
                if trials.get() == 0 {
                    return out;
                }
                trials.set(trials.get() - 1);
                let taken = fact.interval.scale(factor);
                out = out.meet(self.best(&rest, &facts[k + 1..], trials).add(taken));
            }
        }
        out
    }
}

/// The sum with one division or remainder expressed by the other.
fn joined(expr: &Linear, term: &IndexTerm, c: i128) -> Option<Linear> {
    let mut other = expr.clone();
    other.terms.remove(term);
    match term {
        IndexTerm::Axis(_) => None,
        IndexTerm::Rem(e, d) => {
            let mut other = other.plus(&Linear::of(e), c)?;
            other.add_term(IndexTerm::Div(e.clone(), *d), -c * i128::from(*d));
            Some(other)
        }
        IndexTerm::Div(e, d) => {
            let n = c / i128::from(*d);
            if n * i128::from(*d) != c {
                return None;
            }
            let mut other = other.plus(&Linear::of(e), n)?;
            other.add_term(IndexTerm::Rem(e.clone(), *d), -n);
            Some(other)
        }
    }
}

/// How often a fact with `a · term` may be taken out of a sum: by the term itself, or by what a
/// division or remainder divides.
fn factors_for(expr: &Linear, term: &IndexTerm, a: i128) -> Vec<i128> {
    let by = |t: &IndexTerm, a: i128| expr.terms.get(t).filter(|c| *c % a == 0).map(|c| c / a);
    let mut out: Vec<i128> = by(term, a).into_iter().collect();
    let (inner, size) = match term {
        IndexTerm::Axis(_) => return out,
        IndexTerm::Rem(e, _) => (e, 1),
        IndexTerm::Div(e, d) => (e, i128::from(*d)),
    };
    for (t, b) in Linear::of(inner).terms {
        out.extend(by(&t, b).map(|n| n * size / a));
    }
    out
}
