//! Events in, records and answers asserted.

mod brokers;
mod bugs;
mod features;
mod leaders;
mod random_walk;
mod reassignments;
mod topics;
mod world;
