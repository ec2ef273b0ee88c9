//! Reads the attributes of a message struct into a [`Schema`]; knows nothing of what is generated.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::{DeriveInput, Error, Ident, LitInt, Result, Token};

/// A struct with its attributes read.
pub(crate) struct Schema {
    pub(crate) name: Ident,
    /// `None` for a struct that is a part of other messages.
    pub(crate) message: Option<MessageAttribute>,
    pub(crate) fields: Vec<Field>,
}

/// `#[message(...)]`.
pub(crate) struct MessageAttribute {
    pub(crate) versions: Range,
    /// The first flexible version, `i16::MAX` if there is none.
    pub(crate) flexible_from: i16,
    pub(crate) key: Option<i16>,
    pub(crate) response: Option<Ident>,
    pub(crate) record_type: Option<i16>,
}

/// One field with its attributes.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// The versions that carry the field; `None` for all.
    pub(crate) versions: Option<Range>,
    /// The versions in which it may be null, if that is not all of them.
    pub(crate) nullable: Option<Range>,
    pub(crate) tag: Option<u32>,
    pub(crate) default: FieldDefault,
    pub(crate) ignorable: bool,
}

/// The value a field has when nobody sets it.
pub(crate) enum FieldDefault {
    /// `Default::default()` of its type.
    OfType,
    /// `Some` of an empty string, array or blob.
    Empty,
    /// The expression given.
    Expression(TokenStream),
}

/// An inclusive range of versions, open ranges ending at `i16::MAX`.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Parse for Range {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let first: i16 = input.parse::<LitInt>()?.base10_parse()?;
        if input.peek(Token![..=]) {
            input.parse::<Token![..=]>()?;
            let last = input.parse::<LitInt>()?.base10_parse()?;
            return Ok(Self { first, last });
        }
        if input.peek(Token![..]) {
            input.parse::<Token![..]>()?;
            return Ok(Self { first, last: i16::MAX });
        }
        Ok(Self { first, last: first })
    }
}

impl Parse for MessageAttribute {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut versions = None;
        let mut attribute = Self {
            versions: Range { first: 0, last: 0 },
            flexible_from: i16::MAX,
            key: None,
            response: None,
            record_type: None,
        };
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match name.to_string().as_str() {
                "versions" => versions = Some(input.parse()?),
                "flexible" => attribute.flexible_from = input.parse::<Range>()?.first,
                "key" => attribute.key = Some(input.parse::<LitInt>()?.base10_parse()?),
                "response" => attribute.response = Some(input.parse()?),
                "record_type" => {
                    attribute.record_type = Some(input.parse::<LitInt>()?.base10_parse()?);
                }
                _ => return Err(Error::new(name.span(), "unknown name in #[message(...)]")),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        attribute.versions = versions
            .ok_or_else(|| input.error("#[message(...)] needs `versions = first..=last`"))?;
        if attribute.key.is_some() != attribute.response.is_some() {
            return Err(input.error("a request has both `key` and `response`"));
        }
        Ok(attribute)
    }
}

impl Schema {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let syn::Data::Struct(data) = &input.data else {
            return Err(Error::new_spanned(&input.ident, "a message is a struct"));
        };
        let fields = match &data.fields {
            syn::Fields::Named(named) => {
                named.named.iter().map(Field::parse).collect::<Result<_>>()?
            }
            syn::Fields::Unit => Vec::new(),
            syn::Fields::Unnamed(_) => {
                return Err(Error::new_spanned(&input.ident, "the fields of a message have names"));
            }
        };
        let message = input.attrs.iter().find(|attribute| attribute.path().is_ident("message"));
        let message = message.map(|attribute| attribute.parse_args()).transpose()?;
        let schema = Self { name: input.ident.clone(), message, fields };
        schema.check_tags()?;
        Ok(schema)
    }

    /// The tagged fields in the order in which they are written.
    pub(crate) fn tagged(&self) -> Vec<(u32, &Field)> {
        let mut tagged: Vec<_> =
            self.fields.iter().filter_map(|field| field.tag.map(|tag| (tag, field))).collect();
        tagged.sort_by_key(|(tag, _)| *tag);
        tagged
    }

    fn check_tags(&self) -> Result<()> {
        for pair in self.tagged().windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(Error::new(pair[1].1.ident.span(), "this tag is taken"));
            }
        }
        Ok(())
    }
}

impl Field {
    fn parse(field: &syn::Field) -> Result<Self> {
        let ident = field.ident.clone().ok_or_else(|| Error::new_spanned(field, "no name"))?;
        let mut parsed = Self {
            ident,
            versions: None,
            nullable: None,
            tag: None,
            default: FieldDefault::OfType,
            ignorable: false,
        };
        for attribute in &field.attrs {
            let Some(name) = attribute.path().get_ident() else { continue };
            match name.to_string().as_str() {
                "versions" => parsed.versions = Some(attribute.parse_args()?),
                "nullable" => parsed.nullable = Some(attribute.parse_args()?),
                "tag" => parsed.tag = Some(attribute.parse_args::<LitInt>()?.base10_parse()?),
                "ignorable" => parsed.ignorable = true,
                "default" => {
                    let tokens = attribute.meta.require_list()?.tokens.clone();
                    parsed.default = if tokens.to_string() == "empty" {
                        FieldDefault::Empty
                    } else {
                        FieldDefault::Expression(tokens)
                    };
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}
