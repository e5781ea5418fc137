//! The manager: options, reports, provenance.

use crate::support::*;
use tracelift_ir::{Builder, Graph, Mul, Provenance, Silu, TensorType};
use tracelift_passes::{Options, PassManager, pipelines};
use tracelift_tensor::DType;

fn graph() -> Graph {
    graph_of(|g| {
        let x = g.add_input("x", TensorType::new(DType::F32, [4]));
        let mut b = Builder::with_provenance(g, Provenance::at("model.rs:3", "net"));
        let y = b.op1(Silu {}, &[x]).unwrap();
        b.set_provenance(Provenance::at("model.rs:4", "net"));
        let y = b.neg(y).unwrap();
        b.set_provenance(Provenance::at("model.rs:5", "net"));
        let y = b.neg(y).unwrap();
        let y = b.map_scalar(Mul {}, y, 1.0).unwrap();
        vec![b.name(y, "y")]
    })
}

#[test]
fn a_report_names_passes_changes_and_laws() {
    let (_, report) = run(&["simplify", "simplify"], &graph());
    let [first, second] = report.runs.as_slice() else { panic!("two passes ran") };
    assert!(first.changed && !second.changed);
    assert_eq!((first.nodes_before, first.nodes_after, second.nodes_after), (6, 2, 2));
    assert_eq!((first.laws["involution"], first.laws["neutral"]), (1, 1));
}

#[test]
fn options_choose_passes() {
    let run = |options| {
        let mut graph = graph();
        let manager = PassManager::new(pipelines::DEFAULT, options).unwrap();
        let report = manager.run(&mut graph).unwrap();
        (names(&graph), report.runs.iter().map(|run| run.name).collect::<Vec<_>>())
    };
    let only = Options { passes: Some(vec!["decompose".into()]), ..Options::default() };
    assert_eq!(run(only).1, ["decompose"]);
    let stop = Options { stop_after: Some("simplify".into()), ..Options::default() };
    assert_eq!(run(stop), (vec!["silu"], vec!["spell_out", "simplify"]));
    let skip = vec!["simplify".to_string(), "spell_out".into()];
    assert_eq!(run(Options { skip, ..Options::default() }).1[0], "fold_constants");
    // Without any optional change, composites are still decomposed.
    let names = run(Options { bisect_limit: Some(0), ..Options::default() }).0;
    assert!(names.ends_with(&["neg", "neg", "mul"]) && !names.contains(&"silu"), "{names:?}");
    let names = run(Options { bisect_limit: Some(1), ..Options::default() }).0;
    assert!(names.ends_with(&["mul"]) || names.ends_with(&["neg", "neg"]), "{names:?}");
    let unknown = Options { skip: vec!["simplfy".into()], ..Options::default() };
    assert!(PassManager::new(pipelines::DEFAULT, unknown).is_err());
}

#[test]
fn replaced_nodes_leave_their_sources_and_names() {
    let (after, _) = run(&["simplify"], &graph());
    let node = after.node(after.results()[0].value.node);
    let places: Vec<&str> = node.provenance.origins().iter().map(|o| &*o.place).collect();
    assert_eq!(places.len(), 3, "{places:?}");
    assert_eq!(node.names.as_slice(), ["y".into()]);
    let (after, _) = run(&["decompose"], &after);
    for id in after.topological_order().into_iter().filter(|id| after.op(*id).is_some()) {
        assert_eq!(after.node(id).provenance.origins().len(), 3);
    }
}

#[test]
fn dumps_are_numbered() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dump_dir: Some(dir.path().join("dump")), ..Options::default() };
    PassManager::new(&["simplify", "remove_dead"], options).unwrap().run(&mut graph()).unwrap();
    let mut files: Vec<String> = std::fs::read_dir(dir.path().join("dump"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["00.input.graph", "01.after-simplify.changed.graph", "02.after-remove_dead.same.graph"]
    );
}
