//! The gate: what passes, what is refused and with which records named.
