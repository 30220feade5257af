//! What a query or a search of somebody else would read: its objects and the paths of its fields, wherever they stand,
//! for a condition tells of a field as its selection does.
//!
//! It reads less than Salesforce does (SOQL and SOSL Reference, "SELECT Syntax", "FIND"), and says so where it stops: what is not
//! understood cannot be held against what may be read.

/// Levels of parentheses and of queries in queries.
const MAX_DEPTH: usize = 20;

/// Words that may follow an object instead of its alias.
const CLAUSES: [&str; 11] =
    ["WHERE", "WITH", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "USING", "UPDATE", "ALL"];

/// Functions whose arguments are all that they read.
const FUNCTIONS: [&str; 28] = [
    "AVG",
    "CALENDAR_MONTH",
    "CALENDAR_QUARTER",
    "CALENDAR_YEAR",
    "CONVERTCURRENCY",
    "CONVERTTIMEZONE",
    "COUNT",
    "COUNT_DISTINCT",
    "CUBE",
    "DAY_IN_MONTH",
    "DAY_IN_WEEK",
    "DAY_IN_YEAR",
    "DAY_ONLY",
    "DISTANCE",
    "FISCAL_MONTH",
    "FISCAL_QUARTER",
    "FISCAL_YEAR",
    "FORMAT",
    "GEOLOCATION",
    "GROUPING",
    "HOUR_IN_DAY",
    "MAX",
    "MIN",
    "ROLLUP",
    "SUM",
    "TOLABEL",
    "WEEK_IN_MONTH",
    "WEEK_IN_YEAR",
];

/// What a query reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The name behind `FROM`: an object; of a query in a selection, the name of a child relationship.
    pub object: String,
    /// Another name for it, that paths may begin with.
    pub alias: Option<String>,
    /// Fields and paths of fields, in any clause, as they are written.
    pub paths: Vec<String>,
    /// Names that the selection gives to values: `n` of `SELECT MAX(Name) n`.
    pub aliases: Vec<String>,
    /// Whether `FIELDS(…)` selects fields that are not named.
    pub unnamed_fields: bool,
    /// Queries in the selection, of child relationships.
    pub children: Vec<Reading>,
    /// Queries in conditions, of objects of their own.
    pub joined: Vec<Reading>,
}

impl Reading {
    /// Whether a value of its records, or of those of its children, is given this name, in any case.
    pub fn gives_name(&self, name: &str) -> bool {
        self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
            || self.children.iter().any(|child| child.gives_name(name))
    }
}

/// Where the reading stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// A sign or a word that is not expected.
    #[error("it is not understood from {0} on")]
    Unexpected(String),
    /// A text that does not end.
    #[error("a text in it has no end")]
    Unended,
    /// Too much in parentheses.
    #[error("it is nested more than 20 levels deep")]
    Depth,
    /// A search that does not say what it returns.
    #[error("it does not say RETURNING which objects")]
    Returning,
}

/// Reads a query.
///
/// # Errors
/// [`NotRead`]: it may be right all the same.
pub fn read(query: &str) -> Result<Reading, NotRead> {
    let mut reader = Reader::new(query)?;
    let reading = reader.query(0)?;
    reader.end()?;
    Ok(reading)
}

/// Reads a search: what each of its objects would give.
///
/// # Errors
/// [`NotRead`]: it may be right all the same.
pub fn read_search(search: &str) -> Result<Vec<Reading>, NotRead> {
    let rest = search.trim_start();
    let (find, rest) = rest.split_at_checked(4).ok_or_else(|| unexpected("its beginning"))?;
    if !find.eq_ignore_ascii_case("FIND") {
        return Err(unexpected("its beginning"));
    }
    let rest = rest.trim_start().strip_prefix('{').ok_or_else(|| unexpected("FIND"))?;
    let end = end_of_term(rest).ok_or(NotRead::Unended)?;
    let mut reader = Reader::new(rest.get(end..).unwrap_or_default())?;
    if reader.take("IN") {
        reader.word()?;
        reader.expect("FIELDS")?;
    }
    if reader.at == reader.tokens.len() || !reader.take("RETURNING") {
        return Err(NotRead::Returning);
    }
    let mut readings = Vec::new();
    loop {
        readings.push(reader.returned()?);
        if !reader.take_sign(',') {
            break;
        }
    }
    if reader.take("LIMIT") {
        reader.number()?;
    }
    reader.end()?;
    Ok(readings)
}

/// Behind the brace that ends a search term.
fn end_of_term(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '}' if !escaped => return Some(at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// Names with dots between them, or a keyword.
    Word(String),
    /// A number, a date or a moment.
    Number,
    Text,
    Comparison,
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, NotRead> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '\'' => {
                loop {
                    match rest.next().ok_or(NotRead::Unended)? {
                        '\'' => break,
                        '\\' => {
                            rest.next();
                        }
                        _ => {}
                    }
                }
                tokens.push(Token::Text);
            }
            c if c.is_ascii_alphabetic() => {
                let mut word = c.to_string();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
                    word.push(c);
                }
                if word.split('.').any(|name| !name.starts_with(|c: char| c.is_ascii_alphabetic())) {
                    return Err(unexpected(&word));
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-') => {
                while rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '+' | '-')).is_some() {}
                tokens.push(Token::Number);
            }
            '=' => tokens.push(Token::Comparison),
            '!' => match rest.next() {
                Some('=') => tokens.push(Token::Comparison),
                _ => return Err(unexpected("!")),
            },
            '<' => {
                rest.next_if(|c| matches!(c, '=' | '>'));
                tokens.push(Token::Comparison);
            }
            '>' => {
                rest.next_if_eq(&'=');
                tokens.push(Token::Comparison);
            }
            '(' | ')' | ',' | ':' => tokens.push(Token::Sign(c)),
            c => return Err(unexpected(&c.to_string())),
        }
    }
    Ok(tokens)
}

fn unexpected(what: &str) -> NotRead {
    NotRead::Unexpected(what.chars().take(40).collect())
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn new(text: &str) -> Result<Reader, NotRead> {
        Ok(Reader { tokens: tokens(text)?, at: 0 })
    }

    fn query(&mut self, depth: usize) -> Result<Reading, NotRead> {
        if depth > MAX_DEPTH {
            return Err(NotRead::Depth);
        }
        let mut reading = Reading::default();
        self.expect("SELECT")?;
        self.selection(&mut reading, depth)?;
        self.expect("FROM")?;
        reading.object = self.name()?;
        if !self.take("AS") && (self.peek_clause() || !matches!(self.peek(), Some(Token::Word(_)))) {
            self.clauses(&mut reading, depth)?;
            return Ok(reading);
        }
        reading.alias = Some(self.name()?);
        self.clauses(&mut reading, depth)?;
        Ok(reading)
    }

    /// `Contact(Id, Name WHERE … ORDER BY … LIMIT n)`
    fn returned(&mut self) -> Result<Reading, NotRead> {
        let mut reading = Reading { object: self.name()?, ..Reading::default() };
        if self.take_sign('(') {
            self.selection(&mut reading, 0)?;
            self.clauses(&mut reading, 0)?;
            self.expect_sign(')')?;
        }
        Ok(reading)
    }

    fn selection(&mut self, reading: &mut Reading, depth: usize) -> Result<(), NotRead> {
        loop {
            if self.take_sign('(') {
                reading.children.push(self.query(depth + 1)?);
                self.expect_sign(')')?;
            } else if self.is("FIELDS") && self.peek_at(1) == Some(&Token::Sign('(')) {
                self.at += 2;
                self.word()?;
                self.expect_sign(')')?;
                reading.unnamed_fields = true;
            } else {
                self.operand(reading, depth)?;
                if !self.is("FROM") && !self.peek_clause() && matches!(self.peek(), Some(Token::Word(_))) {
                    let alias = self.name()?;
                    reading.aliases.push(alias);
                }
            }
            if !self.take_sign(',') {
                return Ok(());
            }
        }
    }

    fn clauses(&mut self, reading: &mut Reading, depth: usize) -> Result<(), NotRead> {
        loop {
            if self.take("WHERE") || self.take("HAVING") {
                self.condition(reading, depth)?;
            } else if self.take("WITH") {
                if !(self.take("SECURITY_ENFORCED") || self.take("USER_MODE") || self.take("SYSTEM_MODE")) {
                    return Err(self.unexpected_here());
                }
            } else if self.take("GROUP") {
                self.expect("BY")?;
                self.operand(reading, depth)?;
                while self.take_sign(',') {
                    self.operand(reading, depth)?;
                }
            } else if self.take("ORDER") {
                self.expect("BY")?;
                self.order(reading, depth)?;
                while self.take_sign(',') {
                    self.order(reading, depth)?;
                }
            } else if self.take("LIMIT") || self.take("OFFSET") {
                self.number()?;
            } else if self.take("USING") {
                self.expect("SCOPE")?;
                self.name()?;
            } else if self.take("FOR") {
                self.name()?;
            } else if self.take("ALL") {
                self.expect("ROWS")?;
            } else {
                return Ok(());
            }
        }
    }

    fn order(&mut self, reading: &mut Reading, depth: usize) -> Result<(), NotRead> {
        self.operand(reading, depth)?;
        let _ = self.take("ASC") || self.take("DESC");
        if self.take("NULLS") && !self.take("FIRST") {
            self.expect("LAST")?;
        }
        Ok(())
    }

    /// A path, or a function of some.
    fn operand(&mut self, reading: &mut Reading, depth: usize) -> Result<(), NotRead> {
        if depth > MAX_DEPTH {
            return Err(NotRead::Depth);
        }
        let word = self.word()?;
        if !self.take_sign('(') {
            reading.paths.push(word);
            return Ok(());
        }
        if !FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(&word)) {
            return Err(unexpected(&word));
        }
        if self.take_sign(')') {
            return Ok(());
        }
        loop {
            match self.peek() {
                Some(Token::Text | Token::Number) => self.at += 1,
                _ => self.operand(reading, depth + 1)?,
            }
            if !self.take_sign(',') {
                return self.expect_sign(')');
            }
        }
    }

    fn condition(&mut self, reading: &mut Reading, depth: usize) -> Result<(), NotRead> {
        if depth > MAX_DEPTH {
            return Err(NotRead::Depth);
        }
        loop {
            while self.take("NOT") {}
            if self.take_sign('(') {
                self.condition(reading, depth + 1)?;
                self.expect_sign(')')?;
            } else {
                self.comparison(reading, depth)?;
            }
            if !(self.take("AND") || self.take("OR")) {
                return Ok(());
            }
        }
    }

    fn comparison(&mut self, reading: &mut Reading, depth: usize) -> Result<(), NotRead> {
        self.operand(reading, depth)?;
        if self.peek() == Some(&Token::Comparison) {
            self.at += 1;
            return self.value();
        }
        if self.take("LIKE") {
            return self.value();
        }
        let list = if self.take("NOT") {
            self.take("IN")
        } else {
            self.take("IN") || self.take("INCLUDES") || self.take("EXCLUDES")
        };
        if !list {
            return Err(self.unexpected_here());
        }
        self.expect_sign('(')?;
        if self.is("SELECT") {
            let joined = self.query(depth + 1)?;
            reading.joined.push(joined);
        } else {
            self.value()?;
            while self.take_sign(',') {
                self.value()?;
            }
        }
        self.expect_sign(')')
    }

    /// A literal; `LAST_N_DAYS:30` is one too. No field is compared with another.
    fn value(&mut self) -> Result<(), NotRead> {
        match self.peek() {
            Some(Token::Text | Token::Number) => self.at += 1,
            Some(Token::Word(_)) => {
                self.name()?;
                if self.take_sign(':') {
                    self.number()?;
                }
            }
            _ => return Err(self.unexpected_here()),
        }
        Ok(())
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn is(&self, keyword: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    fn peek_clause(&self) -> bool {
        CLAUSES.iter().any(|clause| self.is(clause))
    }

    fn take(&mut self, keyword: &str) -> bool {
        let is = self.is(keyword);
        self.at += usize::from(is);
        is
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let is = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, keyword: &str) -> Result<(), NotRead> {
        if self.take(keyword) { Ok(()) } else { Err(self.unexpected_here()) }
    }

    fn expect_sign(&mut self, sign: char) -> Result<(), NotRead> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected_here()) }
    }

    fn word(&mut self) -> Result<String, NotRead> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected_here()),
        }
    }

    /// A word without dots.
    fn name(&mut self) -> Result<String, NotRead> {
        let word = self.word()?;
        if word.contains('.') { Err(unexpected(&word)) } else { Ok(word) }
    }

    fn number(&mut self) -> Result<(), NotRead> {
        if self.peek() != Some(&Token::Number) {
            return Err(self.unexpected_here());
        }
        self.at += 1;
        Ok(())
    }

    fn end(&self) -> Result<(), NotRead> {
        if self.at == self.tokens.len() { Ok(()) } else { Err(self.unexpected_here()) }
    }

    fn unexpected_here(&self) -> NotRead {
        match self.peek() {
            Some(Token::Word(word)) => unexpected(word),
            Some(Token::Number) => unexpected("a number"),
            Some(Token::Text) => unexpected("a text"),
            Some(Token::Comparison) => unexpected("a comparison"),
            Some(Token::Sign(sign)) => unexpected(&sign.to_string()),
            None => unexpected("its end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths(query: &str) -> Vec<String> {
        read(query).unwrap_or_else(|error| panic!("{query}: {error}")).paths
    }

    #[test]
    fn fields_are_found_in_every_clause() {
        for (query, expected) in [
            ("SELECT Id FROM Contact", &["Id"][..]),
            ("select Id, Account.Owner.Name n\nfrom Contact", &["Id", "Account.Owner.Name"]),
            ("SELECT c.Id FROM Contact c WHERE c.Email LIKE '%\\'--%' LIMIT 5 OFFSET 2", &["c.Id", "c.Email"]),
            ("SELECT Id FROM Contact WHERE (NOT A = 'x' AND B != 1) OR C IN ('a', 'b')", &["Id", "A", "B", "C"]),
            ("SELECT Id FROM Contact WHERE A NOT IN (1, 2) AND B INCLUDES ('a;b','c')", &["Id", "A", "B"]),
            ("SELECT Id FROM Event WHERE A >= LAST_N_DAYS:30 AND B < 2026-02-20T18:00:00.000+01:00", &["Id", "A", "B"]),
            ("SELECT Id FROM O WHERE Amount > USD5000 AND X <> null AND Y=TRUE", &["Id", "Amount", "X", "Y"]),
            ("SELECT COUNT() FROM Contact", &[]),
            (
                "SELECT Stage s, COUNT(Id) c, SUM(Amount) FROM O GROUP BY ROLLUP(Stage) HAVING COUNT(Id) > 1",
                &["Stage", "Id", "Amount", "Stage", "Id"],
            ),
            ("SELECT CALENDAR_YEAR(convertTimezone(Made)) FROM O", &["Made"]),
            ("SELECT Id FROM O WHERE DISTANCE(Spot, GEOLOCATION(37.7,-122.4), 'mi') < 20", &["Id", "Spot"]),
            ("SELECT Id FROM O ORDER BY A DESC NULLS LAST, B, C ASC NULLS FIRST FOR VIEW", &["Id", "A", "B", "C"]),
            ("SELECT Id FROM O USING SCOPE mine WITH SECURITY_ENFORCED ORDER BY A ALL ROWS", &["Id", "A"]),
        ] {
            assert_eq!(paths(query), expected, "{query}");
        }
    }

    #[test]
    fn queries_in_queries_are_read_too() {
        let reading = read(
            "SELECT Name, (SELECT Id, Owner.Name FROM Contacts k WHERE k.Email = 'a' ORDER BY LastName) FROM Account \
             WHERE Id IN (SELECT AccountId FROM Opportunity WHERE Amount > 5) AND FIELD__c = 'x'",
        )
        .unwrap();
        assert_eq!(
            (reading.object.as_str(), &reading.paths[..]),
            ("Account", &["Name", "Id", "FIELD__c"].map(str::to_owned)[..])
        );
        let child = &reading.children[0];
        assert_eq!((child.object.as_str(), child.alias.as_deref()), ("Contacts", Some("k")));
        assert_eq!(child.paths, ["Id", "Owner.Name", "k.Email", "LastName"]);
        let joined = &reading.joined[0];
        assert_eq!(
            (joined.object.as_str(), &joined.paths[..]),
            ("Opportunity", &["AccountId", "Amount"].map(str::to_owned)[..])
        );
        assert!(read("SELECT FIELDS(ALL) FROM Contact LIMIT 200").unwrap().unnamed_fields);
    }

    #[test]
    fn names_that_a_selection_gives_are_kept() {
        for query in [
            "SELECT LastName Id FROM Lead GROUP BY LastName",
            "SELECT COUNT(Id) n, MAX(LastName)iD\nFROM Lead",
            "SELECT FORMAT(Amount) ID, Name FROM Opportunity",
            "SELECT Name, (SELECT toLabel(Title) id FROM Contacts) FROM Account",
        ] {
            assert!(read(query).unwrap().gives_name("Id"), "{query}");
        }
        for query in [
            "SELECT Id, Account.Id, COUNT(Id) n FROM Lead Id GROUP BY Id",
            "SELECT Name, (SELECT Id FROM Contacts) FROM Account WHERE Id IN (SELECT AccountId a FROM Contact)",
        ] {
            assert!(!read(query).unwrap().gives_name("Id"), "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for query in [
            "",
            "FIND {x}",
            "SELECT",
            "SELECT FROM Contact",
            "SELECT Id",
            "SELECT Id FROM Contact, Contact.Account a",
            "SELECT Id FROM Contact.Account",
            "SELECT TYPEOF What WHEN Account THEN Phone ELSE Name END FROM Event",
            "SELECT Id FROM Contact WHERE A = :name",
            "SELECT Id FROM Contact WHERE A = B.C",
            "SELECT Id FROM Contact WHERE A",
            "SELECT Id FROM Contact WHERE A = 'x",
            "SELECT Id FROM Contact WHERE A = \"x\"",
            "SELECT Secret(Id) FROM Contact",
            "SELECT Id FROM Contact WHERE FIELDS(ALL) = 1",
            "SELECT Id FROM Contact WITH DATA CATEGORY a AT b",
            "SELECT Id FROM Contact; DELETE",
            "SELECT Id /* x */ FROM Contact",
            "SELECT Id FROM Contact LIMIT x",
            "SELECT A..B FROM Contact",
            "SELECT Id FROM Contact) ",
            "SELECT\u{a0}Id FROM Contact",
        ] {
            assert!(read(query).is_err(), "{query}: {:?}", read(query));
        }
        let deep = format!("SELECT Id FROM O WHERE {}A = 1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(read(&deep), Err(NotRead::Depth));
        let deep = format!("SELECT {}Id{} FROM O", "MAX(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(read(&deep), Err(NotRead::Depth));
    }

    #[test]
    fn a_search_tells_what_it_returns() {
        let found = read_search(
            "FIND {Acme \\} OR x} IN NAME FIELDS RETURNING Contact(Id, Account.Name WHERE Email != null LIMIT 5), Lead LIMIT 9",
        )
        .unwrap();
        assert_eq!((found.len(), found[0].object.as_str(), found[1].object.as_str()), (2, "Contact", "Lead"));
        assert_eq!(found[0].paths, ["Id", "Account.Name", "Email"]);
        assert_eq!(read_search("FIND {Acme}"), Err(NotRead::Returning));
        assert_eq!(read_search("FIND {Acme} IN ALL FIELDS"), Err(NotRead::Returning));
        for search in
            ["", "FIND", "FIND {x", "FIN\u{e9}", "FIND {x} RETURNING Contact(Id", "FIND {x} RETURNING Contact WITH x"]
        {
            assert!(read_search(search).is_err(), "{search}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop_oneof![
            any::<String>(),
            "(SELECT |FROM |WHERE |Id|, |\\(|\\)|'|\\\\| = |FIND \\{|\\} |RETURNING |COUNT|A\\.B|:1|é){0,20}",
        ]) {
            let _ = read(&text);
            let _ = read_search(&text);
        }
    }
}
