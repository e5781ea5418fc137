//! The scalar language: typed expressions over single numbers, and quasi-affine index maps.
