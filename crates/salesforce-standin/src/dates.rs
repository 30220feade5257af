//! Dates and times as Salesforce writes them. All are UTC, so that texts of one kind sort by time.

use time::format_description::well_known::{Iso8601, Rfc2822};
use time::macros::{format_description, offset};
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// `2026-02-20T18:00:00.000+0000`
pub fn format_datetime(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
    at.to_offset(offset!(UTC)).format(format).unwrap_or_default()
}

/// Reads a date-time with `Z`, `+hh:mm`, `+hhmm` or `+hh`.
pub fn parse_datetime(text: &str) -> Option<OffsetDateTime> {
    if !text.contains('T') {
        return None;
    }
    let parsed = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok().or_else(|| {
        // `+0000`, as Salesforce itself writes it.
        let (front, back) = text.split_at_checked(text.len().checked_sub(2)?)?;
        OffsetDateTime::parse(&format!("{front}:{back}"), &Iso8601::DEFAULT).ok()
    });
    // The last hours of the year 9999 may have no time in UTC.
    parsed?.checked_to_offset(offset!(UTC))
}

/// `2026-02-20`
pub fn format_date(date: Date) -> String {
    date.format(format_description!("[year]-[month]-[day]")).unwrap_or_default()
}

/// Reads `2026-02-20`.
pub fn parse_date(text: &str) -> Option<Date> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
}

/// Midnight, UTC.
pub fn midnight(date: Date) -> OffsetDateTime {
    PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc()
}

/// `Fri, 20 Feb 2026 18:00:00 GMT`, as in `Last-Modified`.
pub fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()
}

/// The same way back.
pub fn format_http_date(at: OffsetDateTime) -> String {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    at.format(format).unwrap_or_default()
}

/// The days from the first to before the second that a SOQL date literal stands for (SOQL, "Date Formats and Date
/// Literals"). Weeks begin on Sunday, as in a US locale. `None` if there is no such literal.
pub fn literal_range(name: &str, count: Option<u32>, today: Date) -> Option<(Date, Date)> {
    let n = i64::from(count.unwrap_or(1)).min(100_000);
    let days = |count: i64| today.saturating_add(Duration::days(count));
    let week = today.saturating_sub(Duration::days(i64::from(today.weekday().number_days_from_sunday())));
    let weeks = |count: i64| week.saturating_add(Duration::weeks(count));
    let quarter = first_of_month(today, -(i64::from(u8::from(today.month())) - 1) % 3);
    let quarters = |count: i64| first_of_month(quarter, 3 * count);
    let months = |count: i64| first_of_month(today, count);
    let years = |count: i64| first_of_month(today, 12 * count - i64::from(u8::from(today.month())) + 1);
    let range = match (name, count.is_some()) {
        ("YESTERDAY", false) => (days(-1), days(0)),
        ("TODAY", false) => (days(0), days(1)),
        ("TOMORROW", false) => (days(1), days(2)),
        ("LAST_WEEK", false) => (weeks(-1), weeks(0)),
        ("THIS_WEEK", false) => (weeks(0), weeks(1)),
        ("NEXT_WEEK", false) => (weeks(1), weeks(2)),
        ("LAST_MONTH", false) => (months(-1), months(0)),
        ("THIS_MONTH", false) => (months(0), months(1)),
        ("NEXT_MONTH", false) => (months(1), months(2)),
        ("LAST_90_DAYS", false) => (days(-90), days(1)),
        ("NEXT_90_DAYS", false) => (days(1), days(91)),
        ("THIS_QUARTER", false) => (quarters(0), quarters(1)),
        ("LAST_QUARTER", false) => (quarters(-1), quarters(0)),
        ("NEXT_QUARTER", false) => (quarters(1), quarters(2)),
        ("LAST_YEAR", false) => (years(-1), years(0)),
        ("THIS_YEAR", false) => (years(0), years(1)),
        ("NEXT_YEAR", false) => (years(1), years(2)),
        ("LAST_N_DAYS", true) => (days(-n), days(1)),
        ("NEXT_N_DAYS", true) => (days(1), days(n + 1)),
        ("N_DAYS_AGO", true) => (days(-n), days(1 - n)),
        ("LAST_N_WEEKS", true) => (weeks(-n), weeks(0)),
        ("NEXT_N_WEEKS", true) => (weeks(1), weeks(n + 1)),
        ("LAST_N_MONTHS", true) => (months(-n), months(0)),
        ("NEXT_N_MONTHS", true) => (months(1), months(n + 1)),
        ("LAST_N_QUARTERS", true) => (quarters(-n), quarters(0)),
        ("NEXT_N_QUARTERS", true) => (quarters(1), quarters(n + 1)),
        ("LAST_N_YEARS", true) => (years(-n), years(0)),
        ("NEXT_N_YEARS", true) => (years(1), years(n + 1)),
        _ => return None,
    };
    Some(range)
}

/// The first of the month that is `months` after that of `date`.
fn first_of_month(date: Date, months: i64) -> Date {
    let month = i64::from(date.year()) * 12 + i64::from(u8::from(date.month())) - 1 + months;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12));
    let month = Month::try_from(month as u8 + 1).unwrap_or(Month::January);
    let year = year.clamp(0, 9999) as i32;
    Date::from_calendar_date(year, month, 1).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{date, datetime};

    #[test]
    fn every_spelling_of_the_offset_is_read_and_one_is_written() {
        for text in ["2026-02-20T18:00:00Z", "2026-02-20T19:00:00+01:00", "2026-02-20T13:00:00.000-0500"] {
            assert_eq!(format_datetime(parse_datetime(text).unwrap()), "2026-02-20T18:00:00.000+0000", "{text}");
        }
        for text in ["2026-02-20", "", "T", "é", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-05:00", "tomorrow"] {
            assert_eq!(parse_datetime(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_go_both_ways() {
        let text = "Fri, 20 Feb 2026 18:00:00 GMT";
        assert_eq!(parse_http_date(text), Some(datetime!(2026-02-20 18:00 UTC)));
        assert_eq!(format_http_date(datetime!(2026-02-20 18:00 UTC)), text);
    }

    #[test]
    fn date_literals_are_ranges_of_whole_days() {
        let today = date!(2026 - 02 - 20); // a Friday
        let range = |name: &str, count| literal_range(name, count, today).unwrap();
        assert_eq!(range("TODAY", None), (today, date!(2026 - 02 - 21)));
        assert_eq!(range("THIS_WEEK", None), (date!(2026 - 02 - 15), date!(2026 - 02 - 22)));
        assert_eq!(range("NEXT_MONTH", None), (date!(2026 - 03 - 01), date!(2026 - 04 - 01)));
        assert_eq!(range("LAST_QUARTER", None), (date!(2025 - 10 - 01), date!(2026 - 01 - 01)));
        assert_eq!(range("LAST_YEAR", None), (date!(2025 - 01 - 01), date!(2026 - 01 - 01)));
        assert_eq!(range("LAST_N_DAYS", Some(30)), (date!(2026 - 01 - 21), date!(2026 - 02 - 21)));
        assert_eq!(literal_range("LAST_N_DAYS", None, today), None);
        assert_eq!(literal_range("SOON", None, today), None);
    }
}
