//! Log-backed coordinators.
