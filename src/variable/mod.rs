//! variable
