//! The table of `docs/apis.md` is what the server's dispatch table serves: `cargo xtask apis` writes
//! it, and the check compares.

use std::fmt::Write as _;

use kalda_protocol::{ApiKey, for_each_api};

use crate::workspace::Source;

/// The page.
pub(crate) const PAGE: &str = "docs/apis.md";
/// Where the table of the server stands.
pub(crate) const DISPATCH: &str = "crates/server/src/dispatch.rs";

const HEAD: &str = "\
# APIs

What a node tells that it serves (ApiVersions), on the listeners of clients and on those of the
controllers. Written by `cargo xtask apis` from in `crates/server/src/dispatch.rs:APIS`; `cargo xtask tidy` keeps it true. Which
fields belong to which version stands at the head of the API's file in
`crates/protocol/src/messages/`.

Produce says 0 although it is served from version 3 on, as Kafka does: older librdkafka turns
compression off where it sees a higher minimum (KAFKA-18659).

| Key | Name | Versions | Listeners |
|---|---|---|---|
";

/// Complaints about the page.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let text = |path: &str| {
        sources.iter().find(|source| source.path == path).map(|source| source.text.as_str())
    };
    let Some(dispatch) = text(DISPATCH) else { return vec![format!("{DISPATCH} is missing")] };
    match page(dispatch) {
        Err(problem) => vec![problem],
        Ok(page) if text(PAGE) == Some(page.as_str()) => Vec::new(),
        Ok(_) => vec![format!("{PAGE}: differs from {DISPATCH}; run `cargo xtask apis`")],
    }
}

/// The page that belongs to the dispatch table.
pub(crate) fn page(dispatch: &str) -> Result<String, String> {
    let mut rows = served(dispatch)?;
    rows.sort_unstable();
    let mut page = HEAD.to_owned();
    for (key, listeners) in rows {
        let (first, last) = key.versions();
        let first = if key == ApiKey::Produce { 0 } else { first };
        let last = key.latest_stable_version().unwrap_or(last);
        let number = key.value();
        let _ = writeln!(page, "| {number} | {key} | {first}–{last} | {} |", listeners.name());
    }
    Ok(page)
}

/// Where a row of the table is served.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listeners {
    Clients,
    Controllers,
    Both,
}

impl Listeners {
    fn of_row(row: &str) -> Self {
        if row.contains(".at_controllers()") {
            Self::Controllers
        } else if row.contains(".at_both()") {
            Self::Both
        } else {
            Self::Clients
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Controllers => "controllers",
            Self::Both => "both",
        }
    }
}

/// The rows `Api::cold::<api::metadata::MetadataRequest>()` and `Api::hot::<…>(…)`. An API that clients and
/// controllers are served differently has two.
fn served(dispatch: &str) -> Result<Vec<(ApiKey, Listeners)>, String> {
    let mut rows: Vec<(ApiKey, Listeners)> = Vec::new();
    for line in dispatch.lines().map(str::trim) {
        let Some(row) = line.strip_prefix("Api::cold::<").or(line.strip_prefix("Api::hot::<"))
        else {
            continue;
        };
        let request = row.split('>').next().and_then(|path| path.rsplit("::").next());
        let request = request.unwrap_or_default();
        let key =
            key_of(request).ok_or(format!("{DISPATCH}: {request:?} is no request of ours"))?;
        let listeners = Listeners::of_row(row);
        let is_twice = |(other, at): &(ApiKey, Listeners)| {
            let is_apart =
                *at != listeners && *at != Listeners::Both && listeners != Listeners::Both;
            *other == key && !is_apart
        };
        if rows.iter().any(is_twice) {
            return Err(format!("{DISPATCH}: {key} stands twice in the table"));
        }
        rows.push((key, listeners));
    }
    if rows.is_empty() {
        return Err(format!("{DISPATCH}: the table of APIs was not found"));
    }
    Ok(rows)
}

macro_rules! define_key_of {
    ($(($name:ident, $key:literal, $module:ident, $request:ident, $response:ident),)*) => {
        fn key_of(request: &str) -> Option<ApiKey> {
            match request {
                $(stringify!($request) => Some(ApiKey::$name),)*
                _ => None,
            }
        }
    };
}
for_each_api!(define_key_of);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_the_rows_in_the_order_of_the_keys() {
        let dispatch = "
    Api::cold::<api::metadata::MetadataRequest>().at_both(),
    Api::hot::<api::produce::ProduceRequest>(Handler::Produce),
";
        let page = page(dispatch).expect("the rows are known");
        let rows: Vec<&str> = page.lines().skip_while(|line| !line.starts_with("|---")).collect();
        let expected = ["| 0 | Produce | 0–13 | clients |", "| 3 | Metadata | 0–13 | both |"];
        assert_eq!(rows[1..], expected);
    }

    #[test]
    fn unknown_and_double_rows_are_seen() {
        assert!(page("Api::cold::<api::x::NoRequest>(),").is_err());
        let row = "Api::cold::<api::metadata::MetadataRequest>(),\n";
        assert!(page(&row.repeat(2)).is_err());
        assert!(page(&format!("{row}{}", row.replace("()", "().at_both()"))).is_err());
        assert!(page(&format!("{row}{}", row.replace("()", "().at_controllers()"))).is_ok());
        assert!(page("").is_err());
    }
}
