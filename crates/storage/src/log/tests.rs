//! The log against a model, a clock and a faulty disk.
