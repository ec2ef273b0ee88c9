//! From a line to a record: `headers⇥key⇥value`, as far as each is asked for. Pure.
//!
//! The rules are those of Kafka's `LineMessageReader`. Lines are bytes; nothing has to be UTF-8 but
//! the keys of headers.

use bytes::Bytes;
use kalda_client::{Properties, Record};

/// The settings, and how many lines have been read.
#[derive(Clone, Debug)]
pub(super) struct LineReader {
    topic: String,
    parse_key: bool,
    key_separator: Vec<u8>,
    parse_headers: bool,
    headers_delimiter: Vec<u8>,
    headers_separator: Vec<u8>,
    headers_key_separator: Vec<u8>,
    ignore_error: bool,
    null_marker: Option<Vec<u8>>,
    line_number: u64,
}

impl LineReader {
    /// From the reader's properties.
    pub(super) fn new(topic: &str, properties: &Properties) -> Result<Self, String> {
        let text =
            |key: &str, default: &str| properties.get(key).unwrap_or(default).as_bytes().to_vec();
        let flag = |key: &str| {
            properties.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        let reader = Self {
            topic: topic.to_owned(),
            parse_key: flag("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: flag("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            ignore_error: flag("ignore.error"),
            null_marker: properties.get("null.marker").map(|marker| marker.as_bytes().to_vec()),
            line_number: 0,
        };
        reader.check_separators()?;
        Ok(reader)
    }

    fn check_separators(&self) -> Result<(), String> {
        let named = [
            ("headers.delimiter", &self.headers_delimiter),
            ("headers.separator", &self.headers_separator),
            ("headers.key.separator", &self.headers_key_separator),
        ];
        for (at, (name, value)) in named.iter().enumerate() {
            if let Some((other, _)) = named[at + 1..].iter().find(|(_, other)| other == value) {
                return Err(format!("{name} and {other} may not be equal"));
            }
        }
        Ok(())
    }

    /// The topic that records are for.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// The record that a line, with its end or without, stands for.
    pub(super) fn parse(&mut self, line: &[u8]) -> Result<Record, String> {
        self.line_number += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut rest = line;
        let mut record = Record::to(&self.topic);
        if self.parse_headers {
            let headers =
                self.cut(line, &mut rest, &self.headers_delimiter, "headers delimiter")?;
            if let Some(headers) = headers.filter(|headers| !self.is_null(headers)) {
                record.headers = self.split_headers(headers)?;
            }
        }
        if self.parse_key {
            let key = self.cut(line, &mut rest, &self.key_separator, "key separator")?;
            record.key = key.and_then(|key| self.owned(key));
        }
        record.value = self.owned(rest);
        Ok(record)
    }

    /// Takes what stands before the mark off the rest of the line.
    fn cut<'a>(
        &self,
        line: &[u8],
        rest: &mut &'a [u8],
        mark: &[u8],
        name: &str,
    ) -> Result<Option<&'a [u8]>, String> {
        match find(rest, mark) {
            Some(at) => {
                let before = &rest[..at];
                *rest = &rest[at + mark.len()..];
                Ok(Some(before))
            }
            None if self.ignore_error => Ok(None),
            None => {
                let (number, line) = (self.line_number, String::from_utf8_lossy(line));
                Err(format!("No {name} found on line number {number}: '{line}'"))
            }
        }
    }

    fn split_headers(&self, headers: &[u8]) -> Result<Vec<(String, Option<Bytes>)>, String> {
        let mut split = Vec::new();
        let mut rest = Some(headers);
        while let Some(current) = rest {
            let (pair, next) = match find(current, &self.headers_separator) {
                Some(at) => (&current[..at], Some(&current[at + self.headers_separator.len()..])),
                None => (current, None),
            };
            split.push(self.header(pair)?);
            rest = next;
        }
        Ok(split)
    }

    fn header(&self, pair: &[u8]) -> Result<(String, Option<Bytes>), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Some(at) = find(pair, &self.headers_key_separator) else {
            if self.ignore_error {
                return Ok((text(pair), None));
            }
            let (pair, number) = (text(pair), self.line_number);
            return Err(format!(
                "No header key separator found in pair '{pair}' on line number {number}"
            ));
        };
        let (key, value) = (&pair[..at], &pair[at + self.headers_key_separator.len()..]);
        if self.is_null(key) {
            let marker = text(key);
            return Err(format!(
                "Header keys should not be equal to the null marker '{marker}' as they can't be null"
            ));
        }
        Ok((text(key), self.owned(value)))
    }

    fn is_null(&self, bytes: &[u8]) -> bool {
        self.null_marker.as_deref() == Some(bytes)
    }

    fn owned(&self, bytes: &[u8]) -> Option<Bytes> {
        (!self.is_null(bytes)).then(|| Bytes::copy_from_slice(bytes))
    }
}

/// Where a mark first stands; an empty one stands everywhere.
fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    if mark.is_empty() {
        return Some(0);
    }
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[&str]) -> Result<LineReader, String> {
        let mut properties = Properties::default();
        for pair in pairs {
            properties.set_pair(pair).unwrap();
        }
        LineReader::new("t", &properties)
    }

    fn parse(pairs: &[&str], line: &str) -> Result<Record, String> {
        reader(pairs).unwrap().parse(line.as_bytes())
    }

    #[test]
    fn a_line_is_a_value() {
        assert_eq!(parse(&[], "hello kafka\n").unwrap(), Record::to("t").value("hello kafka"));
        assert_eq!(parse(&[], "dos\r\n").unwrap(), Record::to("t").value("dos"));
        assert_eq!(parse(&[], "\n").unwrap(), Record::to("t").value(""));
    }

    #[test]
    fn keys_and_headers_stand_in_front() {
        let record = parse(&["parse.key=true", "key.separator=:"], "k1:v1:x").unwrap();
        assert_eq!(record, Record::to("t").key("k1").value("v1:x"));
        let line = "h1:v1,h2:v2\tkey\tvalue";
        let record = parse(&["parse.key=true", "parse.headers=true"], line).unwrap();
        let expected = Record::to("t")
            .key("key")
            .value("value")
            .header("h1", Some("v1".into()))
            .header("h2", Some("v2".into()));
        assert_eq!(record, expected);
    }

    #[test]
    fn the_null_marker_makes_null() {
        let pairs = ["parse.key=true", "null.marker=NULL"];
        let record = parse(&pairs, "k3\tNULL").unwrap();
        assert_eq!((record.key, record.value), (Some("k3".into()), None));
        assert_eq!(parse(&pairs, "NULL\tv").unwrap().key, None);
        let pairs = ["parse.headers=true", "null.marker=N"];
        assert_eq!(parse(&pairs, "h:N\tv").unwrap().headers, [("h".to_owned(), None)]);
        assert!(parse(&pairs, "N:v\tv").unwrap_err().starts_with("Header keys should not be"));
    }

    #[test]
    fn what_is_missing_is_told_with_its_line() {
        let mut reader = reader(&["parse.key=true"]).unwrap();
        reader.parse(b"a\tb").unwrap();
        let error = reader.parse(b"nokey\n").unwrap_err();
        assert_eq!(error, "No key separator found on line number 2: 'nokey'");
        let error = parse(&["parse.headers=true"], "h\tv").unwrap_err();
        assert_eq!(error, "No header key separator found in pair 'h' on line number 1");
        let error = parse(&["parse.headers=true"], "v").unwrap_err();
        assert_eq!(error, "No headers delimiter found on line number 1: 'v'");
    }

    #[test]
    fn errors_can_be_ignored() {
        let pairs = ["parse.key=true", "parse.headers=true", "ignore.error=true"];
        assert_eq!(parse(&pairs, "plain").unwrap(), Record::to("t").value("plain"));
        assert_eq!(parse(&pairs, "h\tk\tv").unwrap().headers, [("h".to_owned(), None)]);
    }

    #[test]
    fn separators_must_differ() {
        let error = reader(&["headers.separator=:"]).unwrap_err();
        assert_eq!(error, "headers.separator and headers.key.separator may not be equal");
    }
}
