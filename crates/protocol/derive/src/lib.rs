//! `#[derive(Message)]`: turns a plain struct with version attributes into a codec for all its versions.
//!
//! Used by `kalda-protocol` for requests, responses, stored records and the structs inside them.
//! It only maps attributes to calls into `kalda_protocol::wire`; no byte layout is decided here.
//!
//! On the struct, `#[message(versions = 0..=13, flexible = 9..)]` makes it a message of its own; without
//! the attribute it is a part of another message and follows that one's version. A request adds
//! `key = 3, response = MetadataResponse`; a coordinator record adds `record_type = 2`.
//!
//! On a field:
//! - `#[versions(1..)]`, `#[versions(0..=4)]`, `#[versions(2)]`: the versions that carry it; all if absent.
//! - `#[nullable(7..)]`: the versions in which an `Option` may be null; all of the field's if absent.
//! - `#[tag(0)]`: a tagged field, written only when it differs from its default.
//! - `#[default(-1)]`: the default if it is not the type's own; `#[default(empty)]` is `Some` of nothing.
//! - `#[ignorable]`: a value that the version cannot carry is dropped instead of being an error.

mod emit;
mod schema;

use proc_macro::TokenStream;

/// Writes `Default`, the field codec and, for messages of their own, `kalda_protocol::Message`.
#[proc_macro_derive(Message, attributes(message, versions, nullable, tag, default, ignorable))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    match schema::Schema::parse(&input) {
        Ok(schema) => emit::emit(&schema).into(),
        Err(error) => error.to_compile_error().into(),
    }
}
