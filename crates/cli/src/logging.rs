//! Log lines of the tools: warnings and errors on the standard error, in Kafka's form
//! `[date time,millis] LEVEL message (where)`.

use std::fmt;

use kalda_env::{Clock, SystemClock};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        write!(writer, "[{}] {} ", timestamp(SystemClock::new().wall_ms()), meta.level())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer, " ({})", meta.target())
    }
}

/// Sends warnings and errors to the standard error.
pub(crate) fn to_stderr() {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(Line)
        // A standard error that nobody reads is no reason to stop.
        .log_internal_errors(false);
    let subscriber = tracing_subscriber::registry().with(LevelFilter::WARN).with(layer);
    // Set twice only if a caller logs already; then its way is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Sends what a broker has to say to `writer`, from INFO on; `KALDA_LOG` names another level.
pub(crate) fn of_broker<W>(writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = std::env::var("KALDA_LOG").ok().and_then(|level| level.parse().ok());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .with_ansi(false)
        // Nobody may be reading any more; a line that cannot be written is no reason to panic.
        .log_internal_errors(false)
        .event_format(Line)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// `yyyy-MM-dd HH:mm:ss,SSS` in UTC.
pub(crate) fn timestamp(wall_ms: i64) -> String {
    let (days, of_day) = (wall_ms.div_euclid(86_400_000), wall_ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02},{millis:03}")
}

/// The date that is `days` after 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_log4j_writes_them() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00,000");
        assert_eq!(timestamp(1_795_217_030_755), "2026-11-20 23:23:50,755");
        assert_eq!(timestamp(951_782_399_999), "2000-02-28 23:59:59,999");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29 00:00:00,000");
    }
}
