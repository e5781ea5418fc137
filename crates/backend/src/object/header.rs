//! The C header of an object file.

use std::fmt::Write;

use tracelift_runtime::{ALIGNMENT, Plan, Port};
use tracelift_tensor::DType;

use super::memory_bytes;
use crate::module::symbol;

/// Declares what the object of a program offers to C.
pub fn header(plan: &Plan, name: &str) -> String {
    let name = symbol(name);
    let guard = name.to_uppercase();
    let mut out = format!(
        "#ifndef {guard}_H\n#define {guard}_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         /* The number of inputs and outputs. */\n\
         #define {guard}_N_INPUTS {}\n#define {guard}_N_OUTPUTS {}\n\n\
         /* The bytes of memory that a run uses, and the alignment of its start. */\n\
         #define {guard}_ARENA_BYTES ((size_t){})\n#define {guard}_ARENA_ALIGNMENT {ALIGNMENT}\n\n",
        plan.inputs.len(),
        plan.outputs.len(),
        memory_bytes(plan),
    );
    let _ = write!(out, "/* Computes the outputs from the inputs, all row-major.\n *\n");
    list_ports(&mut out, "inputs", &plan.inputs);
    list_ports(&mut out, "outputs", &plan.outputs);
    let _ = write!(
        out,
        " * Each is aligned to its element. `arena` has {guard}_ARENA_BYTES bytes of any content,\n \
         * aligned to {guard}_ARENA_ALIGNMENT, and is used by one run at a time. No two of inputs'\n \
         * and outputs' memory and `arena` overlap, but for inputs among themselves.\n */\n\
         void {name}_run(const void *const *inputs, void *const *outputs, void *arena);\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n#endif\n"
    );
    out
}

fn list_ports(out: &mut String, table: &str, ports: &[Port]) {
    for (k, port) in ports.iter().enumerate() {
        let Port { name, dtype, shape } = port;
        // A name must not end the comment.
        let name = name.replace("*/", "* /").replace(['\n', '\r'], " ");
        let _ = writeln!(
            out,
            " *   {table}[{k}]: {name}, {} of shape {shape:?}, {} bytes",
            c_type(*dtype),
            port.size_bytes()
        );
    }
    let _ = writeln!(out, " *");
}

fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "uint8_t (0 or 1)",
        DType::U8 => "uint8_t",
        DType::U16 => "uint16_t",
        DType::U32 => "uint32_t",
        DType::U64 => "uint64_t",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int32_t",
        DType::I64 => "int64_t",
        DType::F32 => "float",
        DType::F64 => "double",
    }
}
