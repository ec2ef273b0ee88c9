//! Tests of the whole shard: scripts of requests with what comes of them, and random sequences
//! after which a shard that loads the log must equal the one that wrote it.

mod property;
mod script;
mod words;
mod world;
