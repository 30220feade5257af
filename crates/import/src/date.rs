//! Dates in the forms that exports write them. Read by hand, for they differ in every part: which number
//! comes first, what separates them, what they leave out.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::value::{Fault, start_of};

/// How dates are written whose year comes last: `31.12.2026` or `12/31/2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// Day, month, year.
    DayFirst,
    /// Month, day, year.
    MonthFirst,
}

/// A point in time; midnight if only the day is written, UTC if no offset is.
pub(crate) fn moment(text: &str, order: Option<DateOrder>) -> Result<OffsetDateTime, Fault> {
    let (day, clock) = match text.split_once([' ', 'T', 't']) {
        Some((day, clock)) => (day, Some(clock)),
        None => (text, None),
    };
    let date = match year_first(day) {
        Some(date) => date,
        None => year_last(day, order, text)?,
    };
    let (time, offset) = match clock {
        None => Some((Time::MIDNIGHT, UtcOffset::UTC)),
        Some(clock) => clock_and_offset(clock),
    }
    .ok_or_else(|| Fault::NotADate(start_of(text)))?;
    date.map(|date| date.with_time(time).assume_offset(offset)).ok_or_else(|| Fault::NotADate(start_of(text)))
}

/// `2026-12-31`, `2026/12/31`, `20261231`; `Some(None)` if it is of this form but no day of the calendar.
fn year_first(day: &str) -> Option<Option<Date>> {
    let separator = day.chars().nth(4)?;
    let parts: [&str; 3] = match separator {
        '-' | '/' => day.split(separator).collect::<Vec<_>>().try_into().ok()?,
        _ if day.len() == 8 && day.is_ascii() => [&day[..4], &day[4..6], &day[6..]],
        _ => return None,
    };
    if parts.map(str::len) != [4, 2, 2] {
        return None;
    }
    let [year, month, day] = parts.map(number);
    Some(date(year?, month?, day?))
}

/// `31.12.2026`, `31/12/2026`, `1-2-2026`: only a person can know which number is the day.
fn year_last(day: &str, order: Option<DateOrder>, text: &str) -> Result<Option<Date>, Fault> {
    let no_date = || Fault::NotADate(start_of(text));
    let separator = day.chars().find(|c| matches!(c, '.' | '/' | '-')).ok_or_else(no_date)?;
    let parts: [&str; 3] = day.split(separator).collect::<Vec<_>>().try_into().map_err(|_| no_date())?;
    let [first, second, year] = match parts.map(str::len) {
        [1 | 2, 1 | 2, 4] => parts.map(number),
        _ => return Err(no_date()),
    };
    let (Some(first), Some(second), Some(year)) = (first, second, year) else { return Err(no_date()) };
    match order {
        Some(DateOrder::DayFirst) => Ok(date(year, second, first)),
        Some(DateOrder::MonthFirst) => Ok(date(year, first, second)),
        None => Err(Fault::NoDateOrder(start_of(text))),
    }
}

fn date(year: u32, month: u32, day: u32) -> Option<Date> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}

/// `10:00`, `10:00:59.5+02:00`, `9:05 PM`.
fn clock_and_offset(text: &str) -> Option<(Time, UtcOffset)> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | ':' | '.')).unwrap_or(text.len());
    let (clock, rest) = text.split_at(end);
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    match rest.to_ascii_uppercase().as_str() {
        half @ ("AM" | "PM") => Some((clock_of_half_day(clock, half == "PM")?, UtcOffset::UTC)),
        offset => Some((clock_of_day(clock)?, utc_offset(offset)?)),
    }
}

fn clock_of_day(text: &str) -> Option<Time> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, second) = rest.split_once(':').unwrap_or((rest, "00"));
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    if [hour, minute, second].map(str::len) != [2, 2, 2] || fraction.is_empty() {
        return None;
    }
    let [hour, minute, second] = [hour, minute, second].map(|part| u8::try_from(number(part)?).ok());
    // RFC 3339 section 5.6: a leap second; there is no such second in what we store.
    let second = second.map(|second| if second == 60 { 59 } else { second });
    // What is below a second is cut off, but has to be digits.
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Time::from_hms(hour?, minute?, second?).ok()
}

/// The clock of 12 hours: 12 AM is midnight.
fn clock_of_half_day(text: &str, afternoon: bool) -> Option<Time> {
    let (hour, rest) = text.split_once(':')?;
    let hour = number(hour).filter(|hour| (1..=12).contains(hour))? % 12;
    clock_of_day(&format!("{:02}:{rest}", if afternoon { hour + 12 } else { hour }))
}

/// Nothing, `Z`, `UTC`, `+02:00`, `+0200`, `+02`.
fn utc_offset(text: &str) -> Option<UtcOffset> {
    let (sign, digits) = match text.split_at_checked(1) {
        None => return Some(UtcOffset::UTC),
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        Some(_) => return matches!(text, "Z" | "UTC" | "GMT").then_some(UtcOffset::UTC),
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let hours = number(hours).filter(|hours| *hours < 24)?;
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    UtcOffset::from_hms(sign * i8::try_from(hours).ok()?, sign * i8::try_from(minutes).ok()?, 0).ok()
}

/// Up to nine digits and nothing else.
fn number(text: &str) -> Option<u32> {
    (text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A number of JSON: seconds since 1970, or milliseconds, from 1973-03-03 on. Smaller numbers are more
/// likely something else, a day written `20261231` for one.
pub(crate) fn since_1970(literal: &str) -> Option<OffsetDateTime> {
    let number: f64 = literal.parse().ok()?;
    let seconds = match number {
        1e8..1e11 => number,
        1e11..1e14 => number / 1000.0,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "between 1e8 and 1e11")]
    OffsetDateTime::from_unix_timestamp(seconds.floor() as i64).ok()
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn utc(text: &str, order: Option<DateOrder>) -> Result<String, Fault> {
        Ok(moment(text, order)?.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap())
    }

    #[test]
    fn the_usual_forms_are_read() {
        let cases = [
            ("2026-02-28T23:59:59.999999999Z", "2026-02-28T23:59:59Z"),
            ("2026-03-01T00:30:00+02:00", "2026-02-28T22:30:00Z"),
            ("2026-03-01 00:30:00-09:30", "2026-03-01T10:00:00Z"),
            ("2026-03-01 00:30-0930", "2026-03-01T10:00:00Z"),
            ("2026-03-01 00:30 +02", "2026-02-28T22:30:00Z"),
            ("2024-02-29t12:00:00z", "2024-02-29T12:00:00Z"),
            ("2026-07-04T10:00:00 UTC", "2026-07-04T10:00:00Z"),
            ("2026-07-04 10:00", "2026-07-04T10:00:00Z"),
            ("2026-07-04T10:00:00.5", "2026-07-04T10:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("1996-07-04", "1996-07-04T00:00:00Z"),
            ("2026/07/04 9:05 pm", "2026-07-04T21:05:00Z"),
            ("20260704", "2026-07-04T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(utc(text, None).as_deref(), Ok(expected), "{text}");
            assert_eq!(utc(text, Some(DateOrder::MonthFirst)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn dates_with_the_year_last_are_read_in_the_order_that_is_said() {
        let (day_first, month_first) = (Some(DateOrder::DayFirst), Some(DateOrder::MonthFirst));
        let cases = [
            ("31.12.2026", day_first, "2026-12-31T00:00:00Z"),
            ("31/12/2026 14:05", day_first, "2026-12-31T14:05:00Z"),
            ("1-2-2026", day_first, "2026-02-01T00:00:00Z"),
            ("12/31/2026", month_first, "2026-12-31T00:00:00Z"),
            ("1/2/2026 12:00:30 AM", month_first, "2026-01-02T00:00:30Z"),
            ("1/2/2026 12:00 PM", month_first, "2026-01-02T12:00:00Z"),
        ];
        for (text, order, expected) in cases {
            assert_eq!(utc(text, order).as_deref(), Ok(expected), "{text}");
            assert!(matches!(utc(text, None), Err(Fault::NoDateOrder(_))), "{text}");
        }
        for (text, order) in [("12/31/2026", day_first), ("31.12.2026", month_first), ("31.12.26", day_first)] {
            assert!(matches!(utc(text, order), Err(Fault::NotADate(_))), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let cases = [
            "",
            "2026-7-4",
            "2026-02-30",
            "2025-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-07/04",
            "2026-07-04T",
            "2026-07-04 10",
            "2026-07-04 9:00",
            "2026-07-04 10:0",
            "2026-07-04 10:00:00.",
            "2026-07-04 10:00:00.5x",
            "2026-07-04 10.5:00:00",
            "2026-07-04  10:00:00",
            "2026-07-04 24:00:00",
            "2026-07-04 13:00 PM",
            "2026-07-04 00:00 AM",
            "2026-07-04T10:00:00 CET",
            "2026-07-04T10:00:00+24:00",
            "2026-07-04T10:00:00+2:00",
            "2026-07-04T10:00:00+02:60",
            "2026-07-04T10:00:00+é2",
            "2026-07-04Z",
            "20260732",
            "2026070",
            "202é604",
            "-026-07-04",
            "+2026-07-04",
            "2026-07-0é",
            "२०२६-07-04",
            "tomorrow",
            "45842",
            "1751702400",
            "//",
            "1//2026",
        ];
        for text in cases {
            assert!(matches!(moment(text, None), Err(Fault::NotADate(_))), "{text}: {:?}", moment(text, None));
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds_since_1970() {
        let utc = |number| since_1970(number).map(|moment| moment.format(&Rfc3339).unwrap());
        for number in ["1751702400", "1751702400000", "1.7517024e9", "1751702400.75", "1751702400999"] {
            assert_eq!(utc(number).as_deref(), Some("2025-07-05T08:00:00Z"), "{number}");
        }
        assert_eq!(utc("99999999999").as_deref(), Some("5138-11-16T09:46:39Z"));
        assert_eq!(utc("100000000000").as_deref(), Some("1973-03-03T09:46:40Z"));
        for number in ["0", "-1751702400", "20260704", "1e300", "1751702400000000"] {
            assert_eq!(utc(number), None, "{number}");
        }
    }
}
