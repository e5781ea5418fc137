//! Graph to loops to machine code: schedule, memory plan, code generation, JIT and object files.
