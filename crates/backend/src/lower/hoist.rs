//! Takes conditions out of inner loops.
//!
//! A load that is only valid where a condition on outer axes holds, as in a padded copy, keeps its
//! loops from running as vectors without a branch. The statement is split instead: one with the
//! load for where the condition holds, one with the fill for each side where it does not.

use tracelift_loops::{Inst, Kernel, Stmt, Tile};
use tracelift_scalar::{Guard, IndexExpr};

/// Splits statements whose loads share conditions on axes around them.
pub(super) fn hoist_guards(kernel: &mut Kernel) {
    let extents = kernel.extents();
    kernel.body = split_all(std::mem::take(&mut kernel.body), &extents);
}

fn split_all(stmts: Vec<Stmt>, extents: &[usize]) -> Vec<Stmt> {
    stmts.into_iter().flat_map(|stmt| split(stmt, extents)).collect()
}

fn split(stmt: Stmt, extents: &[usize]) -> Vec<Stmt> {
    if let Some(guards) = common_guards(&stmt) {
        return cases(&stmt, &guards, extents);
    }
    match stmt {
        Stmt::For { axis, body } => vec![Stmt::For { axis, body: split_all(body, extents) }],
        Stmt::If { guards, body } => vec![Stmt::If { guards, body: split_all(body, extents) }],
        tile => vec![tile],
    }
}

/// The statement where all conditions hold, and where each is the first that does not.
fn cases(stmt: &Stmt, guards: &[Guard], extents: &[usize]) -> Vec<Stmt> {
    let when = |guards: Vec<Guard>, stmt: Stmt| Stmt::If { guards, body: vec![stmt] };
    let mut out = vec![when(guards.to_vec(), resolved(stmt, true))];
    for (k, guard) in guards.iter().enumerate() {
        let (low, high) = guard.expr.bounds(extents);
        let below = Guard { expr: guard.expr.scale(-1).offset(-1), extent: -low };
        let above =
            Guard { expr: guard.expr.offset(-guard.extent), extent: high - guard.extent + 1 };
        for outside in [below, above].into_iter().filter(|g| g.extent > 0) {
            let mut conditions = guards[..k].to_vec();
            conditions.push(outside);
            out.push(when(conditions, resolved(stmt, false)));
        }
    }
    out
}

/// The conditions that every guarded load of a statement has, where they are of axes around it.
fn common_guards(stmt: &Stmt) -> Option<Vec<Guard>> {
    let mut found: Option<Vec<Guard>> = None;
    let mut axes = Vec::new();
    let agrees = visit(stmt, &mut axes, &mut |tile| {
        tile.insts.iter().all(|inst| match inst {
            Inst::Load { guards, .. } if !guards.is_empty() => {
                *found.get_or_insert_with(|| guards.clone()) == *guards
            }
            Inst::Test(_) => false,
            Inst::Store { guards, .. } => guards.is_empty(),
            _ => true,
        })
    });
    let is_outer = |e: &IndexExpr| !axes.iter().any(|&a| e.mentions(a));
    found.filter(|guards| agrees && guards.iter().all(|g| is_outer(&g.expr)))
}

/// Whether all tiles of a statement without conditions are as wanted; notes the axes inside.
fn visit(stmt: &Stmt, axes: &mut Vec<usize>, wanted: &mut dyn FnMut(&Tile) -> bool) -> bool {
    match stmt {
        Stmt::For { axis, body } => {
            axes.push(*axis);
            body.iter().all(|stmt| visit(stmt, axes, wanted))
        }
        Stmt::If { .. } => false,
        Stmt::Tile(tile) => {
            axes.extend([tile.rows, tile.columns]);
            axes.extend(&tile.loops);
            wanted(tile)
        }
    }
}

/// The statement with its guarded loads as they are where the conditions hold, or do not.
fn resolved(stmt: &Stmt, holds: bool) -> Stmt {
    let mut stmt = stmt.clone();
    resolve(&mut stmt, holds);
    stmt
}

fn resolve(stmt: &mut Stmt, holds: bool) {
    match stmt {
        Stmt::For { body, .. } | Stmt::If { body, .. } => {
            body.iter_mut().for_each(|stmt| resolve(stmt, holds));
        }
        Stmt::Tile(tile) => {
            for inst in &mut tile.insts {
                match inst {
                    Inst::Load { guards, .. } if holds => guards.clear(),
                    Inst::Load { guards, fill, .. } if !guards.is_empty() => {
                        *inst = Inst::Const(*fill);
                    }
                    _ => {}
                }
            }
        }
    }
}
