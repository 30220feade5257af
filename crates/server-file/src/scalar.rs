//! What a scalar of YAML means: the core schema of YAML 1.2 (chapter 10.3). There `yes` and `on` are texts.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Number;

/// What a scalar is.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Nothing is written.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number; `None` when JSON has no way to write it (`0x10`, `007`, `.inf`).
    Number(Option<Number>),
    /// A text.
    Text(&'a str),
}

/// What a scalar without quotes is.
pub fn plain(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Boolean(true),
        "false" | "False" | "FALSE" => Scalar::Boolean(false),
        text if is_number(text) => Scalar::Number(json_number(text)),
        text => Scalar::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    const FORM: &str = r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$";
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(FORM).expect("the form of a number is an expression"));
    text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) && NUMBER.is_match(text)
}

fn json_number(text: &str) -> Option<Number> {
    // Says whether JSON has it; the value comes from the standard library, which rounds a fraction exactly.
    serde_json::from_str::<Number>(text).ok()?;
    let whole = text.parse::<i64>().ok().map(Number::from).or_else(|| text.parse::<u64>().ok().map(Number::from));
    whole.or_else(|| Number::from_f64(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_without_quotes_are_what_yaml_1_2_says() {
        for text in
            ["yes", "on", "50/min", "20s", "1.2.3", "2026-11-21", "-", "+", ".", "1e", "0x", "1_000", "1:30", "nan"]
        {
            assert_eq!(plain(text), Scalar::Text(text));
        }
        for (text, number) in [
            ("0", "0"),
            ("-7", "-7"),
            ("1.5", "1.5"),
            ("1e3", "1000.0"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(plain(text), Scalar::Number(Some(serde_json::from_str(number).unwrap())), "{text}");
        }
        for text in ["007", "+1", "0x1F", "0o17", ".5", "1.", ".inf", "-.INF", ".NaN", "1e999"] {
            assert_eq!(plain(text), Scalar::Number(None), "{text}");
        }
        assert_eq!([plain(""), plain("~"), plain("NULL")], [Scalar::Null, Scalar::Null, Scalar::Null]);
        assert_eq!([plain("TRUE"), plain("false")], [Scalar::Boolean(true), Scalar::Boolean(false)]);
    }
}
