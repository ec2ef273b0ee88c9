//! The command line of the workspace: checks and benchmarks that are not part of the product.
fn main() {}
