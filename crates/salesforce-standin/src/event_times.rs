//! When an event begins and how long it lasts: several fields that must agree (Object Reference, "Event").

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use crate::answer::ApiError;
use crate::dates::{format_date, format_datetime, midnight, parse_date, parse_datetime};
use crate::org::Record;

/// The longest event, unless the org allows longer ones.
const LONGEST: Duration = Duration::days(14);

/// Makes the fields of an event's time agree: `given` are those that the write names, `record` has them all.
pub(crate) fn complete(record: &mut Record, given: &Map<String, Value>) -> Result<(), ApiError> {
    let names = |name: &str| given.iter().any(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null());
    let all_day = record.get("IsAllDayEvent") == Some(&Value::Bool(true));
    let (start, end) = if all_day { all_day_times(record, &names)? } else { timed(record, &names)? };
    if end < start {
        return Err(refused("Event duration cannot be negative", "DurationInMinutes"));
    }
    if end - start > LONGEST {
        return Err(refused("Event duration cannot be longer than 14 days", "DurationInMinutes"));
    }
    for (name, value) in [
        ("StartDateTime", format_datetime(start)),
        ("EndDateTime", format_datetime(end)),
        ("ActivityDate", format_date(start.date())),
        ("EndDate", format_date(end.date())),
    ] {
        record.insert(name.to_owned(), value.into());
    }
    if all_day {
        record.insert("DurationInMinutes".to_owned(), ((end - start).whole_minutes() + 24 * 60).into());
        record.shift_remove("ActivityDateTime");
    } else {
        record.insert("DurationInMinutes".to_owned(), (end - start).whole_minutes().into());
        record.insert("ActivityDateTime".to_owned(), format_datetime(start).into());
    }
    Ok(())
}

fn timed(record: &Record, names: &impl Fn(&str) -> bool) -> Result<(OffsetDateTime, OffsetDateTime), ApiError> {
    let both = names("StartDateTime") && names("ActivityDateTime");
    if both && record.get("StartDateTime") != record.get("ActivityDateTime") {
        return Err(refused("StartDateTime and ActivityDateTime must be the same", "StartDateTime"));
    }
    let field = if names("ActivityDateTime") { "ActivityDateTime" } else { "StartDateTime" };
    let Some(start) = datetime(record, field).or_else(|| datetime(record, "ActivityDateTime")) else {
        return Err(missing("StartDateTime"));
    };
    let moved = names("StartDateTime") || names("ActivityDateTime");
    let duration = record.get("DurationInMinutes").and_then(Value::as_i64).filter(|minutes| minutes.abs() < 1_000_000);
    let by_duration = duration.map(|minutes| start.saturating_add(Duration::minutes(minutes)));
    let end = match (datetime(record, "EndDateTime"), by_duration) {
        (Some(end), Some(other)) if names("EndDateTime") && names("DurationInMinutes") && end != other => {
            return Err(refused("DurationInMinutes and EndDateTime must agree", "DurationInMinutes"));
        }
        (Some(end), _) if names("EndDateTime") => end,
        (_, Some(end)) if names("DurationInMinutes") => end,
        // A start that moves takes the end along.
        (_, Some(end)) if moved => end,
        (Some(end), _) | (None, Some(end)) => end,
        (None, None) => return Err(missing("EndDateTime")),
    };
    Ok((start, end))
}

fn all_day_times(record: &Record, names: &impl Fn(&str) -> bool) -> Result<(OffsetDateTime, OffsetDateTime), ApiError> {
    let day = date(record, "ActivityDate").map(midnight);
    let start = match (datetime(record, "StartDateTime"), day) {
        (Some(start), Some(day)) if names("ActivityDate") && names("StartDateTime") && start != day => {
            return Err(refused("StartDateTime and ActivityDate must be the same day", "StartDateTime"));
        }
        (_, Some(day)) if names("ActivityDate") => day,
        (Some(start), _) | (None, Some(start)) => start,
        (None, None) => return Err(missing("ActivityDate")),
    };
    if start != midnight(start.date()) {
        return Err(refused("An all-day event starts at midnight UTC", "StartDateTime"));
    }
    let duration = record.get("DurationInMinutes").and_then(Value::as_i64).filter(|_| names("DurationInMinutes"));
    let end = match duration {
        // A day is 1,440 minutes, and ends on the day that it begins.
        Some(minutes) if minutes > 0 && minutes % 1_440 == 0 => {
            start.saturating_add(Duration::days((minutes / 1_440 - 1).min(100_000)))
        }
        Some(_) => return Err(refused("The duration of an all-day event is a number of days", "DurationInMinutes")),
        None if names("EndDateTime") => datetime(record, "EndDateTime").map_or(start, |end| midnight(end.date())),
        None => start,
    };
    Ok((start, end))
}

fn datetime(record: &Record, name: &str) -> Option<OffsetDateTime> {
    record.get(name).and_then(Value::as_str).and_then(parse_datetime)
}

fn date(record: &Record, name: &str) -> Option<time::Date> {
    record.get(name).and_then(Value::as_str).and_then(parse_date)
}

fn refused(message: &str, field: &str) -> ApiError {
    ApiError::of_fields("FIELD_INTEGRITY_EXCEPTION", message, &[field])
}

fn missing(field: &str) -> ApiError {
    ApiError::of_fields("REQUIRED_FIELD_MISSING", format!("Required fields are missing: [{field}]"), &[field])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn completed(given: Value) -> Result<Record, ApiError> {
        let given = given.as_object().unwrap();
        let mut record = given.clone();
        complete(&mut record, given).map(|()| record)
    }

    const START: &str = "2026-03-02T09:00:00.000+0000";

    #[test]
    fn an_end_gives_the_duration_and_a_duration_the_end() {
        let by_end =
            completed(json!({ "StartDateTime": START, "EndDateTime": "2026-03-02T10:30:00.000+0000" })).unwrap();
        assert_eq!((&by_end["DurationInMinutes"], &by_end["ActivityDate"]), (&json!(90), &json!("2026-03-02")));
        let by_duration = completed(json!({ "ActivityDateTime": START, "DurationInMinutes": 90 })).unwrap();
        assert_eq!(by_duration["EndDateTime"], "2026-03-02T10:30:00.000+0000");
        assert_eq!(by_duration["StartDateTime"], START);
    }

    #[test]
    fn an_all_day_event_needs_a_day_alone() {
        let event = completed(json!({ "IsAllDayEvent": true, "ActivityDate": "2026-03-02" })).unwrap();
        assert_eq!((&event["DurationInMinutes"], &event["EndDate"]), (&json!(1440), &json!("2026-03-02")));
        assert_eq!(event["StartDateTime"], "2026-03-02T00:00:00.000+0000");
    }

    #[test]
    fn a_start_that_moves_takes_the_end_along() {
        let mut record = completed(json!({ "StartDateTime": START, "DurationInMinutes": 30 })).unwrap();
        record.insert("StartDateTime".to_owned(), json!("2026-03-03T09:00:00.000+0000"));
        complete(&mut record, json!({ "StartDateTime": "…" }).as_object().unwrap()).unwrap();
        assert_eq!(record["EndDateTime"], "2026-03-03T09:30:00.000+0000");
    }

    #[test]
    fn times_that_do_not_agree_are_refused() {
        for (given, code) in [
            (json!({ "Subject": "Call" }), "REQUIRED_FIELD_MISSING"),
            (json!({ "StartDateTime": START }), "REQUIRED_FIELD_MISSING"),
            (
                json!({ "StartDateTime": START, "EndDateTime": "2026-03-02T08:00:00.000+0000" }),
                "FIELD_INTEGRITY_EXCEPTION",
            ),
            (
                json!({ "StartDateTime": START, "DurationInMinutes": 30, "EndDateTime": "2026-03-02T10:00:00.000+0000" }),
                "FIELD_INTEGRITY_EXCEPTION",
            ),
            (
                json!({ "StartDateTime": START, "EndDateTime": "2026-03-20T10:00:00.000+0000" }),
                "FIELD_INTEGRITY_EXCEPTION",
            ),
            (json!({ "IsAllDayEvent": true, "StartDateTime": START }), "FIELD_INTEGRITY_EXCEPTION"),
            (json!({ "IsAllDayEvent": true }), "REQUIRED_FIELD_MISSING"),
        ] {
            assert_eq!(completed(given.clone()).unwrap_err().code, code, "{given}");
        }
    }
}
