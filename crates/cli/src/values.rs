//! Values of the command line: durations, dates, pairs.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// A token lifetime: `15m`, `900s`, `1h`; 1 to 60 minutes, in seconds.
pub fn token_lifetime(text: &str) -> Result<u64, String> {
    let unit = text.chars().last().ok_or("a lifetime is a number and s, m or h")?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err("a lifetime is a number and s, m or h, for example 15m".to_owned()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| "a lifetime is a number and s, m or h")?;
    let seconds = number.saturating_mul(factor);
    if (60..=3600).contains(&seconds) { Ok(seconds) } else { Err("a lifetime is 1 to 60 minutes".to_owned()) }
}

/// A date, `2027-01-31` (its first second, UTC) or `2027-01-31T12:00:00Z`, in seconds since 1970.
pub fn date(text: &str) -> Result<u64, String> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).map(|date| date.midnight().assume_utc());
    let moment = day.or_else(|_| OffsetDateTime::parse(text, &Rfc3339));
    moment
        .ok()
        .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok())
        .ok_or_else(|| "a date is 2027-01-31 or 2027-01-31T12:00:00Z".to_owned())
}

/// `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected key=value".to_owned()),
    }
}

/// Seconds since 1970 as a date for people.
pub fn show_time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_1_to_60_minutes() {
        assert_eq!((token_lifetime("15m"), token_lifetime("1h"), token_lifetime("90s")), (Ok(900), Ok(3600), Ok(90)));
        for text in ["", "m", "15", "59s", "61m", "2h", "-1m", "15 m", "99999999999999999999m", "1é"] {
            assert!(token_lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_days_or_moments() {
        assert_eq!((date("1970-01-02"), date("1970-01-01T01:00:00+01:00")), (Ok(86_400), Ok(0)));
        for text in ["", "tomorrow", "1969-12-31", "2027-13-01", "2027-1-1"] {
            assert!(date(text).is_err(), "{text}");
        }
        assert_eq!(show_time(86_400), "1970-01-02T00:00:00Z");
    }
}
