//! The attributes of one node, read by name and type.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::failure::{Converted, Failure, ensure};
use crate::{
    error::Shown,
    wire::{AttributeProto, AttributeType, GraphProto, TensorProto},
};

/// The attributes of a node; remembers which were read, so that the rest can be refused.
pub(crate) struct Attributes<'m> {
    by_name: BTreeMap<&'m str, &'m AttributeProto>,
    read: RefCell<BTreeSet<String>>,
}

impl<'m> Attributes<'m> {
    /// Attributes by name; within a function, those that refer to the caller's are resolved.
    ///
    /// # Errors
    /// When a name occurs twice.
    pub fn new(
        list: &'m [AttributeProto],
        caller: &BTreeMap<&'m str, &'m AttributeProto>,
    ) -> Converted<Attributes<'m>> {
        let mut by_name = BTreeMap::new();
        for attribute in list {
            let found = match attribute.ref_attr_name.as_str() {
                "" => Some(attribute),
                name => caller.get(name).copied(),
            };
            if let Some(found) = found {
                let previous = by_name.insert(attribute.name.as_str(), found);
                ensure!(
                    previous.is_none(),
                    "attribute '{}' is given twice",
                    Shown(&attribute.name)
                );
            }
        }
        Ok(Attributes { by_name, read: RefCell::default() })
    }

    /// All of them, for a function's body.
    pub fn all(&self) -> &BTreeMap<&'m str, &'m AttributeProto> {
        &self.by_name
    }

    /// The names of attributes that nothing has read.
    pub fn unread(&self) -> Vec<&'m str> {
        let read = self.read.borrow();
        self.by_name.keys().copied().filter(|name| !read.contains(*name)).collect()
    }

    /// Accepts attributes that have no effect here.
    pub fn ignore(&self, names: &[&str]) {
        self.read.borrow_mut().extend(names.iter().map(|n| n.to_string()));
    }

    /// Whether an attribute is there.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    fn get(&self, name: &str, ty: AttributeType) -> Converted<Option<&'m AttributeProto>> {
        self.read.borrow_mut().insert(name.to_string());
        let Some(attribute) = self.by_name.get(name) else { return Ok(None) };
        let found = AttributeType::try_from(attribute.r#type).unwrap_or(AttributeType::Undefined);
        if found != ty && found != AttributeType::Undefined {
            let what = format!("attribute '{name}' is of type {found:?}, expected {ty:?}");
            return Err(Failure::new(what));
        }
        Ok(Some(attribute))
    }

    /// An integer, where it is given.
    ///
    /// # Errors
    /// When it is of another type; likewise below.
    pub fn int(&self, name: &str) -> Converted<Option<i64>> {
        Ok(self.get(name, AttributeType::Int)?.map(|a| a.i.unwrap_or(0)))
    }

    /// An integer or a default.
    pub fn int_or(&self, name: &str, default: i64) -> Converted<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// A truth value stored as 0 or 1.
    pub fn flag(&self, name: &str) -> Converted<bool> {
        Ok(self.int_or(name, 0)? != 0)
    }

    /// Integers, where they are given.
    pub fn ints(&self, name: &str) -> Converted<Option<&'m [i64]>> {
        Ok(self.get(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    /// Integers that lie in a range, where they are given.
    pub fn sizes(&self, name: &str, least: usize) -> Converted<Option<Vec<usize>>> {
        const MOST: usize = 1 << 40;
        let Some(ints) = self.ints(name)? else { return Ok(None) };
        let size = |&i: &i64| usize::try_from(i).ok().filter(|n| (least..=MOST).contains(n));
        let sizes: Option<Vec<usize>> = ints.iter().map(size).collect();
        match sizes {
            Some(sizes) => Ok(Some(sizes)),
            None => Err(Failure::new(format!(
                "attribute '{name}' is {ints:?}, expected at least {least} each"
            ))),
        }
    }

    /// A float, where it is given.
    pub fn float(&self, name: &str) -> Converted<Option<f32>> {
        Ok(self.get(name, AttributeType::Float)?.map(|a| a.f.unwrap_or(0.0)))
    }

    /// A float or a default.
    pub fn float_or(&self, name: &str, default: f32) -> Converted<f32> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Floats, where they are given.
    pub fn floats(&self, name: &str) -> Converted<Option<&'m [f32]>> {
        Ok(self.get(name, AttributeType::Floats)?.map(|a| a.floats.as_slice()))
    }

    /// A text, where it is given.
    pub fn text(&self, name: &str) -> Converted<Option<String>> {
        let attribute = self.get(name, AttributeType::String)?;
        Ok(attribute.map(|a| String::from_utf8_lossy(a.s.as_deref().unwrap_or(&[])).into_owned()))
    }

    /// A text or a default.
    pub fn text_or(&self, name: &str, default: &str) -> Converted<String> {
        Ok(self.text(name)?.unwrap_or_else(|| default.to_string()))
    }

    /// A tensor, where it is given.
    pub fn tensor(&self, name: &str) -> Converted<Option<&'m TensorProto>> {
        Ok(self.get(name, AttributeType::Tensor)?.and_then(|a| a.t.as_deref()))
    }

    /// A graph, where it is given.
    pub fn graph(&self, name: &str) -> Converted<Option<&'m GraphProto>> {
        Ok(self.get(name, AttributeType::Graph)?.and_then(|a| a.g.as_deref()))
    }
}
