//! Every operator against values from outside, on every engine.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tracelift::ir::Op;
use tracelift_tests::{conformance, engine};

#[test]
fn every_operator_has_a_file_and_every_file_an_operator() {
    let operators: BTreeSet<String> = Op::ALL.iter().map(|(name, ..)| name.to_string()).collect();
    let files: BTreeSet<String> = std::fs::read_dir(conformance::folder())
        .expect("the folder exists")
        .filter_map(|entry| {
            let name = entry.expect("the folder can be read").file_name().into_string().ok()?;
            name.strip_suffix(".toml").map(str::to_string)
        })
        .collect();
    assert_eq!(operators.symmetric_difference(&files).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn operators_agree_with_values_from_outside() {
    let (mut failures, mut n_checks) = (Vec::new(), 0);
    for (operator, ..) in Op::ALL {
        let cases = match conformance::read_cases(operator) {
            Ok(cases) => cases,
            Err(error) => {
                failures.push(format!("{operator}: {error:#}"));
                continue;
            }
        };
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "{operator}: names are unique");
        for case in &cases {
            assert_eq!(case.operator(), *operator, "a file holds cases of its operator");
            for engine in engine::engines() {
                n_checks += 1;
                // A panic in one case must not hide the others.
                let checked = catch_unwind(AssertUnwindSafe(|| case.check(&*engine)));
                if let Err(error) = checked.unwrap_or_else(|_| Err(anyhow::anyhow!("panic"))) {
                    let (name, engine) = (&case.name, engine.name());
                    failures.push(format!("{operator}/{name} on {engine}: {error:#}"));
                }
            }
        }
    }
    let n = failures.len();
    assert!(failures.is_empty(), "{n} of {n_checks} checks fail\n{}", failures.join("\n"));
}
