//! Writes the code for a [`Schema`]: one call into `kalda_protocol::wire` per field and direction, so
//! that ninety APIs stay quick to compile. Order of fields is the order of the struct.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::schema::{Field, FieldDefault, MessageAttribute, Range, Schema};

pub(crate) fn emit(schema: &Schema) -> TokenStream {
    let default = emit_default(schema);
    let codec = emit_codec(schema);
    let fill = emit_fill(schema);
    let message = schema.message.as_ref().map(|message| emit_message(schema, message));
    quote! { #default #codec #fill #message }
}

fn emit_default(schema: &Schema) -> TokenStream {
    let name = &schema.name;
    let fields = schema.fields.iter().map(|field| {
        let ident = &field.ident;
        let value = default_of(field);
        quote! { #ident: #value }
    });
    quote! {
        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#fields),* }
            }
        }
    }
}

fn emit_codec(schema: &Schema) -> TokenStream {
    let name = &schema.name;
    let writes = schema.fields.iter().filter(|f| f.tag.is_none()).map(|f| write_field(schema, f));
    let write_tags = write_tags(schema);
    let reads = schema.fields.iter().filter(|f| f.tag.is_none()).map(|f| read_field(schema, f));
    let read_tags = read_tags(schema);
    let binding = if schema.fields.is_empty() { quote!() } else { quote!(mut) };
    quote! {
        impl ::kalda_protocol::wire::Field for #name {
            fn write<S: ::kalda_protocol::wire::Sink>(
                &self,
                sink: &mut S,
                version: ::kalda_protocol::wire::Version,
            ) -> ::core::result::Result<(), ::kalda_protocol::EncodeError> {
                #(#writes)*
                #write_tags
            }

            fn read(
                input: &mut ::bytes::Bytes,
                version: ::kalda_protocol::wire::Version,
            ) -> ::core::result::Result<Self, ::kalda_protocol::DecodeError> {
                let #binding message = Self::default();
                #(#reads)*
                #read_tags
                ::core::result::Result::Ok(message)
            }
        }

        impl ::kalda_protocol::wire::Nullable for #name {}
    }
}

fn write_field(schema: &Schema, field: &Field) -> TokenStream {
    let ident = &field.ident;
    let null_check = write_null_check(schema, field);
    let write = quote! {
        #null_check
        ::kalda_protocol::wire::Field::write(&self.#ident, sink, version)?;
    };
    let Some(versions) = field.versions else { return write };
    let within = within(versions);
    if field.ignorable {
        return quote! { if #within { #write } };
    }
    let (struct_name, field_name) = names(schema, field);
    let default = default_of(field);
    quote! {
        if #within {
            #write
        } else {
            ::kalda_protocol::wire::require_default(
                &self.#ident, &#default, #struct_name, #field_name, version,
            )?;
        }
    }
}

fn write_null_check(schema: &Schema, field: &Field) -> Option<TokenStream> {
    let within = within(field.nullable?);
    let ident = &field.ident;
    let (struct_name, field_name) = names(schema, field);
    Some(quote! {
        if self.#ident.is_none() && !#within {
            return ::core::result::Result::Err(
                ::kalda_protocol::EncodeError::null(#struct_name, #field_name, version),
            );
        }
    })
}

fn write_tags(schema: &Schema) -> TokenStream {
    let tagged = schema.tagged();
    if tagged.is_empty() {
        return quote! { ::kalda_protocol::wire::write_no_tags(sink, version) };
    }
    let flags: Vec<_> = tagged.iter().map(|(tag, _)| format_ident!("tag_{}", tag)).collect();
    let decisions = tagged.iter().zip(&flags).map(|((_, field), flag)| {
        let ident = &field.ident;
        let (struct_name, field_name) = names(schema, field);
        let default = default_of(field);
        let within = field.versions.map_or_else(|| quote!(true), within);
        let unequal = quote! { ::kalda_protocol::wire::differs(&self.#ident, &#default) };
        if field.ignorable {
            return quote! { let #flag = #within && #unequal; };
        }
        quote! {
            let #flag = #unequal;
            if #flag && !(version.flexible && #within) {
                return ::core::result::Result::Err(
                    ::kalda_protocol::EncodeError::absent(#struct_name, #field_name, version),
                );
            }
        }
    });
    let writes = tagged.iter().zip(&flags).map(|((tag, field), flag)| {
        let ident = &field.ident;
        let null_check = write_null_check(schema, field);
        quote! {
            if #flag {
                #null_check
                ::kalda_protocol::wire::write_tag(#tag, &self.#ident, sink, version)?;
            }
        }
    });
    quote! {
        #(#decisions)*
        if version.flexible {
            ::kalda_protocol::wire::write_tag_count(&[#(#flags),*], sink);
            #(#writes)*
        }
        ::core::result::Result::Ok(())
    }
}

fn read_field(schema: &Schema, field: &Field) -> TokenStream {
    let ident = &field.ident;
    let null_check = read_null_check(schema, field);
    let read = quote! {
        message.#ident = ::kalda_protocol::wire::Field::read(input, version)?;
        #null_check
    };
    match field.versions {
        None => read,
        Some(versions) => {
            let within = within(versions);
            quote! { if #within { #read } }
        }
    }
}

fn read_null_check(schema: &Schema, field: &Field) -> Option<TokenStream> {
    let within = within(field.nullable?);
    let ident = &field.ident;
    let (struct_name, field_name) = names(schema, field);
    Some(quote! {
        if message.#ident.is_none() && !#within {
            return ::core::result::Result::Err(
                ::kalda_protocol::DecodeError::null(#struct_name, #field_name, version),
            );
        }
    })
}

fn read_tags(schema: &Schema) -> TokenStream {
    let tagged = schema.tagged();
    if tagged.is_empty() {
        return quote! { ::kalda_protocol::wire::skip_tags(input, version)?; };
    }
    let arms = tagged.iter().map(|(tag, field)| {
        let guard = field.versions.map(within).map(|within| quote! { if #within });
        let ident = &field.ident;
        let null_check = read_null_check(schema, field);
        quote! {
            #tag #guard => {
                message.#ident = ::kalda_protocol::wire::Field::read(body, version)?;
                #null_check
                ::core::result::Result::Ok(::kalda_protocol::wire::Tag::Known)
            }
        }
    });
    quote! {
        ::kalda_protocol::wire::read_tags(input, version, |tag, body| match tag {
            #(#arms)*
            _ => ::core::result::Result::Ok(::kalda_protocol::wire::Tag::Unknown),
        })?;
    }
}

/// Random values for the tests of the crate that derives (its feature `testing`).
fn emit_fill(schema: &Schema) -> TokenStream {
    let name = &schema.name;
    let fills = schema.fields.iter().map(|field| {
        let ident = &field.ident;
        let value = quote! { ::kalda_protocol::testing::Fill::fill(source, version) };
        let fill = match field.nullable.map(within) {
            None => quote! { message.#ident = #value; },
            Some(within) => quote! {
                message.#ident =
                    if #within { #value } else { ::core::option::Option::Some(#value) };
            },
        };
        let present = match (field.versions.map(within), field.tag) {
            (None, None) => return fill,
            (None, Some(_)) => quote! { version.flexible },
            (Some(within), None) => within,
            (Some(within), Some(_)) => quote! { version.flexible && #within },
        };
        quote! { if #present { #fill } }
    });
    let binding = if schema.fields.is_empty() { quote!() } else { quote!(mut) };
    quote! {
        #[cfg(feature = "testing")]
        impl ::kalda_protocol::testing::Fill for #name {
            fn fill(
                source: &mut ::kalda_protocol::testing::Source,
                version: ::kalda_protocol::wire::Version,
            ) -> Self {
                let _ = (&source, &version);
                let #binding message = Self::default();
                #(#fills)*
                message
            }
        }
    }
}

fn emit_message(schema: &Schema, message: &MessageAttribute) -> TokenStream {
    let name = &schema.name;
    let text = name.to_string();
    let Range { first, last } = message.versions;
    let flexible_from = message.flexible_from;
    let request = emit_request(schema, message);
    let record = message.record_type.map(|record_type| {
        quote! {
            impl ::kalda_protocol::stored::CoordinatorRecord for #name {
                const TYPE: i16 = #record_type;
            }
        }
    });
    quote! {
        impl ::kalda_protocol::wire::Versioned for #name {
            const SCHEMA: ::kalda_protocol::wire::Schema = ::kalda_protocol::wire::Schema {
                name: #text,
                first: #first,
                last: #last,
                flexible_from: #flexible_from,
            };
        }

        impl ::kalda_protocol::Message for #name {
            const VERSIONS: ::core::ops::RangeInclusive<i16> = #first..=#last;

            fn encode(
                &self,
                out: &mut ::bytes::BytesMut,
                version: i16,
            ) -> ::core::result::Result<(), ::kalda_protocol::EncodeError> {
                ::kalda_protocol::wire::encode(self, out, version)
            }

            fn decode(
                input: &mut ::bytes::Bytes,
                version: i16,
            ) -> ::core::result::Result<Self, ::kalda_protocol::DecodeError> {
                ::kalda_protocol::wire::decode(input, version)
            }

            fn size(&self, version: i16) -> usize {
                ::kalda_protocol::wire::size(self, version)
            }
        }

        #request
        #record
    }
}

fn emit_request(schema: &Schema, message: &MessageAttribute) -> Option<TokenStream> {
    let (key, response) = (message.key?, message.response.as_ref()?);
    let name = &schema.name;
    let flexible_from = message.flexible_from;
    let text = name.to_string();
    let variant = format_ident!("{}", text.strip_suffix("Request").unwrap_or(&text));
    Some(quote! {
        impl ::kalda_protocol::Request for #name {
            const KEY: ::kalda_protocol::ApiKey = ::kalda_protocol::ApiKey::#variant;
            const FLEXIBLE_FROM: i16 = #flexible_from;
            type Response = #response;
        }

        const _: () = assert!(::kalda_protocol::ApiKey::#variant as i16 == #key);
    })
}

fn default_of(field: &Field) -> TokenStream {
    match &field.default {
        FieldDefault::OfType => quote! { ::core::default::Default::default() },
        FieldDefault::Empty => {
            quote! { ::core::option::Option::Some(::core::default::Default::default()) }
        }
        FieldDefault::Expression(expression) => expression.clone(),
    }
}

fn within(Range { first, last }: Range) -> TokenStream {
    quote! { version.is_within(#first, #last) }
}

fn names(schema: &Schema, field: &Field) -> (String, String) {
    let field = field.ident.to_string();
    (schema.name.to_string(), field.trim_start_matches("r#").to_owned())
}
