//! SOQL made from parts: literals by their type, names only as checked names, always with a `LIMIT`.
//!
//! Escapes: SOQL and SOSL Reference, "Quoted String Escape Sequences". Every control character is written as an escape, so
//! that what is between two quotes is one literal whatever it says.

use std::fmt::Write;

use crate::ids::RecordId;
use crate::names::{FieldPath, ObjectName};

/// Longest query, in characters.
const MAX_QUERY: usize = 100_000;
/// Longest text literal, in characters.
const MAX_LITERAL: usize = 4_000;
/// Most values of an `IN`.
const MAX_VALUES: usize = 200;
/// Largest `LIMIT`, and `OFFSET`.
const MAX_LIMIT: u32 = 50_000;
const MAX_OFFSET: u32 = 2_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text, in quotes.
    Text(String),
    /// A record id, in quotes.
    Id(RecordId),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Decimal(f64),
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// A day.
    Date(time::Date),
    /// A moment, written in UTC.
    DateTime(time::OffsetDateTime),
    /// `LAST_N_DAYS:n`: from the beginning of the day so many days ago until now.
    LastDays(u16),
    /// `NULL`.
    Null,
}

/// A pattern of `LIKE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Texts with `text` in them.
    pub fn contains(text: &str) -> Pattern {
        Pattern(format!("%{}%", escape(text, true)))
    }

    /// Texts that begin with `text`.
    pub fn starts_with(text: &str) -> Pattern {
        Pattern(format!("{}%", escape(text, true)))
    }
}

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        }
    }
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A field compared with a value.
    Compare(FieldPath, Operator, Literal),
    /// A field with one of the values, at least one.
    In(FieldPath, Vec<Literal>),
    /// A field like a pattern.
    Like(FieldPath, Pattern),
    /// All of them, at least one.
    All(Vec<Condition>),
    /// One of them at least, of at least one.
    Any(Vec<Condition>),
    /// Not this one.
    Not(Box<Condition>),
}

/// An order of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// By which field.
    pub field: FieldPath,
    /// The greatest first.
    pub descending: bool,
}

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is asked for, at least one field.
    pub fields: Vec<FieldPath>,
    /// Of which object.
    pub object: ObjectName,
    /// Which records.
    pub condition: Option<Condition>,
    /// In which order.
    pub order: Vec<Order>,
    /// How many at most.
    pub limit: u32,
    /// How many are skipped.
    pub offset: u32,
}

/// Why a query cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoqlError {
    /// No field, an empty condition or an empty list.
    #[error("the query has no field, or a condition without a value")]
    Empty,
    /// A text is too long.
    #[error("a text in a condition is longer than 4000 characters")]
    LongText,
    /// A list is too long.
    #[error("a list in a condition has more than 200 values")]
    LongList,
    /// The query is too long.
    #[error("the query is longer than 100000 characters")]
    LongQuery,
    /// Not a number that SOQL has.
    #[error("a number is not finite, or a year not of four digits")]
    Number,
    /// `LIMIT` or `OFFSET` out of range.
    #[error("the limit is 1 to 50000, the offset at most 2000")]
    Limit,
}

impl Query {
    /// The query as text.
    ///
    /// # Errors
    /// [`SoqlError`].
    pub fn render(&self) -> Result<String, SoqlError> {
        if self.fields.is_empty() {
            return Err(SoqlError::Empty);
        }
        if !(1..=MAX_LIMIT).contains(&self.limit) || self.offset > MAX_OFFSET {
            return Err(SoqlError::Limit);
        }
        let fields: Vec<&str> = self.fields.iter().map(FieldPath::as_str).collect();
        let mut query = format!("SELECT {} FROM {}", fields.join(", "), self.object);
        if let Some(condition) = &self.condition {
            query.push_str(" WHERE ");
            write_condition(&mut query, condition)?;
        }
        for (at, order) in self.order.iter().enumerate() {
            let before = if at == 0 { " ORDER BY " } else { ", " };
            let direction = if order.descending { "DESC" } else { "ASC" };
            let _ = write!(query, "{before}{} {direction} NULLS LAST", order.field);
        }
        let _ = write!(query, " LIMIT {}", self.limit);
        if self.offset > 0 {
            let _ = write!(query, " OFFSET {}", self.offset);
        }
        if query.chars().count() > MAX_QUERY {
            return Err(SoqlError::LongQuery);
        }
        Ok(query)
    }
}

fn write_condition(query: &mut String, condition: &Condition) -> Result<(), SoqlError> {
    match condition {
        Condition::Compare(field, operator, literal) => {
            let _ = write!(query, "{field} {} {}", operator.as_str(), render(literal)?);
        }
        Condition::In(field, values) => {
            if values.is_empty() {
                return Err(SoqlError::Empty);
            }
            if values.len() > MAX_VALUES {
                return Err(SoqlError::LongList);
            }
            let values = values.iter().map(render).collect::<Result<Vec<_>, _>>()?;
            let _ = write!(query, "{field} IN ({})", values.join(", "));
        }
        Condition::Like(field, pattern) => {
            if pattern.0.chars().count() > MAX_LITERAL {
                return Err(SoqlError::LongText);
            }
            let _ = write!(query, "{field} LIKE '{}'", pattern.0);
        }
        Condition::All(conditions) => write_joined(query, conditions, " AND ")?,
        Condition::Any(conditions) => write_joined(query, conditions, " OR ")?,
        Condition::Not(condition) => {
            query.push_str("(NOT ");
            write_condition(query, condition)?;
            query.push(')');
        }
    }
    Ok(())
}

fn write_joined(query: &mut String, conditions: &[Condition], between: &str) -> Result<(), SoqlError> {
    if conditions.is_empty() {
        return Err(SoqlError::Empty);
    }
    for (at, condition) in conditions.iter().enumerate() {
        query.push_str(if at == 0 { "(" } else { between });
        write_condition(query, condition)?;
    }
    query.push(')');
    Ok(())
}

/// A value as SOQL writes it.
///
/// # Errors
/// [`SoqlError`].
pub fn render(literal: &Literal) -> Result<String, SoqlError> {
    match literal {
        Literal::Text(text) if text.chars().count() > MAX_LITERAL => Err(SoqlError::LongText),
        Literal::Text(text) => Ok(format!("'{}'", escape(text, false))),
        Literal::Id(id) => Ok(format!("'{id}'")),
        Literal::Integer(number) => Ok(number.to_string()),
        // Without an exponent, which SOQL does not read.
        Literal::Decimal(number) if number.is_finite() => {
            Ok(format!("{number:?}")).map(|text| if text.contains(['e', 'E']) { format!("{number:.15}") } else { text })
        }
        Literal::Decimal(_) => Err(SoqlError::Number),
        Literal::Boolean(true) => Ok("TRUE".to_owned()),
        Literal::Boolean(false) => Ok("FALSE".to_owned()),
        Literal::Date(date) => render_date(*date),
        Literal::DateTime(moment) => {
            let moment = moment.checked_to_offset(time::UtcOffset::UTC).ok_or(SoqlError::Number)?;
            let (hour, minute, second) = moment.time().as_hms();
            Ok(format!("{}T{hour:02}:{minute:02}:{second:02}Z", render_date(moment.date())?))
        }
        Literal::LastDays(days) => Ok(format!("LAST_N_DAYS:{days}")),
        Literal::Null => Ok("NULL".to_owned()),
    }
}

fn render_date(date: time::Date) -> Result<String, SoqlError> {
    let (year, month, day) = date.to_calendar_date();
    if !(1_000..=9_999).contains(&year) {
        return Err(SoqlError::Number);
    }
    Ok(format!("{year}-{:02}-{day:02}", u8::from(month)))
}

fn escape(text: &str, in_pattern: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => escaped.extend(['\\', c]),
            '%' | '_' if in_pattern => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            // Four hexadecimal digits are enough for these.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    /// What a reader of SOQL sees.
    #[derive(Clone, Debug, PartialEq)]
    enum Token {
        Word(String),
        Sign(char),
        Text(String),
        /// Of a `LIKE`: a character, or one of the two wildcards.
        Pattern(Vec<Result<char, char>>),
    }

    /// Reads a query without knowing how it was made.
    fn tokens(query: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut rest = query.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                ' ' => {}
                '\'' => {
                    let like = tokens.last() == Some(&Token::Word("LIKE".to_owned()));
                    let mut pattern = Vec::new();
                    loop {
                        match rest.next().expect("the literal ends") {
                            '\'' => break,
                            '\\' => pattern.push(Ok(match rest.next().expect("an escape is two characters") {
                                'n' => '\n',
                                'r' => '\r',
                                't' => '\t',
                                'b' => '\u{8}',
                                'f' => '\u{c}',
                                'u' => {
                                    let digits: String = rest.by_ref().take(4).collect();
                                    char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
                                }
                                c @ ('\\' | '\'' | '"') => c,
                                c @ ('%' | '_') if like => c,
                                c => panic!("no such escape: {c}"),
                            })),
                            c if c.is_control() => panic!("a bare control character"),
                            c @ ('%' | '_') if like => pattern.push(Err(c)),
                            c => pattern.push(Ok(c)),
                        }
                    }
                    tokens.push(if like {
                        Token::Pattern(pattern)
                    } else {
                        Token::Text(pattern.into_iter().map(Result::unwrap).collect())
                    });
                }
                c if c.is_ascii_alphanumeric() || c == '-' => {
                    let mut word = c.to_string();
                    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || "._-:".contains(*c)) {
                        word.push(c);
                    }
                    tokens.push(Token::Word(word));
                }
                c => tokens.push(Token::Sign(c)),
            }
        }
        tokens
    }

    fn field(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap()
    }

    fn query(condition: Condition) -> Query {
        Query {
            fields: vec![field("Id"), field("Account.Name")],
            object: ObjectName::parse("Contact").unwrap(),
            condition: Some(condition),
            order: Vec::new(),
            limit: 10,
            offset: 0,
        }
    }

    #[test]
    fn a_query_has_all_its_parts() {
        let ids = vec![Literal::Id(RecordId::parse("001A0000006Vm9r").unwrap()), Literal::Null];
        let all = Condition::All(vec![
            Condition::Compare(field("LastName"), Operator::Equal, Literal::Text("O'Hara".to_owned())),
            Condition::Any(vec![
                Condition::In(field("AccountId"), ids),
                Condition::Not(Box::new(Condition::Like(field("Email"), Pattern::starts_with("50%_")))),
            ]),
        ]);
        let order = vec![Order { field: field("Name"), descending: true }];
        let query = Query { order, offset: 20, ..query(all) };
        assert_eq!(
            query.render().unwrap(),
            "SELECT Id, Account.Name FROM Contact WHERE (LastName = 'O\\'Hara' AND (AccountId IN \
             ('001A0000006Vm9rIAC', NULL) OR (NOT Email LIKE '50\\%\\_%'))) ORDER BY Name DESC NULLS LAST LIMIT 10 OFFSET 20"
        );
    }

    #[test]
    fn values_are_written_by_their_type() {
        for (literal, text) in [
            (Literal::Integer(-5), "-5"),
            (Literal::Decimal(1.5), "1.5"),
            (Literal::Decimal(2.0), "2.0"),
            (Literal::Decimal(1e-7), "0.000000100000000"),
            (Literal::Boolean(true), "TRUE"),
            (Literal::Date(date!(2026 - 02 - 03)), "2026-02-03"),
            (Literal::DateTime(datetime!(2026-02-03 23:30:05.5 -1:00)), "2026-02-04T00:30:05Z"),
            (Literal::Text("a\u{0}\u{1b}\u{2028}\\\"".to_owned()), "'a\\u0000\\u001B\\u2028\\\\\\\"'"),
        ] {
            assert_eq!(render(&literal).unwrap(), text);
        }
        assert_eq!(render(&Literal::Decimal(f64::NAN)), Err(SoqlError::Number));
        assert_eq!(render(&Literal::Date(date!(0999 - 01 - 01))), Err(SoqlError::Number));
    }

    #[test]
    fn a_query_that_cannot_be_sent_is_not_made() {
        let equal = |text: String| Condition::Compare(field("Name"), Operator::Equal, Literal::Text(text));
        let base = query(equal("a".to_owned()));
        let long_list = Condition::In(field("Name"), vec![Literal::Null; 201]);
        let long_query = Condition::All(vec![equal("a".repeat(4_000)); 26]);
        for (query, error) in [
            (Query { fields: Vec::new(), ..base.clone() }, SoqlError::Empty),
            (Query { limit: 0, ..base.clone() }, SoqlError::Limit),
            (Query { limit: 50_001, ..base.clone() }, SoqlError::Limit),
            (Query { offset: 2_001, ..base.clone() }, SoqlError::Limit),
            (query(equal("a".repeat(4_001))), SoqlError::LongText),
            (query(Condition::All(Vec::new())), SoqlError::Empty),
            (query(Condition::In(field("Name"), Vec::new())), SoqlError::Empty),
            (query(long_list), SoqlError::LongList),
            (query(long_query), SoqlError::LongQuery),
        ] {
            assert_eq!(query.render(), Err(error));
        }
    }

    /// Any text, and such as break out where something is forgotten.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[\\\\'\"%_\n\r\t\u{0}\u{8}\u{c}u0027 nORa-]{0,40}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_text_is_read_back_and_nothing_after_it_is_touched(text in texts()) {
            let text: String = text.chars().take(4_000).collect();
            let condition = Condition::Compare(field("Name"), Operator::Equal, Literal::Text(text.clone()));
            let query = query(condition).render().unwrap();
            let word = |word: &str| Token::Word(word.to_owned());
            let expected = [
                word("SELECT"), word("Id"), Token::Sign(','), word("Account.Name"), word("FROM"), word("Contact"),
                word("WHERE"), word("Name"), Token::Sign('='), Token::Text(text), word("LIMIT"), word("10"),
            ];
            prop_assert_eq!(tokens(&query), expected);
        }

        #[test]
        fn a_pattern_has_no_wildcards_but_its_own(text in texts()) {
            let text: String = text.chars().take(500).collect();
            let query = query(Condition::Like(field("Name"), Pattern::contains(&text))).render().unwrap();
            let mut expected: Vec<Result<char, char>> = text.chars().map(Ok).collect();
            expected.insert(0, Err('%'));
            expected.push(Err('%'));
            prop_assert_eq!(&tokens(&query)[9], &Token::Pattern(expected));
            prop_assert_eq!(tokens(&query).len(), 12);
        }
    }
}
