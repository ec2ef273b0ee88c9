//! Points in time and durations as ISO 8601 writes them, and as Java reads them.

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 of `2017-08-04T00:00:00.000`, in UTC unless an offset such as `Z`, `+02`,
/// `+0200` or `+02:00` follows.
pub(super) fn datetime_ms(text: &str) -> Result<i64, String> {
    let Some((date, time)) = text.split_once('T') else {
        return Err(
            "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format"
                .to_owned(),
        );
    };
    let unparseable = || format!("java.text.ParseException: Unparseable date: \"{text}\"");
    let days = days_of(date).ok_or_else(unparseable)?;
    let (time, offset_ms) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], zone_ms(&time[at..]).ok_or_else(unparseable)?),
        None => (time, 0),
    };
    let of_day = of_day_ms(time).ok_or_else(unparseable)?;
    Ok(days * DAY_MS + of_day - offset_ms)
}

/// A number of that many digits and nothing else.
fn digits(text: &str, count: usize) -> Option<i64> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

fn days_of(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=length).contains(&day) {
        return None;
    }
    // Howard Hinnant's `days_from_civil`: years begin in March.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn of_day_ms(time: &str) -> Option<i64> {
    let (clock, millis) = time.split_once('.')?;
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (hours, minutes, seconds) = (digits(hours, 2)?, digits(minutes, 2)?, digits(seconds, 2)?);
    let is_time = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    let millis = digits(millis, 3)?;
    is_time.then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

fn zone_ms(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let plain = zone.get(1..)?.replace(':', "");
    let (hours, minutes) = match plain.len() {
        2 => (digits(&plain, 2)?, 0),
        4 => (digits(&plain[..2], 2)?, digits(&plain[2..], 2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Milliseconds of `PnDTnHnMn.nS`, where every number may have a sign, as may the whole.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    parse_duration(text).ok_or_else(|| "Text cannot be parsed to a Duration".to_owned())
}

fn parse_duration(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (sign, rest) = match upper.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, upper.strip_prefix('+').unwrap_or(&upper)),
    };
    let rest = rest.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = parts_ms(date, &[('D', DAY_MS)])?;
    let of_day = parts_ms(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1000)])?;
    days.checked_add(of_day)?.checked_mul(sign)
}

/// The sum of numbers that are followed by their units, in the order of the units.
fn parts_ms(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut sum: i64 = 0;
    for (unit, unit_ms) in units {
        let Some(at) = text.find(*unit) else { continue };
        let part = match text[..at].split_once('.') {
            // Java knows fractions of seconds only, and more digits than we have use for.
            Some((whole, fraction)) if *unit == 'S' && !fraction.is_empty() => {
                let thousandths =
                    digits(fraction, fraction.len()).map(|_| format!("{fraction:0<3}"));
                let millis: i64 = thousandths?.get(..3)?.parse().ok()?;
                let sign = if whole.starts_with('-') { -1 } else { 1 };
                let whole: i64 = whole.parse().ok()?;
                whole.checked_mul(*unit_ms)?.checked_add(sign * millis)?
            }
            Some(_) => return None,
            None => text[..at].parse::<i64>().ok()?.checked_mul(*unit_ms)?,
        };
        sum = sum.checked_add(part)?;
        text = &text[at + 1..];
    }
    text.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_are_read_as_java_reads_them() {
        assert_eq!(datetime_ms("1970-01-02T00:00:01.005"), Ok(DAY_MS + 1005));
        assert_eq!(datetime_ms("2026-11-20T23:23:50.755Z"), Ok(1_795_217_030_755));
        assert_eq!(datetime_ms("2026-11-21T01:23:50.755+02:00"), Ok(1_795_217_030_755));
        assert_eq!(datetime_ms("2026-11-20T21:53:50.755-0130"), Ok(1_795_217_030_755));
        assert_eq!(datetime_ms("2000-02-29T00:00:00.000+00"), Ok(951_782_400_000));
        for text in ["2001-02-29T00:00:00.000", "2001-01-01T24:00:00.000", "2001-01-01T00:00:00"] {
            let expected = format!("java.text.ParseException: Unparseable date: \"{text}\"");
            assert_eq!(datetime_ms(text), Err(expected));
        }
        assert!(datetime_ms("2035-01-01").unwrap_err().contains("does not contain a 'T'"));
        assert!(datetime_ms("2035-01-01Tü").is_err());
    }

    #[test]
    fn durations_are_read_as_java_reads_them() {
        assert_eq!(duration_ms("P1DT2H3M4.5S"), Ok(DAY_MS + 7_384_500));
        assert_eq!(duration_ms("pt20.345s"), Ok(20_345));
        assert_eq!(duration_ms("PT-6H3M"), Ok(-6 * 3_600_000 + 180_000));
        assert_eq!(duration_ms("-P2D"), Ok(-2 * DAY_MS));
        assert_eq!(duration_ms("PT0S"), Ok(0));
        for text in
            ["xx", "P", "PT", "P1DT", "P1H", "PT1D", "PT1M1H", "PT1.5H", "P99999999999999999D"]
        {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }
}
