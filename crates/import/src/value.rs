//! A cell becomes a checked attribute value, or a [`Fault`] says what is wrong with it.

use aws_sdk_dynamodb::types::AttributeValue;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::date::{self, DateOrder};
use crate::decimal::Decimal;
use crate::source::Cell;

/// Every status an order can have, as stored.
pub const STATUSES: [&str; 8] =
    ["PENDING", "PROCESSING", "SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED", "DELAYED", "CANCELLED", "RETURNED"];

/// What an attribute accepts and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[A-Za-z0-9._-]{1,64}`.
    Id,
    /// One of [`STATUSES`], written in any case and with spaces or hyphens.
    Status,
    /// A calendar day `YYYY-MM-DD`; of a point in time, the day as it is written, whatever the offset.
    Day,
    /// A point in time, stored as RFC 3339 in UTC and whole seconds, cut off: the text sorts by time.
    Time,
    /// A whole number from 0 to 2^53 - 1, which every JSON reader keeps exactly; stored as a number.
    Points,
    /// Any text. Line breaks (stored as `\n`) and tabs are kept, for addresses and notes have them.
    Text,
    /// A value of the company's own: a text as [`Form::Text`], a number or a boolean of JSON as such,
    /// an object or an array as the text of its JSON.
    Own,
}

/// What is wrong with a value; reads on from the name of its attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A control character that is not a line break or a tab.
    #[error("has a control character (U+{:04X})", u32::from(*.0))]
    ControlCharacter(char),
    /// Longer than 4,096 characters.
    #[error("has {characters} characters, at most 4096 are taken")]
    TooLong {
        /// Its length in characters.
        characters: usize,
    },
    /// Not an identifier.
    #[error("must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    NotAnId,
    /// A number of JSON with more than digits; with its start.
    #[error("`{0}` is a number with a sign, a point or an exponent, which no id is")]
    NotAWholeId(String),
    /// Not one of [`STATUSES`]; with the start of the text.
    #[error("`{0}` is not a status, which is one of {list}", list = STATUSES.join(", "))]
    NotAStatus(String),
    /// Neither a day nor a point in time; with the start of the text.
    #[error("`{0}` is not a date: write YYYY-MM-DD, YYYY-MM-DD HH:MM:SS (taken as UTC) or RFC 3339")]
    NotADate(String),
    /// A date with the year last, and nobody has said what comes first; with the start of the text.
    #[error("`{0}` is not a date until --dates day-first or --dates month-first says which number is the day")]
    NoDateOrder(String),
    /// A number of JSON that is no plausible time; with its start.
    #[error("`{0}` is not a date: as a number it has to be seconds or milliseconds since 1970, and after 1973-03-03")]
    NotATime(String),
    /// Not a whole number from 0 to 2^53 - 1; with the start of the text.
    #[error("`{0}` is not a whole number from 0 to 9007199254740991")]
    NotPoints(String),
    /// A number that the table would not store exactly; with its start.
    #[error("`{0}` is a number of more than 38 digits or out of the range of DynamoDB")]
    NotStorable(String),
    /// An object or an array where a single value belongs.
    #[error("is an object or an array, not a single value")]
    Nested,
}

impl Form {
    /// Trims and checks a value. `None` is an absent one: null, empty, or how exports write it.
    pub(crate) fn value(self, cell: &Cell<'_>, dates: Option<DateOrder>) -> Result<Option<AttributeValue>, Fault> {
        match cell {
            Cell::Text(text) => self.text(text, dates),
            Cell::Number(literal) => self.number(literal).map(Some),
            Cell::Bool(value) if self == Self::Own => Ok(Some(AttributeValue::Bool(*value))),
            Cell::Bool(value) => self.text(&value.to_string(), dates),
            Cell::Null => Ok(None),
            Cell::Nested(json) if self == Self::Own => self.text(json, dates),
            Cell::Nested(_) => Err(Fault::Nested),
        }
    }

    fn text(self, text: &str, dates: Option<DateOrder>) -> Result<Option<AttributeValue>, Fault> {
        let text = text.trim();
        if matches!(text, "" | "NULL" | "null" | r"\N" | "N/A") {
            return Ok(None);
        }
        refuse_unstorable(text)?;
        let value = match self {
            Self::Id => AttributeValue::S(id(text)?),
            Self::Status => AttributeValue::S(status(text)?),
            Self::Day => AttributeValue::S(date::moment(text, dates)?.date().to_string()),
            Self::Time => AttributeValue::S(utc(date::moment(text, dates)?, text)?),
            Self::Points => AttributeValue::N(points(text)?),
            Self::Text | Self::Own => AttributeValue::S(text.replace("\r\n", "\n").replace('\r', "\n")),
        };
        Ok(Some(value))
    }

    fn number(self, literal: &str) -> Result<AttributeValue, Fault> {
        let moment = || date::since_1970(literal).ok_or_else(|| Fault::NotATime(start_of(literal)));
        match self {
            // A `1001.0` is an id that went through a floating-point number, and may be another one by now.
            Self::Id if literal.bytes().all(|byte| byte.is_ascii_digit()) => Ok(AttributeValue::S(id(literal)?)),
            Self::Id => Err(Fault::NotAWholeId(start_of(literal))),
            Self::Status => Err(Fault::NotAStatus(start_of(literal))),
            Self::Day => Ok(AttributeValue::S(moment()?.date().to_string())),
            Self::Time => Ok(AttributeValue::S(utc(moment()?, literal)?)),
            Self::Points => Ok(AttributeValue::N(points(literal)?)),
            Self::Text => {
                refuse_unstorable(literal)?;
                Ok(AttributeValue::S(literal.to_owned()))
            }
            Self::Own => match Decimal::parse(literal) {
                Some(number) if number.is_storable() => Ok(AttributeValue::N(literal.to_owned())),
                _ => Err(Fault::NotStorable(start_of(literal))),
            },
        }
    }
}

fn refuse_unstorable(text: &str) -> Result<(), Fault> {
    const LONGEST: usize = 4096; // characters; a tool's answer stays within its bounds
    let unwanted = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if let Some(c) = text.chars().find(unwanted) {
        return Err(Fault::ControlCharacter(c));
    }
    match text.chars().count() {
        characters if characters > LONGEST => Err(Fault::TooLong { characters }),
        _ => Ok(()),
    }
}

fn id(text: &str) -> Result<String, Fault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if text.len() > 64 || !text.bytes().all(allowed) {
        return Err(Fault::NotAnId);
    }
    Ok(text.to_owned())
}

fn status(text: &str) -> Result<String, Fault> {
    let name = text.to_uppercase().replace([' ', '-'], "_");
    match name.as_str() {
        "CANCELED" => Ok("CANCELLED".to_owned()),
        known if STATUSES.contains(&known) => Ok(name),
        _ => Err(Fault::NotAStatus(start_of(text))),
    }
}

fn utc(moment: OffsetDateTime, text: &str) -> Result<String, Fault> {
    moment
        .checked_to_offset(UtcOffset::UTC)
        .and_then(|utc| utc.replace_nanosecond(0).ok())
        .and_then(|utc| utc.format(&Rfc3339).ok())
        .ok_or_else(|| Fault::NotADate(start_of(text)))
}

fn points(text: &str) -> Result<String, Fault> {
    const MOST: u64 = (1 << 53) - 1;
    // Exports of number columns write `1200.0`, which is whole.
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    let digits = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    match whole.parse::<u64>() {
        Ok(points) if digits && points <= MOST => Ok(points.to_string()),
        _ => Err(Fault::NotPoints(start_of(text))),
    }
}

/// Enough of a text to find it again in the file, on one line.
pub(crate) fn start_of(text: &str) -> String {
    const SHOWN: usize = 40;
    let line = text.split(char::is_control).next().unwrap_or_default();
    let mut start: String = line.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(form: Form, text: &str) -> Option<String> {
        match form.value(&Cell::Text(text.into()), None).unwrap()? {
            AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn accepts(form: Form, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(stored(form, text).as_deref(), Some(*expected), "{text:?}");
        }
    }

    #[track_caller]
    fn refuses(form: Form, cases: &[&str]) {
        for text in cases {
            assert!(form.text(text, None).is_err(), "{text:?} gives {:?}", form.text(text, None));
        }
    }

    #[test]
    fn empty_texts_and_null_texts_are_absent_in_every_form() {
        for form in [Form::Id, Form::Status, Form::Day, Form::Time, Form::Points, Form::Text] {
            for text in ["", "  ", "\t\n", "NULL", "null", r"\N", "N/A", " NULL "] {
                assert_eq!(form.text(text, None), Ok(None), "{form:?} {text:?}");
            }
        }
    }

    #[test]
    fn text_is_trimmed_and_keeps_unicode_line_breaks_and_tabs() {
        let cases = [
            ("  Zoë O'Kettle, \"Bo\" ", "Zoë O'Kettle, \"Bo\""),
            ("\u{a0}灯籠\u{3000}", "灯籠"),
            ("👩‍🚀 e\u{301}", "👩‍🚀 e\u{301}"),
            ("1 Quay\r\nHarbour\rEnd\tX", "1 Quay\nHarbour\nEnd\tX"),
            ("Null", "Null"),
            ("nullable", "nullable"),
            (r"a\Nb", r"a\Nb"),
        ];
        accepts(Form::Text, &cases);
    }

    #[test]
    fn control_characters_and_overlong_text_are_refused() {
        assert_eq!(Form::Text.text("a\u{7}b", None), Err(Fault::ControlCharacter('\u{7}')));
        refuses(Form::Text, &["a\0b", "a\u{1b}[31mb", "a\u{7f}b", "a\u{85}b", "a\u{9b}b"]);

        assert!(Form::Text.text(&"é".repeat(4096), None).is_ok());
        assert_eq!(Form::Text.text(&"x".repeat(4097), None), Err(Fault::TooLong { characters: 4097 }));
    }

    #[test]
    fn ids_are_up_to_64_plain_characters() {
        let longest = "x".repeat(64);
        accepts(Form::Id, &[("1001", "1001"), (" C-0001 ", "C-0001"), ("a.b_C-9", "a.b_C-9"), (&longest, &longest)]);
        refuses(Form::Id, &["10 01", "ORDER#1", "é1", "1\n2", "a/b", "１００１", &"x".repeat(65)]);
    }

    #[test]
    fn statuses_are_upper_cased_with_underscores() {
        let cases = [("shipped", "SHIPPED"), ("Out for-delivery", "OUT_FOR_DELIVERY"), (" Canceled ", "CANCELLED")];
        accepts(Form::Status, &cases);
        for status in STATUSES {
            accepts(Form::Status, &[(status, status)]);
        }
    }

    #[test]
    fn an_unknown_status_is_refused_with_its_start() {
        refuses(Form::Status, &["LOST", "SHIPPED!", "OUT  FOR DELIVERY", "0", "ſhipped-x"]);
        let text = format!("{}\nsecond line", "y".repeat(50));
        assert_eq!(Form::Status.text(&text, None), Err(Fault::NotAStatus(format!("{}…", "y".repeat(40)))));
    }

    #[test]
    fn times_become_utc_seconds() {
        let cases = [
            ("1996-07-04", "1996-07-04T00:00:00Z"),
            ("1996-07-04 00:00:00.000", "1996-07-04T00:00:00Z"),
            ("2026-02-28 23:59:59", "2026-02-28T23:59:59Z"),
            ("2026-02-28T23:59:59", "2026-02-28T23:59:59Z"),
            ("2026-02-28T23:59:59.999999999Z", "2026-02-28T23:59:59Z"),
            ("2026-03-01T00:30:00+02:00", "2026-02-28T22:30:00Z"),
            ("2026-03-01 00:30:00-09:30", "2026-03-01T10:00:00Z"),
            ("2024-02-29t12:00:00z", "2024-02-29T12:00:00Z"),
        ];
        accepts(Form::Time, &cases);
    }

    #[test]
    fn days_keep_the_day_that_is_written() {
        let cases = [
            ("2026-07-04", "2026-07-04"),
            ("1996-08-01 00:00:00.000", "1996-08-01"),
            ("2026-07-04T00:30:00+02:00", "2026-07-04"),
            ("0999-01-01", "0999-01-01"),
        ];
        accepts(Form::Day, &cases);
    }

    #[test]
    fn dates_with_the_year_last_need_the_order_of_their_parts() {
        let stored = |order| Form::Day.text("5/6/2026", order);
        assert_eq!(stored(Some(DateOrder::DayFirst)), Ok(Some(AttributeValue::S("2026-06-05".into()))));
        assert_eq!(stored(Some(DateOrder::MonthFirst)), Ok(Some(AttributeValue::S("2026-05-06".into()))));
        let hint = stored(None).unwrap_err().to_string();
        assert!(hint.contains("--dates day-first or --dates month-first"), "{hint}");
    }

    #[test]
    fn a_time_that_leaves_the_four_digit_years_in_utc_is_refused() {
        refuses(Form::Time, &["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"]);
    }

    #[test]
    fn points_are_whole_numbers_from_zero() {
        let cases =
            [("0", "0"), ("1200", "1200"), ("007", "7"), ("1200.0", "1200"), ("9007199254740991", "9007199254740991")];
        accepts(Form::Points, &cases);
        assert_eq!(Form::Points.text("12", None), Ok(Some(AttributeValue::N("12".into()))));
    }

    #[test]
    fn what_is_no_count_of_points_is_refused() {
        let cases = [
            "-1",
            "+1",
            "1.5",
            "1.",
            ".0",
            "1,200",
            "1e3",
            "1 200",
            "٣",
            "NaN",
            "9007199254740992",
            "99999999999999999999999",
        ];
        refuses(Form::Points, &cases);
    }

    #[track_caller]
    fn refuses_json(form: Form, cells: &[Cell<'_>]) {
        for cell in cells {
            assert!(form.value(cell, None).is_err(), "{cell:?} gives {:?}", form.value(cell, None));
        }
    }

    #[test]
    fn numbers_of_json_are_taken_where_they_make_sense() {
        let stored = |form: Form, literal| form.value(&Cell::Number(literal), None).unwrap().unwrap();
        assert_eq!(stored(Form::Id, "1001"), AttributeValue::S("1001".into()));
        assert_eq!(stored(Form::Points, "1200"), AttributeValue::N("1200".into()));
        assert_eq!(stored(Form::Time, "1751702400000"), AttributeValue::S("2025-07-05T08:00:00Z".into()));
        assert_eq!(stored(Form::Day, "1751702400"), AttributeValue::S("2025-07-05".into()));
        assert_eq!(stored(Form::Text, "3"), AttributeValue::S("3".into()));
        assert_eq!(stored(Form::Own, "-2.50"), AttributeValue::N("-2.50".into()));

        refuses_json(Form::Id, &[Cell::Number("1001.0"), Cell::Number("1e3"), Cell::Number("-1")]);
        refuses_json(Form::Time, &[Cell::Number("20260704"), Cell::Number("0")]);
        refuses_json(Form::Status, &[Cell::Number("3"), Cell::Bool(true)]);
        refuses_json(Form::Points, &[Cell::Number("-1"), Cell::Number("1.5"), Cell::Bool(true)]);
        refuses_json(Form::Own, &[Cell::Number("1e126")]);
    }

    #[test]
    fn null_is_absent_and_other_values_of_json_keep_their_type_in_own_attributes() {
        for form in [Form::Id, Form::Status, Form::Day, Form::Time, Form::Points, Form::Text, Form::Own] {
            assert_eq!(form.value(&Cell::Null, None), Ok(None));
        }
        assert_eq!(Form::Own.value(&Cell::Bool(false), None), Ok(Some(AttributeValue::Bool(false))));
        assert_eq!(Form::Text.value(&Cell::Bool(false), None), Ok(Some(AttributeValue::S("false".into()))));
        let nested = Cell::Nested(r#"{"a":[1]}"#.into());
        assert_eq!(Form::Own.value(&nested, None), Ok(Some(AttributeValue::S(r#"{"a":[1]}"#.into()))));
        assert_eq!(Form::Text.value(&nested, None), Err(Fault::Nested));
    }
}
