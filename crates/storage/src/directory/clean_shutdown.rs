//! The content of `.kafka_cleanshutdown`: `{"version":0,"brokerEpoch":N}`. An older Kafka left the
//! file empty.

use kalda_model::BrokerEpoch;

const UNKNOWN: BrokerEpoch = BrokerEpoch(-1);

pub(super) fn to_text(epoch: BrokerEpoch) -> String {
    format!(r#"{{"version":0,"brokerEpoch":{epoch}}}"#)
}

/// The broker epoch, -1 when the file does not tell: that there is a file says that the shutdown was
/// clean.
pub(super) fn parse(text: &str) -> BrokerEpoch {
    let after = text.split_once(r#""brokerEpoch""#).map(|(_, after)| after);
    let number = after.and_then(|after| after.trim_start().strip_prefix(':'));
    number
        .and_then(|number| number.trim_start().split([',', '}', ' ', '\n']).next())
        .and_then(|digits| digits.parse().ok())
        .map_or(UNKNOWN, BrokerEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_round_trips_and_an_empty_file_has_none() {
        assert_eq!(to_text(BrokerEpoch(12)), r#"{"version":0,"brokerEpoch":12}"#);
        assert_eq!(parse(&to_text(BrokerEpoch(12))), BrokerEpoch(12));
        assert_eq!(parse(r#"{ "brokerEpoch" : 7, "version" : 0 }"#), BrokerEpoch(7));
        assert_eq!(parse(""), UNKNOWN);
        assert_eq!(parse(r#"{"brokerEpoch":"x"}"#), UNKNOWN);
    }
}
