//! SOSL and parameterised search. Texts are cut into words of letters and digits; a term is found where its words stand
//! next to each other, without case, `*` and `?` standing for parts of a word (SOQL and SOSL Reference, "FIND").

use serde_json::{Value, json};

use crate::answer::{Answer, ApiError, Call};
use crate::org::Record;
use crate::query::{self, Scope};
use crate::schema::{self, Kind, Object};
use crate::soql::{self, Query};
use crate::state::{self, State};

/// SOSL, "LIMIT n".
const MAX_RESULTS: usize = 2_000;

/// What is looked for, and where.
struct Search {
    term: Term,
    scope: FieldScope,
    objects: Vec<(&'static Object, Query, String)>,
    limit: usize,
}

#[derive(Clone, Copy)]
enum FieldScope {
    All,
    Name,
    Email,
    Phone,
}

#[derive(Debug, PartialEq)]
enum Term {
    /// Words that stand next to each other.
    Words(Vec<String>),
    All(Vec<Term>),
    Any(Vec<Term>),
    Not(Box<Term>),
}

/// `GET /search?q=FIND {…} …`
///
/// # Errors
/// `MALFORMED_SEARCH` and what a query may have.
pub fn by_sosl(state: &State, call: &Call) -> Result<Answer, ApiError> {
    let Some(text) = call.parameter("q") else { return Err(malformed("No search term found.")) };
    let search = parse(text)?;
    run(state, call, &search)
}

/// `GET` and `POST /parameterizedSearch`
///
/// # Errors
/// `MALFORMED_SEARCH` and what a query may have.
pub fn by_parameters(state: &State, call: &Call) -> Result<Answer, ApiError> {
    let search = if call.method == "POST" { from_body(call)? } else { from_query(call)? };
    run(state, call, &search)
}

fn malformed(message: &str) -> ApiError {
    ApiError::new(400, "MALFORMED_SEARCH", message)
}

fn run(state: &State, call: &Call, search: &Search) -> Result<Answer, ApiError> {
    let base = call.base();
    let mut found = Vec::new();
    for (object, query, text) in &search.objects {
        let scope = Scope { org: &state.org, text, base: &base, now: state::now(), with_deleted: false };
        let hits = state.org.living(object).filter(|record| is_hit(search, object, record)).collect();
        for record in query::matching(scope, object, query, hits)? {
            found.push(query::show(scope, object, query, record)?);
        }
    }
    found.truncate(search.limit);
    Ok(Answer::ok(json!({ "searchRecords": found })))
}

fn is_hit(search: &Search, object: &Object, record: &Record) -> bool {
    let fits = |name: &str, kind: Kind| match search.scope {
        FieldScope::All => {
            matches!(kind, Kind::Text | Kind::TextArea | Kind::Email | Kind::Phone | Kind::Url | Kind::Picklist)
        }
        FieldScope::Name => matches!(name, "Name" | "FirstName" | "LastName" | "Subject"),
        FieldScope::Email => kind == Kind::Email,
        FieldScope::Phone => kind == Kind::Phone,
    };
    let texts: Vec<Vec<String>> = object
        .fields
        .iter()
        .filter(|field| fits(field.name, field.kind))
        .filter_map(|field| record.get(field.name)?.as_str())
        .map(|text| words(text, ""))
        .collect();
    holds(&search.term, &texts)
}

fn holds(term: &Term, texts: &[Vec<String>]) -> bool {
    match term {
        Term::Words(words) => texts.iter().any(|text| {
            text.windows(words.len()).any(|part| part.iter().zip(words).all(|(own, wanted)| fits(wanted, own)))
        }),
        Term::All(terms) => terms.iter().all(|term| holds(term, texts)),
        Term::Any(terms) => terms.iter().any(|term| holds(term, texts)),
        Term::Not(term) => !holds(term, texts),
    }
}

/// `*` is any number of characters, `?` one.
fn fits(pattern: &str, word: &str) -> bool {
    let pattern: Vec<char> = pattern
        .chars()
        .map(|character| match character {
            '*' => '%',
            '?' => '_',
            other => other,
        })
        .collect();
    query::like(&pattern, &word.chars().collect::<Vec<_>>())
}

/// Words of letters and digits, and of what else is given.
fn words(text: &str, more: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let between = |character: char| !character.is_alphanumeric() && !more.contains(character);
    text.split(between).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn parse(text: &str) -> Result<Search, ApiError> {
    let rest = strip_word(text, "FIND").ok_or_else(|| malformed("A search begins with FIND"))?;
    let rest = rest.trim_start();
    let needs_braces = || malformed("No search term found. The search term must be enclosed in braces.");
    let inside = rest.strip_prefix('{').ok_or_else(needs_braces)?;
    let end = end_of(inside, '}').ok_or_else(needs_braces)?;
    let term = parse_term(&inside[..end])?;
    let mut rest = inside[end + 1..].trim_start();
    let mut scope = FieldScope::All;
    if let Some(after) = strip_word(rest, "IN") {
        let (name, after) = next_word(after);
        scope = field_scope(name)?;
        rest = strip_word(after, "FIELDS").ok_or_else(|| malformed("unexpected token: FIELDS expected"))?.trim_start();
    }
    let mut objects = Vec::new();
    if let Some(after) = strip_word(rest, "RETURNING") {
        rest = after.trim_start();
        loop {
            let (name, after) = next_word(rest);
            rest = after.trim_start();
            let inside = match rest.strip_prefix('(') {
                None => "Id",
                Some(inside) => {
                    let end = end_of_parentheses(inside).ok_or_else(|| malformed("unterminated RETURNING"))?;
                    rest = inside[end + 1..].trim_start();
                    &inside[..end]
                }
            };
            objects.push(returned(name, inside)?);
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None => break,
            }
        }
    }
    let mut limit = MAX_RESULTS;
    if let Some(after) = strip_word(rest, "LIMIT") {
        let (number, after) = next_word(after);
        limit = number.parse().map_err(|_| malformed("LIMIT needs a number"))?;
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        return Err(malformed(&format!("unexpected token: '{}'", next_word(rest).0)));
    }
    Ok(Search { term, scope, objects: or_all(objects)?, limit: limit.min(MAX_RESULTS) })
}

/// Without `RETURNING`, ids of everything that is searched.
fn or_all(objects: Vec<(&'static Object, Query, String)>) -> Result<Vec<(&'static Object, Query, String)>, ApiError> {
    if !objects.is_empty() {
        return Ok(objects);
    }
    schema::objects().iter().filter(|object| object.searchable).map(|object| returned(object.name, "Id")).collect()
}

fn returned(name: &str, inside: &str) -> Result<(&'static Object, Query, String), ApiError> {
    let Some(object) = schema::object(name).filter(|object| object.searchable) else {
        return Err(ApiError::new(400, "INVALID_TYPE", format!("sObject type '{name}' is not supported.")));
    };
    Ok((object, soql::parse_returning(name, inside)?, inside.to_owned()))
}

fn field_scope(name: &str) -> Result<FieldScope, ApiError> {
    match name.to_ascii_uppercase().as_str() {
        "ALL" | "SIDEBAR" => Ok(FieldScope::All),
        "NAME" => Ok(FieldScope::Name),
        "EMAIL" => Ok(FieldScope::Email),
        "PHONE" => Ok(FieldScope::Phone),
        _ => Err(malformed(&format!("unexpected token: '{name}'"))),
    }
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let text = text.trim_start();
    let (start, rest) = text.split_at_checked(word.len())?;
    let ends = rest.chars().next().is_none_or(|next| !next.is_alphanumeric());
    (start.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

fn next_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// The place of a character that no backslash stands before.
fn end_of(text: &str, wanted: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if !escaped && character == wanted {
            return Some(at);
        }
        escaped = !escaped && character == '\\';
    }
    None
}

fn end_of_parentheses(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => return Some(at),
            ')' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `"a phrase" AND (b OR NOT c*)`, with backslashes before reserved characters; `AND NOT` counts as `AND`.
fn parse_term(text: &str) -> Result<Term, ApiError> {
    if text.trim().chars().filter(|character| !"*?\\\"".contains(*character)).count() < 2 {
        return Err(malformed(&format!("search term must be longer than one character: {}", text.trim())));
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut characters = text.chars().peekable();
    let mut word = String::new();
    while let Some(character) = characters.next() {
        match character {
            // What was escaped is no operator; it separates words, as in the texts.
            '\\' => word.push(characters.next().filter(|next| next.is_alphanumeric()).unwrap_or('\u{1}')),
            '"' => {
                flush(&mut word, &mut parts);
                let mut phrase = String::new();
                while let Some(character) = characters.next() {
                    match character {
                        '"' => break,
                        '\\' => phrase.extend(characters.next()),
                        other => phrase.push(other),
                    }
                }
                parts.push(Part::Words(words(&phrase, "")));
            }
            '(' => {
                flush(&mut word, &mut parts);
                parts.push(Part::Open);
            }
            ')' => {
                flush(&mut word, &mut parts);
                parts.push(Part::Close);
            }
            '&' | '|' | '!' | '{' | '}' | '[' | ']' | '^' | '~' | ':' => {
                return Err(malformed(&format!("unexpected token: '{character}'; escape it with a backslash")));
            }
            character if character.is_whitespace() => flush(&mut word, &mut parts),
            other => word.push(other),
        }
    }
    flush(&mut word, &mut parts);
    let mut next = 0;
    let term = any(&parts, &mut next, 0)?;
    if next < parts.len() {
        return Err(malformed("unexpected token: ')'"));
    }
    Ok(term)
}

enum Part {
    Words(Vec<String>),
    And,
    Or,
    Not,
    Open,
    Close,
}

fn flush(word: &mut String, parts: &mut Vec<Part>) {
    let text = std::mem::take(word);
    match text.as_str() {
        "" => {}
        "AND" => parts.push(Part::And),
        "OR" => parts.push(Part::Or),
        "NOT" => parts.push(Part::Not),
        _ => parts.push(Part::Words(words(&text, "*?"))),
    }
}

fn any(parts: &[Part], next: &mut usize, depth: usize) -> Result<Term, ApiError> {
    let mut terms = vec![all(parts, next, depth)?];
    while matches!(parts.get(*next), Some(Part::Or)) {
        *next += 1;
        terms.push(all(parts, next, depth)?);
    }
    Ok(Term::Any(terms))
}

fn all(parts: &[Part], next: &mut usize, depth: usize) -> Result<Term, ApiError> {
    let mut terms = Vec::new();
    loop {
        match parts.get(*next) {
            Some(Part::And) if !terms.is_empty() => *next += 1,
            Some(Part::Not) => {
                *next += 1;
                terms.push(Term::Not(Box::new(single(parts, next, depth)?)));
            }
            Some(Part::Words(_) | Part::Open) => terms.push(single(parts, next, depth)?),
            _ if terms.is_empty() => return Err(malformed("unexpected end of the search term")),
            _ => return Ok(Term::All(terms)),
        }
    }
}

fn single(parts: &[Part], next: &mut usize, depth: usize) -> Result<Term, ApiError> {
    let part = parts.get(*next);
    *next += 1;
    match part {
        // A term of signs alone finds nothing.
        Some(Part::Words(words)) if words.is_empty() => Ok(Term::Any(Vec::new())),
        Some(Part::Words(words)) => Ok(Term::Words(words.clone())),
        Some(Part::Open) if depth < 20 => {
            let inside = any(parts, next, depth + 1)?;
            if !matches!(parts.get(*next), Some(Part::Close)) {
                return Err(malformed("a parenthesis is not closed"));
            }
            *next += 1;
            Ok(inside)
        }
        _ => Err(malformed("unexpected end of the search term")),
    }
}

/// What is given is text: no character of it has a meaning.
fn plain_term(text: &str) -> Result<Term, ApiError> {
    let terms: Vec<Term> = text
        .split_whitespace()
        .map(|part| words(part, ""))
        .filter(|words| !words.is_empty())
        .map(Term::Words)
        .collect();
    if text.trim().chars().count() < 2 {
        return Err(malformed(&format!("search term must be longer than one character: {}", text.trim())));
    }
    // Signs alone find nothing.
    Ok(if terms.is_empty() { Term::Any(Vec::new()) } else { Term::All(terms) })
}

fn from_query(call: &Call) -> Result<Search, ApiError> {
    let Some(text) = call.parameter("q") else { return Err(malformed("q is required")) };
    let names = call.query.iter().filter(|(key, _)| key == "sobject").map(|(_, value)| value.as_str());
    let default = call.parameter("defaultLimit");
    let mut objects = Vec::new();
    for name in names {
        let own = |key: &str| call.parameter(&format!("{name}.{key}"));
        let fields = own("fields").or(call.parameter("fields")).unwrap_or("Id");
        objects.push(returned(name, &clauses(fields, own("where"), own("limit").or(default)))?);
    }
    Ok(Search {
        term: plain_term(text)?,
        scope: field_scope(call.parameter("in").unwrap_or("ALL"))?,
        objects: or_all(objects)?,
        limit: call
            .parameter("overallLimit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(MAX_RESULTS)
            .min(MAX_RESULTS),
    })
}

fn from_body(call: &Call) -> Result<Search, ApiError> {
    let request = Value::Object(call.object()?);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).map(|number| number.to_string());
    let list = |value: &Value| -> Option<String> {
        let names: Option<Vec<&str>> = value.get("fields")?.as_array()?.iter().map(Value::as_str).collect();
        names.filter(|names| !names.is_empty()).map(|names| names.join(","))
    };
    let mut objects = Vec::new();
    for object in request.get("sobjects").and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = text(object, "name") else { return Err(malformed("an entry of sobjects needs a name")) };
        let fields = list(object).or_else(|| list(&request)).unwrap_or_else(|| "Id".to_owned());
        let limit = number(object, "limit").or_else(|| number(&request, "defaultLimit"));
        objects.push(returned(&name, &clauses(&fields, text(object, "where").as_deref(), limit.as_deref()))?);
    }
    let Some(term) = text(&request, "q") else { return Err(malformed("q is required")) };
    let limit = number(&request, "overallLimit").and_then(|limit| limit.parse().ok());
    Ok(Search {
        term: plain_term(&term)?,
        scope: field_scope(text(&request, "in").as_deref().unwrap_or("ALL"))?,
        objects: or_all(objects)?,
        limit: limit.unwrap_or(MAX_RESULTS).min(MAX_RESULTS),
    })
}

fn clauses(fields: &str, filter: Option<&str>, limit: Option<&str>) -> String {
    let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
    let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    format!("{fields}{filter}{limit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(text: &str) -> usize {
        let org = crate::Org::demo();
        let search = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let object = |name| schema::object(name).unwrap();
        let hits = |name| org.living(object(name)).filter(|record| is_hit(&search, object(name), record)).count();
        hits("Contact") + hits("Account")
    }

    #[test]
    fn words_phrases_and_wildcards_are_found() {
        for (text, expected) in [
            ("FIND {Acme}", 4),
            ("FIND {acme energy}", 1),
            ("FIND {\"energy acme\"}", 0),
            ("FIND {Acm*} IN NAME FIELDS", 4),
            ("FIND {Acm} IN NAME FIELDS", 0),
            ("FIND {Acme OR Borealis} IN NAME FIELDS", 8),
            ("FIND {Acme AND NOT Energy} IN NAME FIELDS", 3),
            ("FIND {(Acme OR Borealis) AND Retail} IN NAME FIELDS", 2),
            ("FIND {ada.abbott@example.com} IN EMAIL FIELDS", 1),
            ("FIND {ada\\.abbott} IN ALL FIELDS", 1),
            ("FIND {555 1003} IN PHONE FIELDS", 1),
        ] {
            assert_eq!(hits(text), expected, "{text}");
        }
    }

    #[test]
    fn no_search_panics_or_takes_long() {
        let parts = [
            "FIND {",
            "}",
            "Acme",
            "a*",
            "?",
            "AND",
            "OR",
            "NOT",
            "(",
            ")",
            "\"",
            "\\",
            "é",
            " IN NAME FIELDS",
            " RETURNING ",
            "Contact",
            "Id",
            ",",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text: String = (0..random.usize(1..12)).map(|_| parts[random.usize(..parts.len())]).collect();
            let _ = parse(&text);
        }
        assert_eq!(hits(&format!("FIND {{{}b}}", "a*".repeat(40))), 0);
    }

    #[test]
    fn what_is_no_search_is_malformed() {
        for text in [
            "",
            "FIND",
            "FIND Acme",
            "FIND {A}",
            "FIND {Acme",
            "FIND {Ac!me}",
            "FIND {Acme} IN SHOE FIELDS",
            "FIND {Acme} BY",
            "FIND {AND OR}",
            "FIND {(Acme}",
            "FIND {Acme)}",
        ] {
            assert_eq!(parse(text).map(|_| ()).unwrap_err().code, "MALFORMED_SEARCH", "{text}");
        }
        assert_eq!(parse("FIND {Acme} RETURNING Shoe").map(|_| ()).unwrap_err().code, "INVALID_TYPE");
        assert_eq!(parse("FIND {Acme} RETURNING Contact(Id").map(|_| ()).unwrap_err().code, "MALFORMED_SEARCH");
    }
}
