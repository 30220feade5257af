//! SOQL as text: a recursive-descent parser of the subset that the stand-in runs (SOQL and SOSL Reference).
//!
//! It knows the grammar alone; whether fields exist, and whether a value fits, is decided in `query`.

use crate::answer::ApiError;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is selected.
    pub select: Vec<Selected>,
    /// The object, or the child relationship of a subquery.
    pub from: Name,
    /// `FROM Contact c`
    pub alias: Option<String>,
    /// `WHERE`
    pub filter: Option<Condition>,
    /// `GROUP BY`
    pub group_by: Vec<Name>,
    /// `HAVING`
    pub having: Option<Condition>,
    /// `ORDER BY`
    pub order_by: Vec<Order>,
    /// `LIMIT`
    pub limit: Option<usize>,
    /// `OFFSET`
    pub offset: usize,
}

/// A field or a path such as `Account.Owner.Name`, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// As it is written.
    pub text: String,
    /// In bytes from the start.
    pub at: usize,
}

impl Name {
    /// Its parts.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split('.')
    }
}

/// One of the selected.
#[derive(Clone, Debug, PartialEq)]
pub enum Selected {
    /// A field, with the alias that a grouped query may give it.
    Field(Name, Option<String>),
    /// `COUNT(Id) total`
    Aggregate(Aggregate, Option<String>),
    /// `COUNT()`
    Count,
    /// `FIELDS(ALL)`
    Fields(FieldGroup, usize),
    /// `(SELECT … FROM Contacts)`
    Children(Box<Query>),
}

/// Which fields `FIELDS()` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldGroup {
    /// `FIELDS(ALL)`
    All,
    /// `FIELDS(STANDARD)`
    Standard,
    /// `FIELDS(CUSTOM)`
    Custom,
}

/// `SUM(Amount)`
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which function.
    pub function: Function,
    /// Of which field.
    pub field: Name,
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Count,
    CountDistinct,
    Sum,
    Min,
    Max,
    Avg,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// `Name LIKE 'A%'`
    Compare(Operand, Operator, Literal),
    /// `Id IN ('…')`, `NOT IN`
    In(Operand, bool, Vec<Literal>),
    /// `AccountId IN (SELECT …)`, `NOT IN`
    InQuery(Operand, bool, Box<Query>),
    /// `INCLUDES ('A;B', 'C')`, `EXCLUDES`
    Includes(Operand, bool, Vec<Literal>),
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A field.
    Field(Name),
    /// In `HAVING`.
    Aggregate(Aggregate),
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Unescaped; for `LIKE` the escapes of `%` and `_` stay.
    Text(String),
    /// A number.
    Number(f64),
    /// `true`
    Boolean(bool),
    /// `null`
    Null,
    /// `2026-02-20`
    Date(String),
    /// `2026-02-20T18:00:00Z`
    DateTime(String),
    /// `LAST_N_DAYS:30`
    Relative(String, Option<u32>),
}

/// `ORDER BY Name DESC NULLS LAST`
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// By what.
    pub by: Operand,
    /// `DESC`
    pub descending: bool,
    /// `NULLS LAST`; otherwise empty values come first.
    pub nulls_last: bool,
}

/// `MALFORMED_QUERY`, with the place.
pub fn malformed(text: &str, at: usize, message: &str) -> ApiError {
    ApiError::new(400, "MALFORMED_QUERY", format!("{}\n{message}", place(text, at)))
}

/// The line that shows where an error is, as Salesforce draws it.
pub fn place(text: &str, at: usize) -> String {
    let at = text.floor_char_boundary(at);
    let before: String = text[..at].chars().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect();
    let after: String = text[at..].chars().take(20).collect();
    let (before, after) = (before.replace(['\n', '\r'], " "), after.replace(['\n', '\r'], " "));
    let row = text[..at].matches('\n').count() + 1;
    let column = text[..at].chars().rev().take_while(|character| *character != '\n').count() + 1;
    let caret = " ".repeat(before.chars().count());
    format!("\n{before}{after}\n{caret}^\nERROR at Row:{row}:Column:{column}")
}

/// Subqueries and parentheses may be nested so deep.
const MAX_DEPTH: usize = 40;

/// SOQL, "SOQL Character Limits".
const MAX_LENGTH: usize = 100_000;

/// Reads a query.
///
/// # Errors
/// `MALFORMED_QUERY`
pub fn parse(text: &str) -> Result<Query, ApiError> {
    if text.chars().count() > MAX_LENGTH {
        return Err(ApiError::new(400, "MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters."));
    }
    let mut parser = Parser::new(text)?;
    let query = parser.query(0)?;
    parser.end()?;
    Ok(query)
}

/// What stands in the parentheses after an object of SOSL's `RETURNING`, or in a `where` of parameterizedSearch, as a
/// query.
///
/// # Errors
/// `MALFORMED_QUERY`
pub fn parse_returning(object: &str, inside: &str) -> Result<Query, ApiError> {
    let mut parser = Parser::new(inside)?;
    let mut query = Query {
        select: Vec::new(),
        from: Name { text: object.to_owned(), at: 0 },
        alias: None,
        filter: None,
        group_by: Vec::new(),
        having: None,
        order_by: Vec::new(),
        limit: None,
        offset: 0,
    };
    query.select = parser.selection(0)?;
    parser.clauses(&mut query, 0)?;
    parser.end()?;
    Ok(query)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name, a keyword or a path.
    Word(String),
    Text(String),
    /// A number, a date, a date-time: as it is written.
    Number(String),
    Sign(&'static str),
    End,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Parser<'a>, ApiError> {
        Ok(Parser { text, tokens: tokens(text)?, next: 0 })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].0.clone();
        // The last one is the end, and stays.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn unexpected(&self) -> ApiError {
        let message = match self.peek() {
            Token::Word(text) | Token::Number(text) => format!("unexpected token: '{text}'"),
            Token::Text(text) => format!("unexpected token: '{text}'"),
            Token::Sign(sign) => format!("unexpected token: '{sign}'"),
            Token::End => "unexpected token: <EOF>".to_owned(),
        };
        malformed(self.text, self.at(), &message)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(text) if text.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.take();
        }
        is
    }

    fn expect_word(&mut self, word: &str) -> Result<(), ApiError> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Token::Sign(own) if *own == sign);
        if is {
            self.take();
        }
        is
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), ApiError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end(&self) -> Result<(), ApiError> {
        if *self.peek() == Token::End { Ok(()) } else { Err(self.unexpected()) }
    }

    /// A name that is no keyword of a clause.
    fn name(&mut self) -> Result<Name, ApiError> {
        let at = self.at();
        match self.peek() {
            Token::Word(text) if !is_clause(text) => {
                let text = text.clone();
                self.take();
                Ok(Name { text, at })
            }
            _ => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<usize, ApiError> {
        let parsed = match self.peek() {
            Token::Number(text) => text.parse().ok(),
            _ => None,
        };
        let number = parsed.ok_or_else(|| self.unexpected())?;
        self.take();
        Ok(number)
    }

    fn query(&mut self, depth: usize) -> Result<Query, ApiError> {
        self.expect_word("SELECT")?;
        let select = self.selection(depth)?;
        self.expect_word("FROM")?;
        let from = self.name()?;
        self.take_word("AS");
        let alias = match self.peek() {
            Token::Word(word) if !is_clause(word) => Some(self.name()?.text),
            _ => None,
        };
        let mut query = Query {
            select,
            from,
            alias,
            filter: None,
            group_by: Vec::new(),
            having: None,
            order_by: Vec::new(),
            limit: None,
            offset: 0,
        };
        self.clauses(&mut query, depth)?;
        Ok(query)
    }

    fn selection(&mut self, depth: usize) -> Result<Vec<Selected>, ApiError> {
        let mut select = Vec::new();
        loop {
            select.push(self.selected(depth)?);
            if !self.take_sign(",") {
                return Ok(select);
            }
        }
    }

    fn selected(&mut self, depth: usize) -> Result<Selected, ApiError> {
        if self.take_sign("(") {
            if depth >= MAX_DEPTH {
                return Err(malformed(self.text, self.at(), "the query is nested too deep"));
            }
            let children = self.query(depth + 1)?;
            self.expect_sign(")")?;
            return Ok(Selected::Children(Box::new(children)));
        }
        let name = self.name()?;
        if !self.take_sign("(") {
            let alias = self.alias()?;
            return Ok(Selected::Field(name, alias));
        }
        if name.text.eq_ignore_ascii_case("COUNT") && self.take_sign(")") {
            return Ok(Selected::Count);
        }
        let inside = self.name()?;
        self.expect_sign(")")?;
        if name.text.eq_ignore_ascii_case("FIELDS") {
            let group = match inside.text.to_ascii_uppercase().as_str() {
                "ALL" => FieldGroup::All,
                "STANDARD" => FieldGroup::Standard,
                "CUSTOM" => FieldGroup::Custom,
                _ => return Err(malformed(self.text, inside.at, "FIELDS() takes ALL, CUSTOM or STANDARD")),
            };
            return Ok(Selected::Fields(group, name.at));
        }
        // There is one language: the label of a value is the value.
        if ["toLabel", "FORMAT"].iter().any(|function| name.text.eq_ignore_ascii_case(function)) {
            let alias = self.alias()?;
            return Ok(Selected::Field(inside, alias));
        }
        let aggregate = self.aggregate(&name, inside)?;
        Ok(Selected::Aggregate(aggregate, self.alias()?))
    }

    fn alias(&mut self) -> Result<Option<String>, ApiError> {
        match self.peek() {
            Token::Word(word) if !is_clause(word) => Ok(Some(self.name()?.text)),
            _ => Ok(None),
        }
    }

    fn aggregate(&self, name: &Name, field: Name) -> Result<Aggregate, ApiError> {
        let function = match name.text.to_ascii_uppercase().as_str() {
            "COUNT" => Function::Count,
            "COUNT_DISTINCT" => Function::CountDistinct,
            "SUM" => Function::Sum,
            "MIN" => Function::Min,
            "MAX" => Function::Max,
            "AVG" => Function::Avg,
            _ => return Err(malformed(self.text, name.at, &format!("unexpected token: '{}'", name.text))),
        };
        Ok(Aggregate { function, field })
    }

    fn clauses(&mut self, query: &mut Query, depth: usize) -> Result<(), ApiError> {
        if self.take_word("USING") {
            self.expect_word("SCOPE")?;
            self.name()?;
        }
        if self.take_word("WHERE") {
            query.filter = Some(self.condition(depth)?);
        }
        if self.take_word("WITH") && !self.take_word("SECURITY_ENFORCED") && !self.take_word("USER_MODE") {
            return Err(self.unexpected());
        }
        if self.take_word("GROUP") {
            self.expect_word("BY")?;
            loop {
                query.group_by.push(self.name()?);
                if !self.take_sign(",") {
                    break;
                }
            }
            if self.take_word("HAVING") {
                query.having = Some(self.condition(depth)?);
            }
        }
        if self.take_word("ORDER") {
            self.expect_word("BY")?;
            loop {
                query.order_by.push(self.order()?);
                if !self.take_sign(",") {
                    break;
                }
            }
        }
        if self.take_word("LIMIT") {
            query.limit = Some(self.number()?);
        }
        if self.take_word("OFFSET") {
            query.offset = self.number()?;
        }
        if self.take_word("FOR") && !["VIEW", "REFERENCE", "UPDATE"].iter().any(|word| self.take_word(word)) {
            return Err(self.unexpected());
        }
        if self.take_word("ALL") {
            self.expect_word("ROWS")?;
        }
        Ok(())
    }

    fn order(&mut self) -> Result<Order, ApiError> {
        let by = self.operand()?;
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let mut nulls_last = false;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.expect_word("FIRST")?;
            }
        }
        Ok(Order { by, descending, nulls_last })
    }

    fn operand(&mut self) -> Result<Operand, ApiError> {
        let name = self.name()?;
        if !self.take_sign("(") {
            return Ok(Operand::Field(name));
        }
        let field = self.name()?;
        self.expect_sign(")")?;
        if name.text.eq_ignore_ascii_case("toLabel") {
            return Ok(Operand::Field(field));
        }
        Ok(Operand::Aggregate(self.aggregate(&name, field)?))
    }

    /// AND and OR may not stand side by side without parentheses.
    fn condition(&mut self, depth: usize) -> Result<Condition, ApiError> {
        let first = self.term(depth)?;
        for (word, other) in [("AND", "OR"), ("OR", "AND")] {
            if !self.is_word(word) {
                continue;
            }
            let mut conditions = vec![first];
            while self.take_word(word) {
                conditions.push(self.term(depth)?);
            }
            if self.is_word(other) {
                return Err(self.unexpected());
            }
            return Ok(if word == "AND" { Condition::And(conditions) } else { Condition::Or(conditions) });
        }
        Ok(first)
    }

    fn term(&mut self, depth: usize) -> Result<Condition, ApiError> {
        if depth >= MAX_DEPTH {
            return Err(malformed(self.text, self.at(), "the query is nested too deep"));
        }
        if self.take_word("NOT") {
            return Ok(Condition::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.take_sign("(") {
            let inside = self.condition(depth + 1)?;
            self.expect_sign(")")?;
            return Ok(inside);
        }
        let operand = self.operand()?;
        let not = self.take_word("NOT");
        if not && !self.is_word("IN") {
            return Err(self.unexpected());
        }
        if self.take_word("IN") {
            self.expect_sign("(")?;
            if self.is_word("SELECT") {
                let query = self.query(depth + 1)?;
                self.expect_sign(")")?;
                return Ok(Condition::InQuery(operand, not, Box::new(query)));
            }
            return Ok(Condition::In(operand, not, self.list()?));
        }
        for (word, not) in [("INCLUDES", false), ("EXCLUDES", true)] {
            if self.take_word(word) {
                self.expect_sign("(")?;
                return Ok(Condition::Includes(operand, not, self.list()?));
            }
        }
        let operator = if self.take_word("LIKE") { Operator::Like } else { self.operator()? };
        Ok(Condition::Compare(operand, operator, self.literal()?))
    }

    fn operator(&mut self) -> Result<Operator, ApiError> {
        let operator = match self.peek() {
            Token::Sign("=") => Operator::Equal,
            Token::Sign("!=" | "<>") => Operator::NotEqual,
            Token::Sign("<") => Operator::Less,
            Token::Sign("<=") => Operator::LessOrEqual,
            Token::Sign(">") => Operator::Greater,
            Token::Sign(">=") => Operator::GreaterOrEqual,
            _ => return Err(self.unexpected()),
        };
        self.take();
        Ok(operator)
    }

    /// After the opening parenthesis.
    fn list(&mut self) -> Result<Vec<Literal>, ApiError> {
        let mut literals = Vec::new();
        loop {
            literals.push(self.literal()?);
            if !self.take_sign(",") {
                break;
            }
        }
        self.expect_sign(")")?;
        Ok(literals)
    }

    fn literal(&mut self) -> Result<Literal, ApiError> {
        let literal = match self.peek() {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(text) => number_or_date(text).ok_or_else(|| self.unexpected())?,
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Boolean(true),
                "FALSE" => Literal::Boolean(false),
                upper => {
                    let (name, count) = match upper.split_once(':') {
                        Some((name, count)) => (name, Some(count.parse().map_err(|_| self.unexpected())?)),
                        None => (upper, None),
                    };
                    let any_day = time::macros::date!(2026 - 01 - 01);
                    if crate::dates::literal_range(name, count, any_day).is_none() {
                        return Err(self.unexpected());
                    }
                    Literal::Relative(name.to_owned(), count)
                }
            },
            _ => return Err(self.unexpected()),
        };
        self.take();
        Ok(literal)
    }
}

fn number_or_date(text: &str) -> Option<Literal> {
    if text.contains('T') {
        return crate::dates::parse_datetime(text).map(|at| Literal::DateTime(crate::dates::format_datetime(at)));
    }
    if let Some(date) = crate::dates::parse_date(text) {
        return Some(Literal::Date(crate::dates::format_date(date)));
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Literal::Number)
}

/// Words that end a list of fields, so that none of them is taken for an alias.
fn is_clause(word: &str) -> bool {
    const CLAUSES: [&str; 19] = [
        "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "WITH", "USING", "FOR", "AND", "OR",
        "NOT", "IN", "LIKE", "ASC", "DESC", "NULLS",
    ];
    CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause))
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ApiError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'\'' => {
                let (value, end) = quoted(text, at)?;
                tokens.push((Token::Text(value), start));
                at = end;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                // `:` for LAST_N_DAYS:30
                let length = bytes[at..].iter().take_while(|byte| is_name(**byte)).count();
                at += length;
                tokens.push((Token::Word(text[start..at].to_owned()), start));
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' => {
                let is_number = |byte: &&u8| byte.is_ascii_alphanumeric() || b".:+-".contains(byte);
                at += bytes[at..].iter().take_while(is_number).count();
                tokens.push((Token::Number(text[start..at].to_owned()), start));
            }
            _ => {
                let signs = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ","];
                let Some(sign) = signs.into_iter().find(|sign| text[at..].starts_with(sign)) else {
                    let character = text[at..].chars().next().unwrap_or(' ');
                    return Err(malformed(
                        text,
                        at,
                        &format!("line 1:{at} no viable alternative at character '{character}'"),
                    ));
                };
                tokens.push((Token::Sign(sign), start));
                at += sign.len();
            }
        }
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:".contains(&byte)
}

/// A quoted text from its quote on: its value, and the place after it.
fn quoted(text: &str, start: usize) -> Result<(String, usize), ApiError> {
    let mut value = String::new();
    let mut characters = text[start + 1..].char_indices();
    let place = |offset: usize| start + 1 + offset;
    while let Some((offset, character)) = characters.next() {
        match character {
            '\'' => return Ok((value, place(offset) + 1)),
            '\n' | '\r' => return Err(malformed(text, place(offset), "line breaks not allowed in string literals")),
            '\\' => {
                let escaped = match characters.next().map(|(_, escaped)| escaped) {
                    Some(escaped @ ('\\' | '\'' | '"')) => escaped,
                    Some('n' | 'N') => '\n',
                    Some('r' | 'R') => '\r',
                    Some('t' | 'T') => '\t',
                    Some('b' | 'B') => '\u{8}',
                    Some('f' | 'F') => '\u{c}',
                    Some('u') => unicode(&mut characters).ok_or_else(|| illegal_escape(text, place(offset)))?,
                    // They mean something to LIKE alone, which reads them again.
                    Some(wildcard @ ('_' | '%')) => {
                        value.push(LIKE_ESCAPE);
                        wildcard
                    }
                    _ => return Err(illegal_escape(text, place(offset))),
                };
                value.push(escaped);
            }
            other => value.push(other),
        }
    }
    Err(malformed(text, start, "unterminated string literal"))
}

/// Stands before a `%` or `_` that was escaped, in the value of a text: a private character of Unicode.
pub const LIKE_ESCAPE: char = '\u{f8ff}';

fn illegal_escape(text: &str, at: usize) -> ApiError {
    malformed(text, at, "Illegal escape sequence: a backslash may stand before n, r, t, b, f, u, \", ', \\, _ and %")
}

fn unicode(characters: &mut std::str::CharIndices) -> Option<char> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + characters.next()?.1.to_digit(16)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> String {
        parse(text).map_or_else(|error| error.code, |query| format!("{query:?}"))
    }

    #[test]
    fn every_clause_is_read() {
        let query = parse(
            "select Id, Account.Name, (SELECT Id FROM Events WHERE Subject != null LIMIT 2)\n FROM Contact c \
             WHERE (Name LIKE 'A\\_%' OR NOT Email IN ('a\\'b', null)) AND CreatedDate >= LAST_N_DAYS:30 \
             AND Interests__c INCLUDES ('A;B') AND AccountId NOT IN (SELECT Id FROM Account) \
             ORDER BY LastName DESC NULLS LAST, FirstName LIMIT 10 OFFSET 5",
        )
        .unwrap();
        assert_eq!(
            (query.select.len(), query.alias.as_deref(), query.limit, query.offset),
            (3, Some("c"), Some(10), 5)
        );
        let Some(Condition::And(conditions)) = query.filter else { panic!("no AND") };
        assert_eq!(conditions.len(), 4);
        assert!(query.order_by[0].descending && query.order_by[0].nulls_last && !query.order_by[1].descending);
    }

    #[test]
    fn aggregates_have_fields_and_aliases() {
        let query = parse(
            "SELECT StageName, COUNT(Id), SUM(Amount) total FROM Opportunity GROUP BY StageName HAVING COUNT(Id) > 3",
        );
        let query = query.unwrap();
        assert!(matches!(&query.select[2], Selected::Aggregate(_, Some(alias)) if alias == "total"));
        assert_eq!((query.group_by.len(), query.having.is_some()), (1, true));
        assert_eq!(parse("SELECT COUNT() FROM Contact").unwrap().select, [Selected::Count]);
    }

    #[test]
    fn what_is_no_query_is_malformed() {
        for text in [
            "",
            "SELECT",
            "SELECT Id",
            "SELECT Id FROM",
            "SELECT FROM Contact",
            "SELECT Id, FROM Contact",
            "SELECT Id FROM Contact WHERE",
            "SELECT Id FROM Contact WHERE Name",
            "SELECT Id FROM Contact WHERE Name = ",
            "SELECT Id FROM Contact WHERE Name = Other",
            "SELECT Id FROM Contact WHERE Name = 'a",
            "SELECT Id FROM Contact WHERE Name = 'a\\x'",
            "SELECT Id FROM Contact WHERE Name = 'a\\",
            "SELECT Id FROM Contact WHERE Name = 'a' OR Name = 'b' AND Name = 'c'",
            "SELECT Id FROM Contact WHERE Name IN ()",
            "SELECT Id FROM Contact LIMIT -1",
            "SELECT Id FROM Contact LIMIT 1 WHERE Id = null",
            "SELECT Id FROM Contact; DELETE",
            "SELECT Id FROM Contact WHERE CreatedDate > LAST_N_DAYS",
            "SELECT * FROM Contact",
            "SELECT Id FROM Contact WHERE é = 1",
        ] {
            assert_eq!(code_of(text), "MALFORMED_QUERY", "{text}");
        }
        let deep = format!("SELECT Id FROM Contact WHERE {}Id = null{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(code_of(&deep), "MALFORMED_QUERY");
        let deep = format!("SELECT Id FROM Contact WHERE {} Id = null", "NOT ".repeat(5000));
        assert_eq!(code_of(&deep), "MALFORMED_QUERY");
    }

    #[test]
    fn the_place_of_an_error_is_shown() {
        let error = parse("SELECT Id FROM Contact WHERE Name == 'a'").unwrap_err();
        let shown =
            "\n Contact WHERE Name == 'a'\n                    ^\nERROR at Row:1:Column:36\nunexpected token: '='";
        assert_eq!(error.message, shown.replacen("\n ", "\n", 1));
    }

    #[test]
    fn texts_are_unescaped() {
        let query = parse(r"SELECT Id FROM Contact WHERE Name = 'O\'Hara \u00e9 \\ \n \%'").unwrap();
        let Some(Condition::Compare(_, _, Literal::Text(text))) = query.filter else { panic!("no text") };
        assert_eq!(text, format!("O'Hara é \\ \n {LIKE_ESCAPE}%"));
    }
}
