//! Group commit with real threads and a faulty disk.
