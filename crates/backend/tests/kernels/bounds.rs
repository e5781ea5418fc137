//! Proves that every memory operand of assembled code lies inside its buffer.
//!
//! A disassembler that is not the assembler's library (binutils' `objdump`) decodes the code; the
//! integer instructions are then executed, so that every address of every iteration is known, while
//! vector instructions only have their memory operands checked.

use std::{collections::HashMap, process::Command};

use super::{
    common::targets,
    conditions::masked,
    gemm::{gemm, gemm_and_more, gemm_twice},
    random::{self, Random},
    transpose::transpose,
};
use tracelift_backend::{UnitCode, assembled_units};
use tracelift_loops::{BufferKind, Kernel};

/// An instruction as `objdump` writes it in Intel syntax.
struct Decoded {
    address: u64,
    mnemonic: String,
    operands: Vec<String>,
}

/// Addresses that belong together, and how many bytes there are.
struct Region {
    name: String,
    start: i64,
    len: i64,
}

struct Machine<'u> {
    unit: &'u UnitCode,
    regions: Vec<Region>,
    registers: HashMap<String, i64>,
    /// The table of pointers and the stack, by address.
    memory: HashMap<i64, i64>,
    /// Lanes of known masks.
    masks: HashMap<String, i64>,
    n_checked: usize,
    zero: bool,
}

const TABLE: i64 = 0x10_0000;
const STACK: i64 = 0x20_0000;
const POOL: i64 = 0x30_0000;
const BUFFERS: i64 = 0x4000_0000;
/// The most instructions that a unit may execute here.
const FUEL: usize = 3_000_000;

fn decode(units: &[&UnitCode]) -> Vec<Vec<Decoded>> {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for unit in units {
        starts.push(bytes.len() as u64);
        bytes.extend(&unit.code[..unit.n_code]);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("units.bin");
    std::fs::write(&path, &bytes).expect("the file is written");
    let output = Command::new("objdump")
        .args(["-D", "-b", "binary", "-mi386:x86-64", "-Mintel", "--no-show-raw-insn", "-w"])
        .arg(&path)
        .output()
        .expect("binutils' objdump is installed");
    let text = String::from_utf8(output.stdout).expect("objdump writes text");
    let mut out: Vec<Vec<Decoded>> = units.iter().map(|_| Vec::new()).collect();
    for line in text.lines() {
        let Some((address, rest)) = line.trim_start().split_once(":\t") else { continue };
        let Ok(address) = u64::from_str_radix(address, 16) else { continue };
        let rest = rest.split('#').next().unwrap_or(rest).trim();
        assert!(!rest.contains("(bad)"), "objdump cannot decode: {line}");
        let (mnemonic, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let unit = starts.partition_point(|&s| s <= address) - 1;
        out[unit].push(Decoded {
            address: address - starts[unit],
            mnemonic: mnemonic.to_string(),
            operands: operands.split(',').map(|o| o.trim().to_string()).collect(),
        });
        let last = out[unit].last_mut().expect("one was pushed");
        if last.mnemonic == "jne" {
            let target = last.operands[0].trim_start_matches("0x");
            let target = u64::from_str_radix(target, 16).expect("a jump has a target");
            last.operands[0] = (target - starts[unit]).to_string();
        }
    }
    out
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|x| x as i64),
        None => text.parse().ok(),
    }
}

impl<'u> Machine<'u> {
    fn new(kernel: &Kernel, unit: &'u UnitCode) -> Machine<'u> {
        let region = |name: &str, start, len| Region { name: name.to_string(), start, len };
        let mut regions = vec![
            region("table", TABLE, 8 * unit.pointers.len() as i64),
            region("stack", STACK - 0x1_0000, 0x1_0000),
            region("constants", POOL, (unit.code.len() - unit.n_code) as i64),
        ];
        let mut starts = Vec::new();
        let mut next = BUFFERS;
        for buffer in &kernel.buffers {
            let len = (buffer.len * buffer.dtype.size_bytes()) as i64;
            regions.push(region(&buffer.name, next, len));
            starts.push(next);
            // No address computed from one buffer comes near another.
            next += len + 0x1000_0000;
        }
        let mut memory = HashMap::new();
        for (k, (buffer, _)) in unit.pointers.iter().enumerate() {
            memory.insert(TABLE + 8 * k as i64, buffer.map_or(0, |buffer| starts[buffer]));
        }
        let registers = HashMap::from([("rdi".to_string(), TABLE), ("rsp".to_string(), STACK)]);
        let masks = HashMap::new();
        Machine { unit, regions, registers, memory, masks, n_checked: 0, zero: false }
    }

    /// The address of a memory operand such as `DWORD PTR [rcx+0x18]`.
    fn address(&self, operand: &str) -> Option<i64> {
        let inside = operand.split_once('[')?.1.split_once(']')?.0;
        let at = inside.find(['+', '-']).unwrap_or(inside.len());
        let base = *self.registers.get(&inside[..at]).unwrap_or_else(|| panic!("base {operand}"));
        let offset = match inside[at..].strip_prefix('-') {
            Some(rest) => -number(rest).expect("an offset"),
            None => number(inside[at..].trim_start_matches('+')).unwrap_or(0),
        };
        Some(base + offset)
    }

    fn check(&mut self, inst: &Decoded, address: i64, len: i64, kernel: &Kernel) {
        self.n_checked += 1;
        let inside =
            self.regions.iter().any(|r| r.start <= address && address + len <= r.start + r.len);
        let near: Vec<String> = self
            .regions
            .iter()
            .map(|r| format!("{} at {:#x}, {} bytes", r.name, r.start, r.len))
            .collect();
        assert!(
            inside,
            "{} {:?} at {:#x} reaches {address:#x} ({len} bytes) outside {near:#?} of\n{kernel}",
            inst.mnemonic, inst.operands, inst.address
        );
    }

    /// Runs the unit; `false` where it takes too long.
    fn run(&mut self, code: &[Decoded], kernel: &Kernel) -> bool {
        let at: HashMap<u64, usize> =
            code.iter().enumerate().map(|(k, inst)| (inst.address, k)).collect();
        let mut next = 0;
        for _ in 0..FUEL {
            let inst = &code[next];
            next += 1;
            match inst.mnemonic.as_str() {
                "ret" => return true,
                "jne" if self.zero => {}
                "jne" => next = at[&inst.operands[0].parse::<u64>().expect("a target")],
                _ => self.step(inst, kernel),
            }
        }
        false
    }

    fn value(&self, operand: &str) -> i64 {
        if let Some(address) = self.address(operand) {
            return *self.memory.get(&address).unwrap_or(&0);
        }
        match number(operand) {
            Some(number) => number,
            None => *self.registers.get(&wide(operand)).unwrap_or(&0),
        }
    }

    fn set(&mut self, operand: &str, value: i64) {
        match self.address(operand) {
            Some(address) => self.memory.insert(address, value),
            None => self.registers.insert(wide(operand), value),
        };
    }

    fn step(&mut self, inst: &Decoded, kernel: &Kernel) {
        let operands: Vec<&str> = inst.operands.iter().map(String::as_str).collect();
        let memory = operands.iter().find(|o| o.contains('[') && !o.contains("rip"));
        if let Some(memory) = memory
            && !matches!(inst.mnemonic.as_str(), "lea" | "prefetcht1")
        {
            let address = self.address(memory).expect("a memory operand");
            let len = self.bytes(inst, memory);
            self.check(inst, address, len, kernel);
        }
        match (inst.mnemonic.as_str(), operands.as_slice()) {
            ("push", [x]) => {
                let value = self.value(x);
                *self.registers.get_mut("rsp").expect("a stack") -= 8;
                let top = self.registers["rsp"];
                self.memory.insert(top, value);
            }
            ("pop", [x]) => {
                let top = self.registers["rsp"];
                let value = *self.memory.get(&top).unwrap_or(&0);
                self.set(x, value);
                *self.registers.get_mut("rsp").expect("a stack") += 8;
            }
            ("lea", ["r11", _]) => {
                self.registers.insert("r11".into(), POOL);
            }
            // A number for lanes, not an address.
            ("lea", ["eax", _]) => {}
            ("mov", [to, from]) => {
                let value = self.value(from);
                self.set(to, value);
            }
            ("add", [to, by]) => self.set(to, self.value(to).wrapping_add(self.value(by))),
            ("sub", [to, by]) => self.set(to, self.value(to).wrapping_sub(self.value(by))),
            ("and", [to, by]) => self.set(to, self.value(to) & self.value(by)),
            ("dec", [to]) => {
                let value = self.value(to) - 1;
                self.set(to, value);
                self.zero = value == 0;
            }
            ("kmovw", [to, from]) if to.starts_with('k') && from.starts_with('e') => {
                let lanes = 64 - self.value(from).leading_zeros() as i64;
                self.masks.insert(to.to_string(), lanes);
            }
            ("vmovups", [to, from]) if to.starts_with("ymm") && from.contains("[r11") => {
                let at = (self.address(from).expect("a constant") - POOL) as usize;
                let words = &self.unit.code[self.unit.n_code + at..][..32];
                let is_set = |k: &i64| words[4 * *k as usize..][..4] != [0; 4];
                self.masks.insert(to.to_string(), (0..8).filter(is_set).count() as i64);
            }
            ("vmovups" | "kmovw", [to, from]) if to.contains("[rsp") || from.contains("[rsp") => {
                // A mask may be kept in the frame for a while.
                let key = |o: &str| self.address(o).map_or(o.to_string(), |a| a.to_string());
                let (to, from) = (key(to), key(from));
                match self.masks.get(&from).copied() {
                    Some(lanes) => self.masks.insert(to, lanes),
                    None => self.masks.remove(&to),
                };
            }
            // What is fetched for later may lie anywhere.
            ("prefetcht0" | "prefetcht1" | "prefetchw", _) => {}
            (other, _) if other.starts_with('v') || other.starts_with('k') => {
                let to = operands[0].split('{').next().unwrap_or("");
                self.masks.remove(to);
            }
            (other, _) => panic!("{other} {operands:?} is not an instruction that units use"),
        }
    }

    /// The bytes that an instruction touches at its memory operand.
    fn bytes(&self, inst: &Decoded, memory: &str) -> i64 {
        let size = match memory.split_whitespace().next() {
            Some("ZMMWORD") => 64,
            Some("YMMWORD") => 32,
            Some("XMMWORD") => 16,
            Some("QWORD") => 8,
            Some("DWORD") => 4,
            Some("WORD") => 2,
            Some("BYTE") => 1,
            _ => panic!("the size of {memory}"),
        };
        let mask = match inst.mnemonic.as_str() {
            "vmaskmovps" if inst.operands[0].contains('[') => Some(inst.operands[1].clone()),
            "vmaskmovps" => Some(inst.operands[1].clone()),
            "vmovups" | "vpmovzxbd" => inst
                .operands
                .iter()
                .find_map(|o| o.split_once("{k").map(|(_, k)| format!("k{}", &k[..1]))),
            _ => None,
        };
        let lane = if inst.mnemonic == "vpmovzxbd" { 1 } else { 4 };
        let lanes = mask.map(|m| *self.masks.get(&m).unwrap_or(&(size / lane)));
        lanes.map_or(size, |lanes| lane * lanes)
    }
}

/// A register by its name of 64 bits.
fn wide(register: &str) -> String {
    match register {
        "eax" => "rax".to_string(),
        other => other.to_string(),
    }
}

fn prove(kernels: &[Kernel]) -> usize {
    let mut n_checked = 0;
    for target in targets().into_iter().filter(|t| t.vector_bytes > 16) {
        let mut list: Vec<(&Kernel, UnitCode)> = Vec::new();
        for kernel in kernels {
            let units = assembled_units(kernel, &target).expect("the kernel has code");
            let fixed = |u: &UnitCode| u.pointers.iter().all(|(_, is_start)| *is_start);
            list.extend(units.into_iter().filter(fixed).map(|u| (kernel, u)));
        }
        let units: Vec<&UnitCode> = list.iter().map(|(_, unit)| unit).collect();
        for ((kernel, unit), code) in list.iter().zip(decode(&units)) {
            let mut machine = Machine::new(kernel, unit);
            assert!(machine.run(&code, kernel), "a unit of {} does not end", kernel.name);
            n_checked += machine.n_checked;
        }
    }
    n_checked
}

fn has_assembler() -> bool {
    targets().iter().any(|t| t.vector_bytes > 16)
}

#[test]
fn every_operand_of_random_kernels_is_inside_its_buffer() {
    let kernels: Vec<Kernel> = (0..1500)
        .map(|seed| random::kernel(&mut Random(seed)))
        .filter(|k| k.n_tasks() == 1)
        .collect();
    let n_checked = prove(&kernels);
    assert!(!has_assembler() || n_checked > 10_000, "only {n_checked} operands were seen");
}

#[test]
fn every_operand_of_products_is_inside_its_buffer() {
    let mut kernels = Vec::new();
    for columns in 1..=65 {
        kernels.push(gemm(4, columns, 9, 4, columns, 4));
    }
    for rows in 1..=28 {
        kernels.push(gemm(rows, 17, 6, rows, 17, 4));
    }
    let n_checked = prove(&kernels);
    assert!(!has_assembler() || n_checked > 10_000, "only {n_checked} operands were seen");
}

#[test]
fn every_operand_of_bools_is_inside_its_buffer() {
    let kernels: Vec<Kernel> = (1..=49).map(|columns| masked(2, columns)).collect();
    let n_checked = prove(&kernels);
    assert!(!has_assembler() || n_checked > 1_000, "only {n_checked} operands were seen");
}

#[test]
fn every_operand_of_transposes_is_inside_its_buffer() {
    let pairs = (1..=16).flat_map(|rows| [1, 2, 5, 8, 15, 16, 17, 31].map(|c| (rows, c)));
    let kernels: Vec<Kernel> = pairs.map(|(rows, columns)| transpose(rows, columns)).collect();
    let n_checked = prove(&kernels);
    assert!(!has_assembler() || n_checked > 2_000, "only {n_checked} operands were seen");
}

/// A tile whose accumulators leave few registers loads each element of both operands at most twice
/// for four vectors of columns, and keeps nothing in the frame.
#[test]
fn seven_rows_of_four_vectors_load_little() {
    let Some(target) = targets().into_iter().find(|t| t.vector_bytes == 64) else { return };
    let unit = |depth| {
        let kernel = gemm(7, 64, depth, 7, 64, 1);
        let units = assembled_units(&kernel, &target).expect("the kernel has code");
        let code = decode(&[&units[0]]).remove(0);
        let mut machine = Machine::new(&kernel, &units[0]);
        assert!(machine.run(&code, &kernel), "the unit ends");
        machine.n_checked
    };
    assert_eq!(unit(65) - unit(64), 2 * (2 + 7));
}

/// Operations after a loop that need more registers than there are leave those of the loop alone.
#[test]
fn loops_keep_their_sums_in_registers() {
    for target in targets().into_iter().filter(|t| t.vector_bytes > 16) {
        let (rows, columns) = if target.vector_bytes == 32 { (4, 24) } else { (6, 64) };
        let unit = |depth| {
            let kernel = gemm_and_more(depth, rows, columns);
            let units = assembled_units(&kernel, &target).expect("the kernel has code");
            let code = decode(&[&units[0]]).remove(0);
            let mut machine = Machine::new(&kernel, &units[0]);
            assert!(machine.run(&code, &kernel), "the unit ends");
            machine.n_checked
        };
        let vectors = columns * 4 / target.vector_bytes;
        assert_eq!(unit(68) - unit(64), 4 * (vectors + rows), "{target:?}");
    }
}

/// Sums to which a loop adds several products are never moved from register to register.
#[test]
fn sums_of_several_products_stay_in_place() {
    for target in targets().into_iter().filter(|t| t.vector_bytes > 16) {
        let kernel = gemm_twice(64, 4, target.vector_bytes / 2);
        let units = assembled_units(&kernel, &target).expect("the kernel has code");
        let code = decode(&[&units[0]]).remove(0);
        let is_vector = |operand: &String| operand.starts_with(['y', 'z']);
        let moves = code.iter().filter(|inst| {
            inst.mnemonic.starts_with("vmov") && inst.operands.iter().all(is_vector)
        });
        assert_eq!(moves.count(), 0, "{target:?}");
    }
}

#[test]
fn what_is_fetched_ahead_is_inside_its_buffer() {
    let near = gemm(4, 33, 64, 4, 33, 4);
    let mut far = near.clone();
    // Only places in large buffers are fetched ahead.
    far.buffers.iter_mut().filter(|b| b.kind == BufferKind::Output).for_each(|b| b.len = 1 << 18);
    let [n_near, n_far] = [near, far].map(|kernel| prove(&[kernel]));
    assert!(!has_assembler() || n_far > n_near, "{n_far} operands, without fetching {n_near}");
}

/// A bound that is too small by one element is found.
#[test]
#[should_panic(expected = "outside")]
fn a_buffer_that_is_too_short_is_found() {
    let mut kernel = gemm(4, 17, 9, 4, 17, 4);
    kernel.buffers.iter_mut().filter(|b| b.kind == BufferKind::Output).for_each(|b| b.len -= 1);
    assert!(has_assembler(), "outside of what this machine can show");
    prove(&[kernel]);
}
