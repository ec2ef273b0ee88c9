//! The derive macro of `kalda-protocol`.
