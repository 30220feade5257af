//! When an event begins and ends: fields that must agree (Object Reference, "Event"), checked before anything is sent.

use serde_json::{Map, Value};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, Time, UtcOffset};

use crate::describe::{FieldProblem, Use};

/// Checks the times of an event that is made or changed. Of a change only what contradicts itself is told: what is not
/// given stays as it is.
pub fn check(fields: &Map<String, Value>, what: Use) -> Vec<FieldProblem> {
    let given = |name: &str| {
        let found = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        found.filter(|value| !value.is_null())
    };
    let text = |name: &str| given(name).and_then(Value::as_str);
    let all_day = given("IsAllDayEvent") == Some(&Value::Bool(true));
    let start_field = if given("StartDateTime").is_some() { "StartDateTime" } else { "ActivityDateTime" };
    let start = text(start_field);
    let minutes = given("DurationInMinutes").and_then(Value::as_i64);
    let problem = |field: &str, problem: &str| FieldProblem { field: field.to_owned(), problem: problem.to_owned() };
    let mut problems = Vec::new();
    if what == Use::Create && all_day && given("ActivityDate").is_none() && start.is_none() {
        problems.push(problem("ActivityDate", "an all-day event needs it, or StartDateTime at midnight UTC"));
    }
    if what == Use::Create && !all_day {
        if start.is_none() {
            problems.push(problem("StartDateTime", "an event needs it, or IsAllDayEvent with ActivityDate"));
        }
        if given("EndDateTime").is_none() && given("DurationInMinutes").is_none() {
            problems.push(problem("EndDateTime", "an event needs it, or DurationInMinutes"));
        }
    }
    let (begins, ends) = (start.and_then(moment), text("EndDateTime").and_then(moment));
    let in_utc = |moment: OffsetDateTime| moment.checked_to_offset(UtcOffset::UTC).map(OffsetDateTime::time);
    if all_day && begins.is_some_and(|begins| in_utc(begins) != Some(Time::MIDNIGHT)) {
        problems.push(problem(start_field, "an all-day event begins at midnight UTC"));
    }
    if let (Some(both), Some(other)) =
        (text("StartDateTime").and_then(moment), text("ActivityDateTime").and_then(moment))
        && both != other
    {
        problems.push(problem("ActivityDateTime", "it is another name of StartDateTime and must be the same"));
    }
    if let (Some(begins), Some(ends)) = (begins, ends) {
        if ends < begins {
            problems.push(problem("EndDateTime", "it is before the start"));
        } else if !all_day && minutes.is_some_and(|minutes| minutes != (ends - begins).whole_minutes()) {
            problems
                .push(problem("DurationInMinutes", "it does not agree with the start and the end; give one of them"));
        }
    }
    if minutes.is_some_and(|minutes| minutes < 0) {
        problems.push(problem("DurationInMinutes", "it cannot be negative"));
    }
    problems
}

/// RFC 3339, or as Salesforce writes it, with `+0000`; a day is its midnight. What is none is told by its type.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let day = || Date::parse(text, &Iso8601::DATE).ok().map(|date| date.midnight().assume_utc());
    let parsed = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT));
    parsed.ok().or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(fields: &Value, what: Use) -> Vec<String> {
        check(fields.as_object().unwrap(), what).into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn times_that_agree_are_sent() {
        let start = "2026-02-20T18:00:00Z";
        for fields in [
            json!({ "StartDateTime": start, "EndDateTime": "2026-02-20T19:00:00Z" }),
            json!({ "StartDateTime": start, "EndDateTime": "2026-02-20T20:00:00+01:00", "DurationInMinutes": 60 }),
            json!({ "startdatetime": "2026-02-20T18:00:00.000+0000", "durationInMinutes": 30 }),
            json!({ "ActivityDateTime": start, "DurationInMinutes": 0 }),
            json!({ "IsAllDayEvent": true, "ActivityDate": "2026-02-20" }),
            json!({ "IsAllDayEvent": true, "StartDateTime": "2026-02-20T00:00:00Z", "DurationInMinutes": 1440 }),
        ] {
            assert_eq!(problems(&fields, Use::Create), Vec::<String>::new(), "{fields}");
        }
        assert_eq!(problems(&json!({ "EndDateTime": start }), Use::Update), Vec::<String>::new());
    }

    #[test]
    fn times_that_are_missing_or_contradict_each_other_are_told() {
        let (start, end) = ("2026-02-20T18:00:00Z", "2026-02-20T19:00:00Z");
        for (fields, told) in [
            (json!({}), vec!["StartDateTime", "EndDateTime"]),
            (json!({ "StartDateTime": null, "EndDateTime": end }), vec!["StartDateTime"]),
            (json!({ "StartDateTime": start }), vec!["EndDateTime"]),
            (json!({ "StartDateTime": end, "EndDateTime": start }), vec!["EndDateTime"]),
            (json!({ "StartDateTime": start, "EndDateTime": end, "DurationInMinutes": 30 }), vec!["DurationInMinutes"]),
            (
                json!({ "StartDateTime": start, "ActivityDateTime": end, "DurationInMinutes": 30 }),
                vec!["ActivityDateTime"],
            ),
            (json!({ "StartDateTime": start, "DurationInMinutes": -30 }), vec!["DurationInMinutes"]),
            (json!({ "IsAllDayEvent": true }), vec!["ActivityDate"]),
            (json!({ "IsAllDayEvent": true, "StartDateTime": start }), vec!["StartDateTime"]),
        ] {
            assert_eq!(problems(&fields, Use::Create), told, "{fields}");
        }
        assert_eq!(problems(&json!({ "StartDateTime": end, "EndDateTime": start }), Use::Update), ["EndDateTime"]);
    }
}
