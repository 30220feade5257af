//! Values of the command line: durations, dates, pairs.

use registry::Rate;
use registry::secret_use::LONGEST_QUIET_PERIOD;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// A duration in seconds: `5s`, `15m`, `1h`, `7d`.
pub fn duration(text: &str) -> Result<u64, String> {
    const FORM: &str = "a duration is a number and s, m, h or d, for example 15m";
    let unit = text.chars().last().ok_or(FORM)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(FORM.to_owned()),
    };
    let number = &text[..text.len() - 1];
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits).ok_or(FORM)?;
    Ok(number.saturating_mul(factor))
}

/// A token lifetime in seconds, 1 to 60 minutes.
pub fn token_lifetime(text: &str) -> Result<u64, String> {
    Some(duration(text)?).filter(|seconds| (60..=3600).contains(seconds)).ok_or("a lifetime is 1 to 60 minutes".into())
}

/// How often a client may ask for a token, `60/min`, or `none`.
pub fn token_limit(text: &str) -> Result<Option<Rate>, String> {
    let limit = if text == "none" { Some(None) } else { Rate::parse(text).map(Some) };
    limit.ok_or("a limit is a number and s, min or h, for example 60/min, or none".into())
}

/// The quiet period of a previous secret in seconds, up to 30 days.
pub fn quiet_period(text: &str) -> Result<u64, String> {
    let allowed = 1..=LONGEST_QUIET_PERIOD;
    Some(duration(text)?).filter(|seconds| allowed.contains(seconds)).ok_or("a quiet period is 1 s to 30 days".into())
}

/// A date as [`date`] reads it, or `never`.
pub fn date_or_never(text: &str) -> Result<Option<u64>, String> {
    if text == "never" { Ok(None) } else { date(text).map(Some) }
}

/// Seconds for people: `15 min`, `7 d`.
pub fn show_duration(seconds: u64) -> String {
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "min")];
    let whole = units.into_iter().find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length));
    whole.map_or_else(|| format!("{seconds} s"), |(length, unit)| format!("{} {unit}", seconds / length))
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

/// A name for people: up to 100 characters, on one line.
pub fn name(text: &str) -> Result<String, String> {
    let valid = !text.trim().is_empty() && text.chars().count() <= 100 && !text.chars().any(char::is_control);
    valid.then(|| text.to_owned()).ok_or_else(|| "a name is 1 to 100 characters on one line".to_owned())
}

/// `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected key=value".to_owned()),
    }
}

/// `key=text`, `key:=json`.
pub fn argument(text: &str) -> Result<(String, Value), String> {
    let expected = || "expected key=text or key:=json, such as limit:=3".to_owned();
    let (key, value) = text.split_once('=').ok_or_else(expected)?;
    let (key, value) = match key.strip_suffix(':') {
        None => (key, Value::from(value)),
        Some(key) => (key, serde_json::from_str(value).map_err(|error| format!("{value} is no JSON: {error}"))?),
    };
    if key.is_empty() { Err(expected()) } else { Ok((key.to_owned(), value)) }
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
        for text in ["", "m", "15", "59s", "61m", "2h", "1d", "-1m", "+5m", "15 m", "99999999999999999999m", "1é"] {
            assert!(token_lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quiet_periods_are_1_s_to_30_days() {
        assert_eq!((quiet_period("1s"), quiet_period("30d")), (Ok(1), Ok(2_592_000)));
        for text in ["0s", "0d", "31d", "2592001s", "7", "7w", "9999999999999999999d"] {
            assert!(quiet_period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_largest_unit_that_fits() {
        let shown = [0, 59, 60, 90, 3_600, 86_400, 90_000].map(show_duration);
        assert_eq!(shown, ["0 s", "59 s", "1 min", "90 s", "1 h", "1 d", "25 h"]);
    }

    #[test]
    fn dates_are_days_or_moments() {
        assert_eq!((date("1970-01-02"), date("1970-01-01T01:00:00+01:00")), (Ok(86_400), Ok(0)));
        for text in ["", "tomorrow", "1969-12-31", "2027-13-01", "2027-1-1"] {
            assert!(date(text).is_err(), "{text}");
        }
        assert_eq!((date_or_never("never"), date_or_never("1970-01-02")), (Ok(None), Ok(Some(86_400))));
        assert!(date_or_never("Never").is_err());
        assert_eq!(show_time(86_400), "1970-01-02T00:00:00Z");
    }
}
