//! The stores from outside.

mod conformance;
mod equal;
mod files;
