//! `limits`, `timeout`.

use indexmap::IndexMap;
use registry::server::{Limits, Rate, Timeout};

use crate::fields::{Field, Fields, Keys};
use crate::names::{nearest, one_of};
use crate::problem::{Place, Problems, shown};
use crate::scalar::Scalar;

const KEYS: &Keys = &[
    ("per_client", "per_client: 50/min"),
    ("burst", "burst: 20"),
    ("per_tool", "per_tool: { get_order_status: 10/min }"),
    ("per_server", "per_server: 1000/min"),
    ("per_day", "per_day: 5000"),
];

/// Highest `per_day`.
pub const MAX_PER_DAY: u32 = 1_000_000_000;

/// Reads `limits`. `tools` are the names of the server's tools, as far as they are known.
pub fn limits(field: &Field<'_>, tools: &[&str], problems: &mut Problems) -> Option<Limits> {
    let fields = Fields::of(field, "limits", KEYS, problems)?;
    let per_client = fields.get("per_client").and_then(|field| rate(&field, problems));
    if let (Some(burst), None) = (fields.get("burst"), fields.get("per_client")) {
        let what = "burst says how many calls of per_client may come at once, and there is no per_client";
        problems.add(burst.place, "burst_without_per_client", what, "write per_client: 50/min beside it");
    }
    let most = per_client.map_or(10 * Rate::MAX_COUNT, |rate| rate.count.saturating_mul(10));
    Some(Limits {
        per_client,
        burst: fields.get("burst").and_then(|field| field.whole_number(1, most, problems)),
        per_tool: fields.get("per_tool").map(|field| per_tool(&field, tools, problems)).unwrap_or_default(),
        per_server: fields.get("per_server").and_then(|field| rate(&field, problems)),
        per_day: fields.get("per_day").and_then(|field| field.whole_number(1, MAX_PER_DAY, problems)),
    })
}

fn per_tool(field: &Field<'_>, tools: &[&str], problems: &mut Problems) -> IndexMap<String, Rate> {
    let mut rates = IndexMap::new();
    for entry in field.map(problems).unwrap_or_default() {
        if !tools.is_empty() && !tools.contains(&entry.key.as_str()) {
            let what = format!("per_tool names \"{}\", which is no tool of this server", shown(&entry.key));
            let fix = match nearest(&entry.key, tools.iter().copied()) {
                Some(name) => format!("write {name}"),
                None => format!("write {}", one_of(tools.iter().copied())),
            };
            problems.add(entry.place, "per_tool_unknown", what, fix);
        }
        let example = format!("{}: 10/min", shown(&entry.key)).into();
        let field = Field { name: &entry.key, place: entry.place, value: &entry.value, example };
        rates.extend(rate(&field, problems).map(|rate| (entry.key.clone(), rate)));
    }
    rates
}

/// `50/min`.
pub fn rate(field: &Field<'_>, problems: &mut Problems) -> Option<Rate> {
    let (name, place) = (shown(field.name), field.value.place);
    let text = match field.value.scalar() {
        Some(Scalar::Text(text)) => text,
        Some(Scalar::Number(_)) => {
            let written = field.written();
            let what = format!("{name} is a number of calls without a time");
            problems.add(place, "rate", what, format!("write {name}: {written}/min, {written}/s or {written}/h"));
            return None;
        }
        _ => {
            field.wrong_type("a rate", Some(format!("write {name}: 50/min")), problems);
            return None;
        }
    };
    let rate = Rate::parse(text);
    if rate.is_none() {
        let (what, fix) = wrong_rate(&name, text);
        problems.add(place, "rate", what, fix);
    }
    rate
}

fn wrong_rate(name: &str, text: &str) -> (String, String) {
    let (count, period) = text.split_once('/').unwrap_or((text, ""));
    let (count, period) = (count.trim(), period.trim().to_lowercase());
    if ["d", "day", "days"].contains(&period.as_str()) {
        let fix = format!("write per_day: {} under limits, without a time", shown(count));
        return (format!("{name} has a rate a day, and a rate has s, min or h"), fix);
    }
    match count.parse::<u64>() {
        Ok(0) => {
            let fix = format!("write {name}: 1/min or more, or leave the key out to have no limit");
            (format!("{name} allows no call at all"), fix)
        }
        Ok(count) if count > u64::from(Rate::MAX_COUNT) => {
            let fix = format!("write {name}: {}/{} or less, or leave the key out", Rate::MAX_COUNT, shown(&period));
            (format!("{name} has more than {} calls", Rate::MAX_COUNT), fix)
        }
        _ => {
            let what = format!("{name} is \"{}\", not a number of calls, a slash and s, min or h", shown(text));
            (what, format!("write {name}: 50/min"))
        }
    }
}

/// `20s`.
pub fn timeout(field: &Field<'_>, problems: &mut Problems) -> Option<Timeout> {
    let place = field.value.place;
    match field.value.scalar() {
        Some(Scalar::Text(text)) => match Timeout::parse(text) {
            Some(timeout) if timeout.to_string() == text => Some(timeout),
            _ => wrong_timeout(place, text, problems),
        },
        Some(Scalar::Number(_)) => {
            let what = format!("timeout is {} without a unit", field.written());
            problems.add(place, "timeout_without_unit", what, seconds(&field.written()));
            None
        }
        _ => {
            field.wrong_type("a time", None, problems);
            None
        }
    }
}

fn wrong_timeout(place: Place, text: &str, problems: &mut Problems) -> Option<Timeout> {
    const LONGEST: &str = "write timeout: 25s or less, for API Gateway ends a request at 30 s";
    let unit_at = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = (text[..unit_at].trim(), text[unit_at..].trim().to_lowercase());
    let shown = shown(text);
    let (code, what, fix) = match (number.parse::<f64>().ok(), unit.as_str()) {
        (Some(_), "") => ("timeout_without_unit", format!("timeout is {shown} without a unit"), seconds(number)),
        (Some(number), "ms" | "msec" | "milliseconds") => (
            "timeout_unit",
            format!("timeout is {shown}, and its unit is s"),
            seconds(&(number / 1_000.0).ceil().to_string()),
        ),
        (Some(number), "m" | "min" | "minute" | "minutes" | "h" | "hour" | "hours") => {
            let long = if unit.starts_with('h') { number * 3_600.0 } else { number * 60.0 };
            (
                "timeout_unit",
                format!("timeout is {shown}, that is {long} s, and the longest is 25s"),
                LONGEST.to_owned(),
            )
        }
        (Some(number), "s") if number > 25.0 => {
            ("timeout_too_long", format!("timeout is {shown}, and the longest is 25s"), LONGEST.to_owned())
        }
        (Some(number), "s") if number < 1.0 => (
            "timeout_too_short",
            format!("timeout is {shown}, and the shortest is 1s"),
            "write timeout: 1s or more".to_owned(),
        ),
        (Some(number), "s" | "sec" | "secs" | "second" | "seconds") => (
            "timeout_unit",
            format!("timeout is {shown}, not whole seconds and s"),
            seconds(&number.ceil().to_string()),
        ),
        _ => ("timeout_unit", format!("timeout is \"{shown}\", not a time"), "write timeout: 20s".to_owned()),
    };
    problems.add(place, code, what, fix);
    None
}

/// `write timeout: 20s` with a number of seconds that is allowed.
fn seconds(number: &str) -> String {
    let seconds = number.parse::<u64>().ok().filter(|seconds| (1..=Timeout::MAX_SECONDS).contains(seconds));
    format!("write timeout: {}s", seconds.unwrap_or(20))
}
