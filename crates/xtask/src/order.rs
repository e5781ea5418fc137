//! `order`: the functions that the program calls, in the order of their first calls.
//!
//! In: models.  Out: `crates/cli/functions.order`, after which the program is linked: what is used
//! together then lies together, and a run takes memory for the pages of those functions only.
//!
//! Each function begins with a breakpoint, which its first call removes.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    ffi::OsString,
    fs,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use nix::{
    sys::{
        ptrace::{self, Event, Options},
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use object::{Object, ObjectSymbol, SymbolKind};

use crate::bars::release_program;

/// The file that the build script of the program reads.
const ORDER: &str = "crates/cli/functions.order";
/// The instruction that stops a process.
const BREAKPOINT: u8 = 0xcc;
/// The share of names that the program must still have.
const LEAST_KNOWN: f64 = 0.8;

/// The arguments of `order`.
#[derive(Args)]
pub struct Order {
    /// Writes nothing; fails where fewer than 80 % of the names are functions of the program.
    #[arg(long, conflicts_with = "models")]
    check: bool,
    /// The models to run, the smallest first; with the inputs in the .npz beside each, or made up.
    #[arg(required_unless_present = "check")]
    models: Vec<PathBuf>,
}

/// Writes or checks the order.
///
/// # Errors
/// When the program cannot be built, traced or read, and where the check fails.
pub fn main(root: &Path, arguments: &Order) -> anyhow::Result<()> {
    let program = release_program(root, "tracelift-cli", "tracelift")?;
    let functions = functions(&program)?;
    let compiler = compiler()?;
    if arguments.check {
        return check(root, &compiler, &functions);
    }
    let mut order: Vec<&String> = Vec::new();
    let mut seen = HashSet::new();
    for model in &arguments.models {
        let mut bench = vec![OsString::from("bench"), model.into()];
        bench.extend(["--threads", "1", "--seconds", "0.01", "--json"].map(OsString::from));
        let inputs = model.with_extension("npz");
        if inputs.exists() {
            bench.extend(["--inputs".into(), inputs.into()]);
        }
        let called = trace(&program, &bench, &functions)
            .with_context(|| format!("running {}", model.display()))?;
        let new: Vec<u64> = called.iter().copied().filter(|start| seen.insert(*start)).collect();
        println!("{}: {} functions, {} new", model.display(), called.len(), new.len());
        order.extend(new.iter().flat_map(|start| &functions[start]));
    }
    let mut text = format!(
        "# The functions that the program calls, in the order of their first calls, as\n\
         # `cargo xtask order` writes them. Named by {compiler}.\n"
    );
    order.iter().for_each(|name| text.extend([name.as_str(), "\n"]));
    fs::write(root.join(ORDER), text).with_context(|| format!("writing {ORDER}"))
}

/// The names of functions by their addresses in the program's file.
type Functions = BTreeMap<u64, Vec<String>>;

fn check(root: &Path, compiler: &str, functions: &Functions) -> anyhow::Result<()> {
    let text = fs::read_to_string(root.join(ORDER)).with_context(|| format!("reading {ORDER}"))?;
    if !text.contains(compiler) {
        println!("{ORDER} holds names by another compiler than {compiler} and is not used");
        return Ok(());
    }
    let known: HashSet<&str> = functions.values().flatten().map(String::as_str).collect();
    let names: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let n_known = names.iter().filter(|name| known.contains(*name)).count();
    println!("{n_known} of {} names are functions of the program", names.len());
    let least = LEAST_KNOWN * names.len() as f64;
    ensure!(n_known as f64 >= least, "`cargo xtask order MODELS` brings {ORDER} up to date");
    Ok(())
}

/// The compiler as the build script of the program asks for it.
fn compiler() -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("asking rustc")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

fn functions(program: &Path) -> anyhow::Result<Functions> {
    let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let mut functions = Functions::new();
    for symbol in object::File::parse(&*bytes)?.symbols() {
        if symbol.kind() == SymbolKind::Text && symbol.is_definition() && symbol.size() > 0 {
            functions.entry(symbol.address()).or_default().push(symbol.name()?.to_string());
        }
    }
    Ok(functions)
}

/// Runs the program; the addresses of the functions called, in the order of first calls.
fn trace(
    program: &Path,
    arguments: &[OsString],
    functions: &Functions,
) -> anyhow::Result<Vec<u64>> {
    // The shell waits for a line, so that it can be attached to before it becomes the program.
    let mut child = Command::new("sh")
        .args(["-c", "read _ && exec \"$@\"", "sh"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let traced = Traced::follow(&mut child, functions.keys().copied().collect());
    if traced.is_err() {
        child.kill()?;
    }
    traced
}

/// A program with breakpoints.
struct Traced {
    functions: Vec<u64>,
    /// What the breakpoints stand for, by addresses in memory.
    originals: BTreeMap<u64, u8>,
    /// The difference of addresses in memory and in the file.
    base: u64,
    called: Vec<u64>,
}

impl Traced {
    fn follow(child: &mut Child, functions: Vec<u64>) -> anyhow::Result<Vec<u64>> {
        let process = Pid::from_raw(child.id().try_into()?);
        ptrace::attach(process)?;
        waitpid(process, None)?;
        let follow = Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACECLONE;
        ptrace::setoptions(process, follow | Options::PTRACE_O_EXITKILL)?;
        ptrace::cont(process, None)?;
        child.stdin.take().context("standard input is piped")?.write_all(b"\n")?;
        let mut this = Traced { functions, originals: BTreeMap::new(), base: 0, called: vec![] };
        // Other threads of this program may have children of their own.
        let ours = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(ours))? {
                WaitStatus::PtraceEvent(thread, _, event) => {
                    if event == Event::PTRACE_EVENT_EXEC as i32 {
                        this.set_breakpoints(process)?;
                    }
                    ptrace::cont(thread, None)?;
                }
                WaitStatus::Stopped(thread, Signal::SIGTRAP) => this.step(process, thread)?,
                // New threads begin with this.
                WaitStatus::Stopped(thread, Signal::SIGSTOP) => ptrace::cont(thread, None)?,
                WaitStatus::Stopped(thread, signal) => ptrace::cont(thread, signal)?,
                WaitStatus::Exited(thread, status) if thread == process => {
                    ensure!(status == 0, "the program ended with {status}");
                    return Ok(this.called);
                }
                WaitStatus::Signaled(thread, signal, _) if thread == process => {
                    bail!("the program ended with {signal}")
                }
                _ => (),
            }
        }
    }

    fn set_breakpoints(&mut self, process: Pid) -> anyhow::Result<()> {
        let mut maps = String::new();
        File::open(format!("/proc/{process}/maps"))?.read_to_string(&mut maps)?;
        let (base, _) = maps.split_once('-').context("a process has a memory map")?;
        self.base = u64::from_str_radix(base, 16)?;
        let memory = memory(process)?;
        for function in &self.functions {
            let (at, mut original) = (self.base + function, [0]);
            memory.read_exact_at(&mut original, at)?;
            memory.write_all_at(&[BREAKPOINT], at)?;
            self.originals.insert(at, original[0]);
        }
        Ok(())
    }

    /// Notes the function that a thread has entered, and lets it go on.
    fn step(&mut self, process: Pid, thread: Pid) -> anyhow::Result<()> {
        let mut registers = ptrace::getregs(thread)?;
        let at = registers.rip - 1;
        if let Some(original) = self.originals.get(&at) {
            memory(process)?.write_all_at(&[*original], at)?;
            registers.rip = at;
            ptrace::setregs(thread, registers)?;
            let function = at - self.base;
            if !self.called.contains(&function) {
                self.called.push(function);
            }
        }
        Ok(ptrace::cont(thread, None)?)
    }
}

fn memory(process: Pid) -> anyhow::Result<File> {
    Ok(OpenOptions::new().read(true).write(true).open(format!("/proc/{process}/mem"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_come_in_the_order_of_their_first_calls() {
        let program = env::current_exe().unwrap();
        let functions = functions(&program).unwrap();
        let called = trace(&program, &["--list".into()], &functions).unwrap();
        let place = |name: &str| {
            let has = |start: &u64| functions[start].iter().any(|found| found.contains(name));
            called.iter().position(has)
        };
        assert_eq!(place("_start"), Some(0));
        assert!(place("main") < place("test_main_static"));
        assert!(place("test_main_static").is_some());
        assert_eq!(place("functions_come_in_the_order"), None);
        assert_eq!(called.iter().collect::<HashSet<_>>().len(), called.len());
    }
}
