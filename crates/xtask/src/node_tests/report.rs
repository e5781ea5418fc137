//! Counts per family and the reasons of what did not pass.

use std::collections::BTreeMap;

use super::{Outcome, case::Class};

/// One case and what became of it.
pub struct Entry {
    /// The case's name.
    pub name: String,
    /// The element types of its inputs and outputs.
    pub class: Class,
    /// Its family.
    pub family: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// Everything that was run.
#[derive(Default)]
pub struct Report {
    entries: Vec<Entry>,
}

/// How many cases of a group came to which end.
#[derive(Default, Clone, Copy)]
struct Counts {
    pass: usize,
    specialised: usize,
    wrong: usize,
    refused: usize,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Pass { is_specialised } => {
                self.pass += 1;
                self.specialised += usize::from(*is_specialised);
            }
            Outcome::Wrong(_) => self.wrong += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
    }

    fn total(self) -> usize {
        self.pass + self.wrong + self.refused
    }
}

impl Report {
    /// Adds a case.
    pub fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The names of the cases that pass, sorted.
    pub fn passing(&self) -> Vec<String> {
        let passed = self.entries.iter().filter(|e| matches!(e.outcome, Outcome::Pass { .. }));
        let mut names: Vec<String> = passed.map(|e| e.name.clone()).collect();
        names.sort();
        names
    }

    /// How many cases give a wrong answer.
    pub fn n_wrong(&self) -> usize {
        self.entries.iter().filter(|e| matches!(e.outcome, Outcome::Wrong(_))).count()
    }

    /// Prints the table; wrong answers always, refusals where asked.
    pub fn print(&self, verbose: bool) {
        for entry in &self.entries {
            match &entry.outcome {
                Outcome::Wrong(what) => println!("wrong   {}: {what}", entry.name),
                Outcome::Refused(why) if verbose => println!("refused {}: {why}", entry.name),
                _ => {}
            }
        }
        let mut families: BTreeMap<&str, [Counts; 2]> = BTreeMap::new();
        let mut totals = [Counts::default(); 2];
        for entry in &self.entries {
            let counts = families.entry(entry.family).or_default();
            let is_plain = entry.class <= Class::B;
            counts[0].add(&entry.outcome);
            totals[0].add(&entry.outcome);
            if is_plain {
                counts[1].add(&entry.outcome);
                totals[1].add(&entry.outcome);
            }
        }
        println!(
            "{:34} {:>6} {:>6} {:>12} {:>6} {:>8} | f32, integer, bool: {:>4}",
            "family", "cases", "pass", "specialised", "wrong", "refused", "pass"
        );
        families.insert("all", totals);
        for (family, [all, plain]) in &families {
            println!(
                "{family:34} {:6} {:6} {:12} {:6} {:8} | {:4} of {:4}",
                all.total(),
                all.pass,
                all.specialised,
                all.wrong,
                all.refused,
                plain.pass,
                plain.total()
            );
        }
    }
}
