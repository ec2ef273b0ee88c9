//! Duplicates, gaps, epochs, markers; snapshots there and back.
