//! Programs as object files: kernels, constants, and a driver that runs the launches in order.

mod header;

use cranelift_codegen::{
    Context,
    ir::{
        AbiParam, Function, InstBuilder, Signature, StackSlot, StackSlotData, StackSlotKind,
        UserFuncName, Value, types,
    },
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module, ModuleError};
use cranelift_object::{
    ObjectBuilder, ObjectModule,
    object::{SectionKind, write::StandardSegment},
};
use tracelift_loops::Kernel;
use tracelift_runtime::{ALIGNMENT, Plan, Slot};

pub use header::header;

use crate::{
    BackendError, CodeModel,
    emit::clif::plain,
    module::{CompileOptions, define_kernels, symbol},
    plan_check::{KernelSignature, check_plan},
    target_isa,
};

/// Compiles a program to an object file with the function `NAME_run`, which [`header`] declares.
///
/// The object needs no other: transcendentals are part of the kernels, constants lie in read-only
/// data. It is the same, byte for byte, however many threads compile it.
///
/// # Errors
/// When a kernel has no code for the target, or the plan does not fit its kernels.
pub fn compile_object(
    plan: &Plan,
    kernels: &[Kernel],
    name: &str,
    options: &CompileOptions,
) -> Result<Vec<u8>, BackendError> {
    let signatures: Vec<KernelSignature> = kernels.iter().map(KernelSignature::of).collect();
    check_plan(plan, &signatures)?;
    let name = symbol(name);
    let failed = |e: Box<ModuleError>| BackendError::code_generator(&name, e);
    let isa = target_isa(&options.target, CodeModel::Object)?;
    let libcalls = cranelift_module::default_libcall_names();
    let builder = ObjectBuilder::new(isa, name.as_str(), libcalls)
        .map_err(|e| BackendError::code_generator(&name, e))?;
    let mut module = ObjectModule::new(builder);
    let functions = define_kernels(&mut module, kernels, &format!("{name}_kernel"), options)?;
    let constants = define_constants(&mut module, plan, &name).map_err(failed)?;
    define_driver(&mut module, plan, &name, &functions, &constants).map_err(failed)?;
    let mut product = module.finish();
    // Without this section, linkers assume that the code wants an executable stack.
    let segment = product.object.segment_name(StandardSegment::Debug).to_vec();
    product.object.add_section(segment, b".note.GNU-stack".to_vec(), SectionKind::Other);
    product.emit().map_err(|e| BackendError::code_generator(&name, e))
}

/// The bytes of memory the driver needs: the arena, then scratch.
fn memory_bytes(plan: &Plan) -> usize {
    scratch_offset(plan) + plan.scratch_bytes
}

fn scratch_offset(plan: &Plan) -> usize {
    plan.arena_bytes.next_multiple_of(ALIGNMENT)
}

fn define_constants(
    module: &mut ObjectModule,
    plan: &Plan,
    name: &str,
) -> Result<Vec<DataId>, Box<ModuleError>> {
    let mut ids = Vec::with_capacity(plan.constants.len());
    for (k, constant) in plan.constants.iter().enumerate() {
        let symbol = format!("{name}_constant{k}");
        let id = module.declare_data(&symbol, Linkage::Local, false, false)?;
        let mut data = DataDescription::new();
        data.set_align(ALIGNMENT as u64);
        data.define(constant.bytes().to_vec().into_boxed_slice());
        module.define_data(id, &data)?;
        ids.push(id);
    }
    Ok(ids)
}

/// Defines `NAME_run(inputs, outputs, memory)`, which calls each kernel over its full grid.
fn define_driver(
    module: &mut ObjectModule,
    plan: &Plan,
    name: &str,
    kernels: &[FuncId],
    constants: &[DataId],
) -> Result<(), Box<ModuleError>> {
    let mut signature = Signature::new(module.isa().default_call_conv());
    signature.params.extend([types::I64; 3].map(AbiParam::new));
    let id = module.declare_function(&format!("{name}_run"), Linkage::Export, &signature)?;
    let user_name = UserFuncName::user(0, id.as_u32());
    let mut context = Context::for_function(Function::with_name_signature(user_name, signature));
    let mut builder_context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut context.func, &mut builder_context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    let most = plan.launches.iter().map(|l| l.operands.len()).max().unwrap_or(0) as u32;
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * (most + 1), 3);
    let table = b.create_sized_stack_slot(slot);
    let mut driver = Driver { b, module, plan, kernels, constants, params, table };
    for launch in 0..plan.launches.len() {
        driver.launch(launch);
    }
    let Driver { mut b, module, .. } = driver;
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(module.isa().frontend_config());
    Ok(module.define_function(id, &mut context)?)
}

/// The driver being emitted.
struct Driver<'d, 'f> {
    b: FunctionBuilder<'f>,
    module: &'d mut ObjectModule,
    plan: &'d Plan,
    kernels: &'d [FuncId],
    constants: &'d [DataId],
    /// The tables of inputs and outputs, and the memory.
    params: Vec<Value>,
    /// The operands of the current launch.
    table: StackSlot,
}

impl Driver<'_, '_> {
    fn launch(&mut self, number: usize) {
        let plan = self.plan;
        let launch = &plan.launches[number];
        for (k, &slot) in launch.operands.iter().enumerate() {
            let address = self.address(slot);
            self.set_operand(k, address);
        }
        let scratch = self.address(Slot::Arena(scratch_offset(plan)));
        self.set_operand(launch.operands.len(), scratch);
        let callee = self.kernels[launch.kernel];
        let callee = self.module.declare_func_in_func(callee, self.b.func);
        let table = self.b.ins().stack_addr(types::I64, self.table, 0);
        let begin = self.b.ins().iconst(types::I64, 0);
        let end = self.b.ins().iconst(types::I64, launch.n_tasks as i64);
        self.b.ins().call(callee, &[table, begin, end]);
    }

    fn set_operand(&mut self, operand: usize, address: Value) {
        let table = self.b.ins().stack_addr(types::I64, self.table, 0);
        self.b.ins().store(plain(), address, table, 8 * operand as i32);
    }

    fn address(&mut self, slot: Slot) -> Value {
        let [inputs, outputs, memory] = self.params[..] else {
            unreachable!("the driver has three parameters")
        };
        match slot {
            Slot::Arena(offset) => self.b.ins().iadd_imm_s(memory, offset as i64),
            Slot::Input(k) => self.b.ins().load(types::I64, plain(), inputs, 8 * k as i32),
            Slot::Output(k) => self.b.ins().load(types::I64, plain(), outputs, 8 * k as i32),
            Slot::Constant(k) => {
                let data = self.module.declare_data_in_func(self.constants[k], self.b.func);
                self.b.ins().symbol_value(types::I64, data)
            }
        }
    }
}
