//! `Einsum`: any number of operands, repeated letters and an ellipsis.
//!
//! Each operand loses its diagonals and broadcast axes first; then operands are contracted from
//! left to right, a letter being summed as soon as nothing to its right needs it.

use tracelift_ir::{Contract, Iota, ReduceKind, Shape, Value, ops};
use tracelift_tensor::{DType, Dim};

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
};

/// An operand and the letters of its axes.
struct Term {
    value: Value,
    letters: Vec<char>,
}

/// The letters of every operand and of the result, ellipses written out.
struct Equation {
    operands: Vec<Vec<char>>,
    result: Vec<char>,
}

/// Imports the operator.
pub(super) fn einsum(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let text = cx.attributes.text_or("equation", "")?;
    let values = cx.all_operands()?;
    let ranks: Vec<usize> = values.iter().map(|v| cx.rank(*v)).collect();
    let equation = parse(&text, &ranks)?;
    let mut terms = Vec::new();
    for (value, letters) in values.into_iter().zip(&equation.operands) {
        let (value, letters) = diagonal(cx, value, letters)?;
        terms.push(Term { value, letters });
    }
    let mut terms = terms.into_iter();
    let mut first = terms.next().ok_or_else(|| Failure::new("found no operands"))?;
    let rest: Vec<Term> = terms.collect();
    for (k, next) in rest.iter().enumerate() {
        let needed: Vec<char> = rest[k + 1..]
            .iter()
            .flat_map(|t| &t.letters)
            .chain(&equation.result)
            .copied()
            .collect();
        first = join(cx, first, next, &needed)?;
    }
    Ok(vec![finish(cx, first, &equation.result)?])
}

/// Reads an equation; spaces mean nothing.
fn parse(text: &str, ranks: &[usize]) -> Converted<Equation> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let malformed =
        |what: &str| Failure::new(format!("equation '{}': {what}", crate::error::Shown(&text)));
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (text.as_str(), None),
    };
    let parts: Vec<&str> = left.split(',').collect();
    ensure!(
        parts.len() == ranks.len(),
        "equation '{}' has {} operands, found {}",
        crate::error::Shown(&text),
        parts.len(),
        ranks.len()
    );
    let hidden = |part: &str, rank: usize| -> Converted<usize> {
        let own = part.replace("...", "").chars().count();
        let has = part.contains("...");
        if own > rank || (!has && own != rank) {
            return Err(malformed("the letters do not fit the ranks"));
        }
        Ok(rank - own)
    };
    let n_hidden: Vec<usize> =
        parts.iter().zip(ranks).map(|(p, &r)| hidden(p, r)).collect::<Converted<_>>()?;
    let most = n_hidden.iter().copied().max().unwrap_or(0);
    // Letters for the ellipsis, aligned at its last axis.
    let used = |c: &char| text.contains(*c);
    let free: Vec<char> = ('a'..='z').chain('A'..='Z').filter(|c| !used(c)).take(most).collect();
    if free.len() < most {
        return Err(malformed("too many axes"));
    }
    let spell = |part: &str, n: usize| -> Converted<Vec<char>> {
        let ellipsis: String = free[most - n..].iter().collect();
        let spelt = part.replacen("...", &ellipsis, 1);
        if !spelt.chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(malformed("expected letters"));
        }
        Ok(spelt.chars().collect())
    };
    let operands: Vec<Vec<char>> =
        parts.iter().zip(&n_hidden).map(|(p, &n)| spell(p, n)).collect::<Converted<_>>()?;
    let result = match right {
        Some(right) if most > 0 && !right.contains("...") => {
            return Err(malformed("the result lacks the ellipsis"));
        }
        Some(right) => spell(right, most)?,
        None => implied(&operands, &free),
    };
    let distinct = result.iter().enumerate().all(|(k, c)| !result[..k].contains(c));
    let known = result.iter().all(|c| operands.iter().any(|o| o.contains(c)));
    if !distinct || !known {
        return Err(malformed("the result's letters"));
    }
    Ok(Equation { operands, result })
}

/// The result that an equation without `->` means: the ellipsis, then the letters that occur once.
fn implied(operands: &[Vec<char>], ellipsis: &[char]) -> Vec<char> {
    let count = |c: char| operands.iter().flatten().filter(|&&o| o == c).count();
    let mut single: Vec<char> = operands
        .iter()
        .flatten()
        .copied()
        .filter(|&c| count(c) == 1 && !ellipsis.contains(&c))
        .collect();
    single.sort_unstable();
    ellipsis.iter().copied().chain(single).collect()
}

/// Takes the diagonal where a letter repeats: elements off it become 0 and are summed away.
fn diagonal(
    cx: &mut NodeCx<'_, '_>,
    value: Value,
    letters: &[char],
) -> Converted<(Value, Vec<char>)> {
    let (mut value, mut letters) = (value, letters.to_vec());
    while let Some(second) = (0..letters.len()).find(|&k| letters[..k].contains(&letters[k])) {
        let first = letters.iter().position(|&c| c == letters[second]).unwrap_or(second);
        let shape = cx.shape(value);
        ensure!(
            shape[first] == shape[second],
            "extents {} and {} of one letter",
            shape[first],
            shape[second]
        );
        let coordinate = |axis| Iota { shape: shape.clone(), axis, dtype: DType::I64 };
        let (a, b) = (cx.op1(coordinate(first), &[])?, cx.op1(coordinate(second), &[])?);
        let is_on = cx.map(ops::Eq {}, &[a, b])?;
        let zero = cx.splat_like(value, 0.0);
        let kept = cx.map(ops::Select {}, &[is_on, value, zero])?;
        value = cx.reduce(ReduceKind::Sum, kept, &[second])?;
        letters.remove(second);
    }
    Ok((value, letters))
}

/// Drops the axes of extent 1 that the other operand has longer.
fn without_repeated(cx: &mut NodeCx<'_, '_>, term: &Term, other: &Term) -> Converted<Term> {
    let (shape, other_shape) = (cx.shape(term.value), cx.shape(other.value));
    let is_repeated = |axis: usize| {
        let position = other.letters.iter().position(|c| *c == term.letters[axis]);
        shape[axis] == 1 && position.is_some_and(|p| other_shape[p] != 1)
    };
    let kept: Vec<usize> = (0..term.letters.len()).filter(|&a| !is_repeated(a)).collect();
    let dims: Vec<Dim> = kept.iter().map(|&a| shape[a].clone()).collect();
    let value = cx.reshape(term.value, Shape(dims))?;
    Ok(Term { value, letters: kept.iter().map(|&a| term.letters[a]).collect() })
}

/// Contracts two operands, keeping the letters that are needed later.
fn join(cx: &mut NodeCx<'_, '_>, a: Term, b: &Term, needed: &[char]) -> Converted<Term> {
    let (a, b) = (without_repeated(cx, &a, b)?, without_repeated(cx, b, &a)?);
    let mut letters: Vec<char> = Vec::new();
    for &c in a.letters.iter().chain(&b.letters) {
        if needed.contains(&c) && !letters.contains(&c) {
            letters.push(c);
        }
    }
    let text = |letters: &[char]| letters.iter().collect::<String>();
    let spec = format!("{}, {} -> {}", text(&a.letters), text(&b.letters), text(&letters));
    let value = cx.op1(Contract::new(&spec), &[a.value, b.value])?;
    Ok(Term { value, letters })
}

/// Sums what is left over and brings the axes into the result's order.
fn finish(cx: &mut NodeCx<'_, '_>, term: Term, result: &[char]) -> Converted<Value> {
    let summed: Vec<usize> =
        (0..term.letters.len()).filter(|&a| !result.contains(&term.letters[a])).collect();
    let value = cx.reduce(ReduceKind::Sum, term.value, &summed)?;
    let letters: Vec<char> = term.letters.into_iter().filter(|c| result.contains(c)).collect();
    let perm: Vec<usize> =
        result.iter().filter_map(|c| letters.iter().position(|l| l == c)).collect();
    cx.transpose(value, &perm)
}
