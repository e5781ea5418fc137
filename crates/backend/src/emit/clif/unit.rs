//! Calls of units: what the tile assembler compiles of a kernel.

use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, InstBuilder, StackSlotData, StackSlotKind, UserExternalName, types,
};
use tracelift_loops::Stmt;
use tracelift_scalar::IndexExpr;

use super::{
    Emitter, UNIT_NAMESPACE,
    address::{Linear, Point},
};
use crate::emit::x86_64::Stream;

impl<'k> Emitter<'k, '_> {
    /// Has the tile assembler compile a statement and calls the result; `false` where it cannot.
    pub(super) fn unit(&mut self, stmt: &'k Stmt) -> bool {
        let Ok(unit) = self.assembler.assemble(self.kernel, stmt) else { return false };
        let bytes = 8 * unit.streams.len().max(1) as u32;
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3);
        let table = self.b.create_sized_stack_slot(slot);
        for (k, stream) in unit.streams.iter().enumerate() {
            let address = self.stream(stream);
            self.b.ins().stack_store(types::I64, address, table, 8 * k as i32);
        }
        let index = self.units.iter().position(|known| *known == unit).unwrap_or(self.units.len());
        if index == self.units.len() {
            self.units.push(unit);
        }
        let name = UserExternalName { namespace: UNIT_NAMESPACE, index: index as u32 };
        let name = self.b.func.declare_imported_user_function(name);
        let signature = self.b.import_signature(self.unit_signature.clone());
        let function = self.b.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        let table = self.b.ins().stack_addr(types::I64, table, 0);
        self.b.ins().call(function, &[table]);
        true
    }

    /// The address, or number, where a stream begins.
    fn stream(&mut self, stream: &Stream) -> cranelift_codegen::ir::Value {
        let index = IndexExpr { constant: 0, terms: stream.outside.clone() };
        let index = Point::outside_tiles().resolve(&index, &self.extents);
        let linear = Linear { buffer: stream.buffer, terms: index.terms };
        let sum = self.linear(&linear);
        self.add_constant(sum, index.constant)
    }
}
