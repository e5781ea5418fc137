//! `tracelift compile`: writes an object file and its C header.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use tracelift::{
    backend::{compile_object, header},
    pipeline::Build,
};

use crate::{
    arguments::{CompileArgs, ModelArgs},
    progress::Progress,
    source, table,
};

/// Compile a model to an object file (.o) and a C header beside it (.h)
#[derive(Args)]
pub struct Compile {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// The object file; the header has the same name with .h
    #[arg(short, long, value_name = "FILE.o")]
    output: PathBuf,
    /// The name that the function NAME_run and the macros begin with [default: the file's name]
    #[arg(long)]
    name: Option<String>,
}

impl Compile {
    /// Writes both files and says how large they are.
    ///
    /// # Errors
    /// When the model cannot be loaded or compiled, or a file cannot be written.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let stem = object_stem(&self.output)?;
        let name = self.name.as_deref().unwrap_or(stem);
        let progress = Progress::animated(format!("compiling {}", self.model.model.display()));
        let source = source::load(&self.model)?;
        let mut graph = source.exact_graph()?;
        let mut build = Build::new(&self.compile.options(&source.dims))?;
        build.optimise(&mut graph)?;
        let lowered = build.lower(&graph)?;
        let planned = build.plan(&lowered);
        let plan = build.pack(planned);
        let options = build.compile_options();
        let object = compile_object(&plan, &lowered.kernels, name, &options)?;
        drop(progress);
        let header_path = self.output.with_extension("h");
        write_file(&self.output, &object)?;
        write_file(&header_path, header(&plan, name).as_bytes())?;
        writeln!(
            out,
            "{}: {}, {} kernels, {} launches, constants {}, arena {}, for {}\n{}: declares {}",
            self.output.display(),
            table::bytes(object.len()),
            plan.kernels.len(),
            plan.launches.len(),
            table::bytes(plan.constants.iter().map(|c| c.bytes().len()).sum()),
            table::bytes(plan.arena_bytes),
            build.target().name(),
            header_path.display(),
            declared_function(&header(&plan, name)).unwrap_or("the model's function"),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The name of the function that a header declares.
fn declared_function(header: &str) -> Option<&str> {
    header
        .lines()
        .find_map(|line| line.strip_prefix("void ")?.split_once('('))
        .map(|(name, _)| name)
}

fn object_stem(path: &Path) -> anyhow::Result<&str> {
    match (path.extension().and_then(OsStr::to_str), path.file_stem().and_then(OsStr::to_str)) {
        (Some("o"), Some(stem)) => Ok(stem),
        _ => bail!("{}: expected a name ending in .o", path.display()),
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| path.display().to_string())
}
