//! Locking, marking, listing.
