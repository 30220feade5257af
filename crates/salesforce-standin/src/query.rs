//! SOQL over the data: names are checked against the schema, then records are filtered, sorted, grouped and shown.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Value, json};
use time::{Date, OffsetDateTime};

use crate::answer::ApiError;
use crate::dates::{format_date, format_datetime, literal_range, midnight};
use crate::ids;
use crate::org::{Org, Record, is_deleted};
use crate::schema::{self, Field, Kind, Object};
use crate::soql::{
    Aggregate, Condition, FieldGroup, Function, LIKE_ESCAPE, Literal, Name, Operand, Operator, Order, Query, Selected,
    place,
};

/// What a query is run against.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The data.
    pub org: &'a Org,
    /// As it was sent, for the place of an error.
    pub text: &'a str,
    /// The start of every path in the answer: `/services/data/v66.0`.
    pub base: &'a str,
    /// For `TODAY` and the like.
    pub now: OffsetDateTime,
    /// Whether records in the recycle bin are seen.
    pub with_deleted: bool,
}

/// What a query found.
#[derive(Debug)]
pub enum Found {
    /// `SELECT COUNT()`
    Count(usize),
    /// Records or groups, as they are answered.
    Rows(Vec<Value>),
}

/// SOQL, "OFFSET".
const MAX_OFFSET: usize = 2_000;

/// Groups come in one batch.
const MAX_GROUPS: usize = 2_000;

/// `FIELDS(ALL)` and `FIELDS(CUSTOM)`
const MAX_ALL_FIELDS: usize = 200;

/// Runs a query.
///
/// # Errors
/// `INVALID_TYPE`, `INVALID_FIELD`, `MALFORMED_QUERY` and others, as Salesforce has them.
pub fn run(scope: Scope, query: &Query) -> Result<Found, ApiError> {
    let Some(object) = schema::object(&query.from.text) else {
        let name = &query.from.text;
        let message = format!(
            "{}\nsObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the \
             '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
            place(scope.text, query.from.at)
        );
        return Err(ApiError::new(400, "INVALID_TYPE", message));
    };
    check_numbers(query)?;
    let records = || scope.org.records(object).filter(|record| scope.with_deleted || !is_deleted(record));
    let context = Context { scope, object, alias: query.alias.as_deref() };
    if is_grouped(query) {
        return context.groups(query, records().collect()).map(Found::Rows);
    }
    let found = context.select(query, records().collect())?;
    if query.select == [Selected::Count] {
        return Ok(Found::Count(found.len()));
    }
    let columns = context.columns(query)?;
    Ok(Found::Rows(found.into_iter().map(|record| context.shown(record, &columns)).collect::<Result<_, _>>()?))
}

fn check_numbers(query: &Query) -> Result<(), ApiError> {
    if query.offset > MAX_OFFSET {
        return Err(ApiError::new(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"));
    }
    let unbounded =
        |selected: &Selected| matches!(selected, Selected::Fields(group, _) if *group != FieldGroup::Standard);
    if query.select.iter().any(unbounded) && query.limit.is_none_or(|limit| limit > MAX_ALL_FIELDS) {
        return Err(ApiError::new(400, "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200"));
    }
    if query.select.len() > 1 && query.select.contains(&Selected::Count) {
        return Err(ApiError::new(400, "MALFORMED_QUERY", "COUNT() must be the only element in the SELECT list"));
    }
    Ok(())
}

fn is_grouped(query: &Query) -> bool {
    !query.group_by.is_empty() || query.select.iter().any(|selected| matches!(selected, Selected::Aggregate(..)))
}

/// The records of `object` that fit a filter, in their order: what SOSL and reports need of a query.
///
/// # Errors
/// As [`run`].
pub fn matching<'a>(
    scope: Scope<'a>,
    object: &'static Object,
    query: &Query,
    from: Vec<&'a Record>,
) -> Result<Vec<&'a Record>, ApiError> {
    Context { scope, object, alias: None }.select(query, from)
}

/// A record as a query without children shows it.
///
/// # Errors
/// As [`run`].
pub fn show(scope: Scope, object: &'static Object, query: &Query, record: &Record) -> Result<Value, ApiError> {
    let context = Context { scope, object, alias: None };
    context.shown(record, &context.columns(query)?)
}

/// Every field of a record, null where it is empty, as `GET /sobjects/{object}/{id}` shows it.
pub fn whole(object: &Object, record: &Record, base: &str) -> Value {
    let mut shown = Map::new();
    shown.insert("attributes".to_owned(), attributes(object, record, base));
    for field in &object.fields {
        shown.insert(field.name.to_owned(), value_of(record, field));
    }
    Value::Object(shown)
}

/// `attributes` of a record.
pub fn attributes(object: &Object, record: &Record, base: &str) -> Value {
    let id = record.get("Id").and_then(Value::as_str).unwrap_or_default();
    json!({ "type": object.name, "url": format!("{base}/sobjects/{}/{id}", object.name) })
}

fn value_of(record: &Record, field: &Field) -> Value {
    record.get(field.name).cloned().unwrap_or(Value::Null)
}

/// An object whose records are read, in a query.
#[derive(Clone, Copy)]
struct Context<'a> {
    scope: Scope<'a>,
    object: &'static Object,
    alias: Option<&'a str>,
}

/// A path through references to a field.
#[derive(Clone, Debug)]
struct Path {
    /// The references on the way.
    steps: Vec<&'static Field>,
    /// The names of the relationships, as they are shown.
    names: Vec<&'static str>,
    /// The last field; of a polymorphic reference, the field of whichever object it leads to.
    field: &'static Field,
}

enum Column {
    Path(Path),
    Children { name: &'static str, object: &'static Object, by: &'static str, query: Box<Query> },
}

impl<'a> Context<'a> {
    /// Filter, order, offset and limit.
    fn select(&self, query: &Query, mut records: Vec<&'a Record>) -> Result<Vec<&'a Record>, ApiError> {
        if let Some(condition) = &query.filter {
            let test = self.test(condition)?;
            records.retain(|record| test(record));
        }
        let keys = query.order_by.iter().map(|order| self.order_key(order)).collect::<Result<Vec<_>, _>>()?;
        if !keys.is_empty() {
            records.sort_by(|one, other| {
                let by_key = |(path, order): &(Path, &Order)| {
                    ordered(&self.value(one, path), &self.value(other, path), path.field, order)
                };
                keys.iter().map(by_key).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            });
        }
        Ok(records.into_iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX)).collect())
    }

    fn order_key<'b>(&self, order: &'b Order) -> Result<(Path, &'b Order), ApiError> {
        let Operand::Field(name) = &order.by else {
            return Err(ApiError::new(400, "MALFORMED_QUERY", "An aggregate needs a GROUP BY"));
        };
        let path = self.path(name)?;
        if path.field.is_long() {
            let message = format!(
                "{}\nfield '{}' can not be sorted in a query call",
                place(self.scope.text, name.at),
                path.field.name
            );
            return Err(ApiError::new(400, "INVALID_FIELD", message));
        }
        Ok((path, order))
    }

    fn columns(&self, query: &Query) -> Result<Vec<Column>, ApiError> {
        let mut columns: Vec<Column> = Vec::new();
        for selected in &query.select {
            match selected {
                Selected::Field(name, _) => columns.push(Column::Path(self.path(name)?)),
                Selected::Fields(group, _) => columns.extend(self.fields(*group)),
                Selected::Children(query) => columns.push(self.children(query)?),
                Selected::Count | Selected::Aggregate(..) => {
                    return Err(ApiError::new(400, "MALFORMED_QUERY", "unexpected aggregate"));
                }
            }
        }
        Ok(columns)
    }

    fn fields(&self, group: FieldGroup) -> impl Iterator<Item = Column> + use<> {
        let wanted = move |field: &&Field| match group {
            FieldGroup::All => true,
            FieldGroup::Standard => !field.is_custom(),
            FieldGroup::Custom => field.is_custom(),
        };
        let path = |field| Column::Path(Path { steps: Vec::new(), names: Vec::new(), field });
        self.object.fields.iter().filter(wanted).map(path)
    }

    fn children(&self, query: &Query) -> Result<Column, ApiError> {
        let relationship = self.object.children.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&query.from.text));
        let Some((name, child, by)) = relationship else {
            let message = format!(
                "{}\nDidn't understand relationship '{}' in FROM part of query call. If you are attempting to use a custom \
                 relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the \
                 describe call for the appropriate names.",
                place(self.scope.text, query.from.at),
                query.from.text
            );
            return Err(ApiError::new(400, "INVALID_TYPE", message));
        };
        let Some(object) = schema::object(child) else { return Err(ApiError::no_such_path()) };
        check_numbers(query)?;
        Ok(Column::Children { name, object, by, query: Box::new(query.clone()) })
    }

    fn shown(&self, record: &Record, columns: &[Column]) -> Result<Value, ApiError> {
        let mut shown = Map::new();
        shown.insert("attributes".to_owned(), attributes(self.object, record, self.scope.base));
        for column in columns {
            match column {
                Column::Path(path) => self.put(&mut shown, record, path, 0),
                Column::Children { name, object, by, query } => {
                    let id = record.get("Id");
                    let children = self
                        .scope
                        .org
                        .records(object)
                        .filter(|child| child.get(*by) == id && (self.scope.with_deleted || !is_deleted(child)));
                    let context = Context { scope: self.scope, object, alias: query.alias.as_deref() };
                    let columns = context.columns(query)?;
                    let found = context.select(query, children.collect())?;
                    let rows: Vec<Value> =
                        found.into_iter().map(|child| context.shown(child, &columns)).collect::<Result<_, _>>()?;
                    let value = match rows.is_empty() {
                        true => Value::Null,
                        false => json!({ "totalSize": rows.len(), "done": true, "records": rows }),
                    };
                    shown.insert((*name).to_owned(), value);
                }
            }
        }
        Ok(Value::Object(shown))
    }

    /// Puts the value of a path into nested objects, one a reference.
    fn put(&self, shown: &mut Map<String, Value>, record: &Record, path: &Path, depth: usize) {
        let Some((step, name)) = path.steps.get(depth).zip(path.names.get(depth)) else {
            let value = self.last(record, path);
            shown.insert(path.field.name.to_owned(), value);
            return;
        };
        let Some((object, target)) = self.follow(record, step) else {
            shown.entry((*name).to_owned()).or_insert(Value::Null);
            return;
        };
        let nested = shown
            .entry((*name).to_owned())
            .or_insert_with(|| json!({ "attributes": attributes(object, target, self.scope.base) }));
        if let Value::Object(nested) = nested {
            self.put(nested, target, path, depth + 1);
        }
    }

    fn follow(&self, record: &Record, step: &Field) -> Option<(&'static Object, &'a Record)> {
        let id = record.get(step.name)?.as_str()?;
        let object = schema::object_of_id(id)?;
        Some((object, self.scope.org.get(object, id)?))
    }

    /// The value at the end of a path.
    fn value(&self, record: &Record, path: &Path) -> Value {
        let Some((first, rest)) = path.steps.split_first() else { return self.last(record, path) };
        let mut target = match self.follow(record, first) {
            Some((_, target)) => target,
            None => return Value::Null,
        };
        for step in rest {
            target = match self.follow(target, step) {
                Some((_, target)) => target,
                None => return Value::Null,
            };
        }
        self.last(target, path)
    }

    fn last(&self, record: &Record, path: &Path) -> Value {
        // `Who.Type` is the name of the object.
        let polymorphic = path.steps.last().is_some_and(|step| step.reference_to.len() > 1);
        if polymorphic && path.field.name == "Type" {
            let id = record.get("Id").and_then(Value::as_str).unwrap_or_default();
            return schema::object_of_id(id).map_or(Value::Null, |object| object.name.into());
        }
        value_of(record, path.field)
    }

    /// Checks a path against the schema.
    fn path(&self, name: &Name) -> Result<Path, ApiError> {
        let mut parts: Vec<&str> = name.parts().collect();
        let own = parts.len() > 1
            && (self.alias.is_some_and(|alias| parts[0].eq_ignore_ascii_case(alias))
                || (parts[0].eq_ignore_ascii_case(self.object.name) && self.object.relationship(parts[0]).is_none()));
        if own {
            parts.remove(0);
        }
        let Some((last, relationships)) = parts.split_last() else { return Err(self.no_column(name, "")) };
        let mut objects = vec![self.object];
        let mut path_steps = Vec::new();
        let mut names = Vec::new();
        for relationship in relationships {
            let Some(step) = objects.iter().find_map(|object| object.relationship(relationship)) else {
                let message = format!(
                    "{}\nDidn't understand relationship '{relationship}' in field path. If you are attempting to use a custom \
                     relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or \
                     the describe call for the appropriate names.",
                    place(self.scope.text, name.at)
                );
                return Err(ApiError::new(400, "INVALID_FIELD", message));
            };
            path_steps.push(step);
            names.push(step.relationship.unwrap_or(step.name));
            objects = step.reference_to.iter().filter_map(|name| schema::object(name)).collect();
        }
        // A polymorphic reference: the first of its objects that has the field.
        let field = objects.iter().find_map(|object| object.field(last)).or_else(|| {
            let of_any = last.eq_ignore_ascii_case("Type") && objects.len() > 1;
            of_any.then(|| schema::object("Account")?.field("Type")).flatten()
        });
        match field {
            Some(field) => Ok(Path { steps: path_steps, names, field }),
            None => Err(self.no_column(name, objects.first().map_or("", |object| object.name))),
        }
    }

    fn no_column(&self, name: &Name, object: &str) -> ApiError {
        let column = name.parts().next_back().unwrap_or_default();
        let message = format!(
            "{}\nNo such column '{column}' on entity '{object}'. If you are attempting to use a custom field, be sure to append \
             the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
            place(self.scope.text, name.at)
        );
        ApiError::new(400, "INVALID_FIELD", message)
    }

    /// A condition as a test of records.
    fn test(&self, condition: &Condition) -> Result<Test<'a>, ApiError> {
        let context = *self;
        Ok(match condition {
            Condition::And(conditions) => {
                let tests = conditions.iter().map(|condition| self.test(condition)).collect::<Result<Vec<_>, _>>()?;
                Box::new(move |record| tests.iter().all(|test| test(record)))
            }
            Condition::Or(conditions) => {
                let tests = conditions.iter().map(|condition| self.test(condition)).collect::<Result<Vec<_>, _>>()?;
                Box::new(move |record| tests.iter().any(|test| test(record)))
            }
            Condition::Not(condition) => {
                let test = self.test(condition)?;
                Box::new(move |record| !test(record))
            }
            Condition::Compare(operand, operator, literal) => {
                let path = self.filtered(operand)?;
                let comparison = self.comparison(path.field, *operator, literal)?;
                Box::new(move |record| comparison.holds(&context.value(record, &path)))
            }
            Condition::In(operand, not, literals) => {
                let path = self.filtered(operand)?;
                let comparisons = literals
                    .iter()
                    .map(|literal| self.comparison(path.field, Operator::Equal, literal))
                    .collect::<Result<Vec<_>, _>>()?;
                let not = *not;
                Box::new(move |record| {
                    let value = context.value(record, &path);
                    comparisons.iter().any(|comparison| comparison.holds(&value)) != not
                })
            }
            Condition::InQuery(operand, not, query) => {
                let path = self.filtered(operand)?;
                let [Selected::Field(name, _)] = query.select.as_slice() else {
                    return Err(ApiError::new(400, "MALFORMED_QUERY", "A semi-join selects one field"));
                };
                let Some(object) = schema::object(&query.from.text) else {
                    let message = format!("sObject type '{}' is not supported.", query.from.text);
                    return Err(ApiError::new(400, "INVALID_TYPE", message));
                };
                let inner = Context { scope: self.scope, object, alias: None };
                let selected = inner.path(name)?;
                let records = self.scope.org.living(object).collect();
                let values = inner.select(query, records)?.into_iter().map(|record| inner.value(record, &selected));
                let values: HashSet<String> = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
                let not = *not;
                Box::new(move |record| {
                    context.value(record, &path).as_str().is_some_and(|value| values.contains(value)) != not
                })
            }
            Condition::Includes(operand, not, literals) => {
                let path = self.filtered(operand)?;
                if path.field.kind != Kind::MultiPicklist {
                    return Err(invalid_operator(path.field, "INCLUDES and EXCLUDES are for multi-select picklists"));
                }
                let wanted: Vec<Vec<String>> = literals
                    .iter()
                    .filter_map(|literal| match literal {
                        Literal::Text(text) => Some(text.split(';').map(|part| part.trim().to_lowercase()).collect()),
                        _ => None,
                    })
                    .collect();
                let not = *not;
                Box::new(move |record| {
                    let value = context.value(record, &path);
                    let own: Vec<String> =
                        value.as_str().unwrap_or_default().split(';').map(str::to_lowercase).collect();
                    wanted.iter().any(|all| all.iter().all(|part| own.contains(part))) != not
                })
            }
        })
    }

    fn filtered(&self, operand: &Operand) -> Result<Path, ApiError> {
        let Operand::Field(name) = operand else {
            return Err(ApiError::new(400, "MALFORMED_QUERY", "An aggregate may stand in HAVING, not in WHERE"));
        };
        let path = self.path(name)?;
        if path.field.is_long() {
            let message = format!(
                "{}\nfield '{}' can not be filtered in a query call",
                place(self.scope.text, name.at),
                path.field.name
            );
            return Err(ApiError::new(400, "INVALID_FIELD", message));
        }
        Ok(path)
    }

    fn comparison(&self, field: &Field, operator: Operator, literal: &Literal) -> Result<Comparison, ApiError> {
        if operator == Operator::Like && !matches!(field.kind.soap_text(), Some(true)) {
            return Err(invalid_operator(field, "LIKE is for texts"));
        }
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        if matches!(field.kind, Kind::Boolean | Kind::Id | Kind::Reference) && !equality {
            return Err(invalid_operator(field, "only = and != are for ids and booleans"));
        }
        let comparand = match (literal, field.kind) {
            (Literal::Null, _) => Comparand::Null,
            (Literal::Boolean(value), Kind::Boolean) => Comparand::Boolean(*value),
            (Literal::Number(number), kind) if kind.is_number() => Comparand::Number(*number),
            (Literal::Date(date), Kind::Date) => Comparand::Text(date.clone()),
            (Literal::DateTime(at), Kind::DateTime) => Comparand::Text(at.clone()),
            (Literal::Relative(name, count), kind @ (Kind::Date | Kind::DateTime)) => {
                let Some((from, to)) = literal_range(name, *count, self.scope.now.date()) else {
                    return Err(value_of_wrong_type(field));
                };
                let text =
                    |date: Date| if kind == Kind::Date { format_date(date) } else { format_datetime(midnight(date)) };
                Comparand::Range(text(from), text(to))
            }
            (Literal::Text(text), Kind::Id | Kind::Reference) => match ids::parse(text) {
                Some(id) => Comparand::Text(id),
                None if text.is_empty() => Comparand::Null,
                None => {
                    let message = format!("{}\ninvalid ID field: {text}", place(self.scope.text, 0));
                    return Err(ApiError::new(400, "INVALID_QUERY_FILTER_OPERATOR", message));
                }
            },
            (Literal::Text(text), kind) if kind.soap_text().is_some() => match operator {
                Operator::Like => Comparand::Pattern(text.to_lowercase().chars().collect()),
                _ if text.is_empty() => Comparand::Null,
                _ => Comparand::Text(text.replace(LIKE_ESCAPE, "").to_lowercase()),
            },
            _ => return Err(value_of_wrong_type(field)),
        };
        Ok(Comparison { operator, comparand, folded: field.kind.soap_text().is_some() })
    }

    /// One row a group; without `GROUP BY` all records are one.
    fn groups(&self, query: &Query, records: Vec<&'a Record>) -> Result<Vec<Value>, ApiError> {
        let keys = query.group_by.iter().map(|name| self.groupable(name)).collect::<Result<Vec<_>, _>>()?;
        let mut columns: Vec<(String, Cell)> = Vec::new();
        let mut unnamed = 0;
        for selected in &query.select {
            let column = match selected {
                Selected::Field(name, alias) => {
                    let path = self.path(name)?;
                    let key = query.group_by.iter().position(|key| key.text.eq_ignore_ascii_case(&name.text));
                    let Some(key) = key else {
                        let message = format!(
                            "{}\nField must be grouped or aggregated: {}",
                            place(self.scope.text, name.at),
                            name.text
                        );
                        return Err(ApiError::new(400, "MALFORMED_QUERY", message));
                    };
                    (alias.clone().unwrap_or_else(|| path.field.name.to_owned()), Cell::Key(key))
                }
                Selected::Aggregate(aggregate, alias) => {
                    let name = alias.clone().unwrap_or_else(|| {
                        unnamed += 1;
                        format!("expr{}", unnamed - 1)
                    });
                    (name, Cell::Aggregate(aggregate.function, self.aggregated(aggregate)?))
                }
                _ => return Err(ApiError::new(400, "MALFORMED_QUERY", "Field must be grouped or aggregated")),
            };
            columns.push(column);
        }
        let unpaged = Query { order_by: Vec::new(), limit: None, offset: 0, ..query.clone() };
        let mut groups: Vec<(Vec<Value>, Vec<&Record>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for record in self.select(&unpaged, records)? {
            let key: Vec<Value> = keys.iter().map(|path| self.value(record, path)).collect();
            let place = *places.entry(Value::Array(key.clone()).to_string()).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(record);
        }
        if keys.is_empty() && groups.is_empty() {
            groups.push((Vec::new(), Vec::new()));
        }
        if let Some(having) = &query.having {
            let mut kept = Vec::new();
            for group in groups {
                if self.group_holds(having, &query.group_by, &group)? {
                    kept.push(group);
                }
            }
            groups = kept;
        }
        self.sort_groups(query, &mut groups)?;
        let rows: Vec<Value> = groups
            .iter()
            .skip(query.offset)
            .take(query.limit.unwrap_or(usize::MAX))
            .map(|(key, records)| {
                let mut row = Map::new();
                row.insert("attributes".to_owned(), json!({ "type": "AggregateResult" }));
                for (name, cell) in &columns {
                    let value = match cell {
                        Cell::Key(index) => key.get(*index).cloned().unwrap_or(Value::Null),
                        Cell::Aggregate(function, path) => self.aggregate(*function, path, records),
                    };
                    row.insert(name.clone(), value);
                }
                Value::Object(row)
            })
            .collect();
        if rows.len() > MAX_GROUPS {
            let message =
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch";
            return Err(ApiError::new(400, "EXCEEDED_ID_LIMIT", message));
        }
        Ok(rows)
    }

    fn groupable(&self, name: &Name) -> Result<Path, ApiError> {
        let path = self.path(name)?;
        if path.field.is_long() || matches!(path.field.kind, Kind::DateTime | Kind::MultiPicklist | Kind::Currency) {
            let message = format!(
                "{}\nfield '{}' can not be grouped in a query call",
                place(self.scope.text, name.at),
                path.field.name
            );
            return Err(ApiError::new(400, "MALFORMED_QUERY", message));
        }
        Ok(path)
    }

    fn aggregated(&self, aggregate: &Aggregate) -> Result<Path, ApiError> {
        let path = self.path(&aggregate.field)?;
        let fits = match aggregate.function {
            Function::Sum | Function::Avg => path.field.kind.is_number(),
            Function::Min | Function::Max => path.field.kind != Kind::Boolean,
            Function::Count | Function::CountDistinct => true,
        };
        if !fits || path.field.is_long() {
            let message = format!(
                "{}\nfield {} does not support aggregate operator {:?}",
                place(self.scope.text, aggregate.field.at),
                path.field.name,
                aggregate.function
            );
            return Err(ApiError::new(400, "MALFORMED_QUERY", message));
        }
        Ok(path)
    }

    fn aggregate(&self, function: Function, path: &Path, records: &[&Record]) -> Value {
        let values = records.iter().map(|record| self.value(record, path)).filter(|value| !value.is_null());
        let number = |value: Value| value.as_f64();
        match function {
            Function::Count => values.count().into(),
            Function::CountDistinct => values.map(|value| value.to_string()).collect::<HashSet<_>>().len().into(),
            Function::Sum | Function::Avg => {
                let numbers: Vec<f64> = values.filter_map(number).collect();
                if numbers.is_empty() {
                    return Value::Null;
                }
                let sum: f64 = numbers.iter().sum();
                json!(if function == Function::Sum { sum } else { sum / numbers.len() as f64 })
            }
            Function::Min => values.min_by(|one, other| compared(one, other, path.field)).unwrap_or(Value::Null),
            Function::Max => values.max_by(|one, other| compared(one, other, path.field)).unwrap_or(Value::Null),
        }
    }

    fn group_holds(
        &self,
        condition: &Condition,
        keys: &[Name],
        group: &(Vec<Value>, Vec<&Record>),
    ) -> Result<bool, ApiError> {
        let all = |conditions: &[Condition]| {
            conditions.iter().map(|condition| self.group_holds(condition, keys, group)).collect::<Result<Vec<_>, _>>()
        };
        match condition {
            Condition::And(conditions) => Ok(all(conditions)?.into_iter().all(|holds| holds)),
            Condition::Or(conditions) => Ok(all(conditions)?.into_iter().any(|holds| holds)),
            Condition::Not(condition) => Ok(!self.group_holds(condition, keys, group)?),
            Condition::Compare(operand, operator, literal) => {
                let (value, comparison) = match operand {
                    Operand::Aggregate(aggregate) => {
                        let path = self.aggregated(aggregate)?;
                        let value = self.aggregate(aggregate.function, &path, &group.1);
                        let number = match (literal, value.is_number()) {
                            (Literal::Number(number), true) => Some(*number),
                            _ => None,
                        };
                        let comparison = match number {
                            Some(number) => {
                                Comparison { operator: *operator, comparand: Comparand::Number(number), folded: false }
                            }
                            None => self.comparison(path.field, *operator, literal)?,
                        };
                        (value, comparison)
                    }
                    Operand::Field(name) => {
                        let path = self.path(name)?;
                        let Some(index) = keys.iter().position(|key| key.text.eq_ignore_ascii_case(&name.text)) else {
                            return Err(ApiError::new(400, "MALFORMED_QUERY", "Field must be grouped or aggregated"));
                        };
                        (group.0[index].clone(), self.comparison(path.field, *operator, literal)?)
                    }
                };
                Ok(comparison.holds(&value))
            }
            _ => Err(ApiError::new(400, "MALFORMED_QUERY", "HAVING takes comparisons")),
        }
    }

    fn sort_groups(&self, query: &Query, groups: &mut [(Vec<Value>, Vec<&Record>)]) -> Result<(), ApiError> {
        // From the last key to the first: the sort is stable.
        for order in query.order_by.iter().rev() {
            match &order.by {
                Operand::Aggregate(aggregate) => {
                    let path = self.aggregated(aggregate)?;
                    groups.sort_by(|one, other| {
                        let value = |records: &[&Record]| self.aggregate(aggregate.function, &path, records);
                        ordered(&value(&one.1), &value(&other.1), path.field, order)
                    });
                }
                Operand::Field(name) => {
                    let path = self.path(name)?;
                    let Some(index) = query.group_by.iter().position(|key| key.text.eq_ignore_ascii_case(&name.text))
                    else {
                        let message = format!("Ordered field must be grouped or aggregated: {}", name.text);
                        return Err(ApiError::new(400, "MALFORMED_QUERY", message));
                    };
                    groups.sort_by(|one, other| ordered(&one.0[index], &other.0[index], path.field, order));
                }
            }
        }
        Ok(())
    }
}

type Test<'a> = Box<dyn Fn(&Record) -> bool + 'a>;

/// A column of a grouped query.
enum Cell {
    Key(usize),
    Aggregate(Function, Path),
}

struct Comparison {
    operator: Operator,
    comparand: Comparand,
    /// Whether upper and lower case are the same.
    folded: bool,
}

enum Comparand {
    Null,
    Boolean(bool),
    Number(f64),
    Text(String),
    /// From, and before; of days or times.
    Range(String, String),
    Pattern(Vec<char>),
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        let ordering = match (&self.comparand, value) {
            (Comparand::Null, value) => {
                return match self.operator {
                    Operator::Equal => value.is_null(),
                    Operator::NotEqual => !value.is_null(),
                    _ => false,
                };
            }
            (_, Value::Null) => return self.operator == Operator::NotEqual,
            (Comparand::Pattern(pattern), Value::String(text)) => {
                return like(pattern, &text.to_lowercase().chars().collect::<Vec<_>>());
            }
            (Comparand::Range(from, to), Value::String(text)) => {
                return match self.operator {
                    Operator::Equal => text >= from && text < to,
                    Operator::NotEqual => text < from || text >= to,
                    Operator::Less => text < from,
                    Operator::LessOrEqual => text < to,
                    Operator::Greater => text >= to,
                    Operator::GreaterOrEqual => text >= from,
                    Operator::Like => false,
                };
            }
            (Comparand::Boolean(wanted), Value::Bool(own)) => own.cmp(wanted),
            (Comparand::Number(wanted), own) => match own.as_f64().and_then(|own| own.partial_cmp(wanted)) {
                Some(ordering) => ordering,
                None => return false,
            },
            (Comparand::Text(wanted), Value::String(own)) if self.folded => own.to_lowercase().cmp(wanted),
            (Comparand::Text(wanted), Value::String(own)) => own.cmp(wanted),
            _ => return false,
        };
        match self.operator {
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Like => false,
        }
    }
}

impl Kind {
    /// `Some` if a quoted text is compared with it; whether LIKE fits too.
    fn soap_text(self) -> Option<bool> {
        match self {
            Kind::Text | Kind::TextArea | Kind::Email | Kind::Phone | Kind::Url | Kind::Picklist => Some(true),
            Kind::MultiPicklist => Some(false),
            _ => None,
        }
    }
}

/// `%` is any number of characters, `_` one. Linear in space, and in time as the product of both lengths.
pub(crate) fn like(pattern: &[char], text: &[char]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut characters = pattern.iter();
    while let Some(character) = characters.next() {
        let mut next = vec![false; text.len() + 1];
        match character {
            '%' => {
                let first = reached.iter().position(|here| *here).unwrap_or(reached.len());
                next[first..].fill(true);
            }
            '_' => next[1..].copy_from_slice(&reached[..text.len()]),
            character => {
                let wanted = if *character == LIKE_ESCAPE { characters.next().unwrap_or(character) } else { character };
                for (at, own) in text.iter().enumerate() {
                    next[at + 1] = reached[at] && own == wanted;
                }
            }
        }
        reached = next;
    }
    reached[text.len()]
}

fn value_of_wrong_type(field: &Field) -> ApiError {
    let enclosed = if field.kind.soap_text().is_some() || matches!(field.kind, Kind::Id | Kind::Reference) {
        "should be enclosed in quotes"
    } else {
        "should not be enclosed in quotes"
    };
    let message = format!(
        "value of filter criterion for field '{}' must be of type {} and {enclosed}",
        field.name,
        field.kind.name()
    );
    ApiError::new(400, "INVALID_FIELD", message)
}

fn invalid_operator(field: &Field, why: &str) -> ApiError {
    let message = format!("invalid operator on {} field '{}': {why}", field.kind.name(), field.name);
    ApiError::new(400, "INVALID_QUERY_FILTER_OPERATOR", message)
}

fn ordered(one: &Value, other: &Value, field: &Field, order: &Order) -> Ordering {
    match (one.is_null(), other.is_null()) {
        (true, true) => Ordering::Equal,
        (false, false) if order.descending => compared(other, one, field),
        (false, false) => compared(one, other, field),
        (first_is_null, _) => {
            let null_first = if order.nulls_last { Ordering::Greater } else { Ordering::Less };
            if first_is_null { null_first } else { null_first.reverse() }
        }
    }
}

/// Picklists sort by the order of their values, texts without case.
fn compared(one: &Value, other: &Value, field: &Field) -> Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) if field.kind == Kind::Picklist => {
            let rank = |text: &str| field.values.iter().position(|value| *value == text).unwrap_or(usize::MAX);
            rank(one).cmp(&rank(other)).then_with(|| one.cmp(other))
        }
        (Value::String(one), Value::String(other)) => one.to_lowercase().cmp(&other.to_lowercase()),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn outcome(text: &str) -> Result<Found, ApiError> {
        let org = Org::demo();
        let now = datetime!(2026-03-05 12:00 UTC);
        let query = crate::soql::parse(text)?;
        run(Scope { org: &org, text, base: "/services/data/v66.0", now, with_deleted: false }, &query)
    }

    #[track_caller]
    fn rows(text: &str) -> Vec<Value> {
        match outcome(text) {
            Ok(Found::Rows(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn column(text: &str, name: &str) -> Vec<String> {
        rows(text).iter().map(|row| row[name].as_str().unwrap_or("null").to_owned()).collect()
    }

    #[track_caller]
    fn count(filter: &str) -> usize {
        match outcome(&format!("SELECT COUNT() FROM {filter}")) {
            Ok(Found::Count(count)) => count,
            other => panic!("{filter}: {other:?}"),
        }
    }

    #[test]
    fn filters_count_what_they_should() {
        for (filter, expected) in [
            ("Contact", 150),
            ("Contact WHERE FirstName = 'ada'", 10),
            ("Contact WHERE FirstName != 'Ada'", 140),
            ("Contact WHERE Email = null", 15),
            ("Contact WHERE Email != null", 135),
            ("Contact WHERE Email = ''", 15),
            ("Contact WHERE Name LIKE 'A%t'", 2),
            ("Contact WHERE Name LIKE '_da %'", 10),
            ("Contact WHERE Name LIKE '\\%%'", 0),
            ("Contact WHERE FirstName IN ('Ada', 'Ben', 'Zoe')", 20),
            ("Contact WHERE FirstName NOT IN ('Ada', 'Ben')", 130),
            ("Contact WHERE (FirstName = 'Ada' OR FirstName = 'Ben') AND NOT LastName = 'Abbott'", 18),
            ("Contact WHERE Interests__c INCLUDES ('Sales;Service', 'Commerce')", 75),
            ("Contact WHERE Interests__c EXCLUDES ('Marketing')", 75),
            ("Contact WHERE Account.Name = 'Acme Energy'", 4),
            ("Contact WHERE AccountId IN (SELECT Id FROM Account WHERE Industry = 'Retail')", 40),
            ("Contact WHERE Owner.Username != null", 150),
            ("Contact WHERE DoNotCall = false", 150),
            ("Account WHERE AnnualRevenue >= 10000000.0", 4),
            ("Account WHERE NumberOfEmployees < 50", 2),
            ("Event WHERE StartDateTime = TODAY", 1),
            ("Event WHERE StartDateTime < TODAY", 3),
            ("Event WHERE StartDateTime = NEXT_N_DAYS:7", 7),
            ("Event WHERE ActivityDate = LAST_N_DAYS:2", 3),
            ("Event WHERE StartDateTime >= 2026-03-05T10:00:00+01:00", 57),
            ("Event WHERE ActivityDate > 2026-03-05", 56),
            ("Event WHERE Who.Name = 'Ada Abbott'", 1),
            ("Event WHERE What.Type = 'Account'", 30),
            ("Event e WHERE e.Subject = 'Call'", 15),
        ] {
            assert_eq!(count(filter), expected, "{filter}");
        }
    }

    #[test]
    fn no_text_panics() {
        let parts = [
            "SELECT ",
            "Id",
            "Name",
            ", ",
            " FROM ",
            "Contact",
            "Account",
            " WHERE ",
            " = ",
            " LIKE ",
            " IN ",
            "(",
            ")",
            "'a%'",
            "'\\",
            "'",
            "null",
            "5",
            "-",
            "9999-12-31",
            "9999-12-31T23:59:59Z",
            "0000-01-01T00:00:00+23:00",
            "LAST_N_YEARS:4294967295",
            "NEXT_N_QUARTERS:99999",
            " AND ",
            " OR ",
            "NOT ",
            "CreatedDate",
            " > ",
            "COUNT(Id)",
            "COUNT()",
            " GROUP BY ",
            " ORDER BY ",
            " LIMIT ",
            " OFFSET ",
            "99999999999999999999",
            "FIELDS(ALL)",
            ".",
            "é",
            "\n",
            "Owner.Name",
            "(SELECT Id FROM Events)",
        ];
        let org = Org::empty();
        let now = datetime!(2026-03-05 12:00 UTC);
        let mut random = fastrand::Rng::with_seed(7);
        let mut ran = 0;
        for round in 0..50_000 {
            let tail: String = (0..random.usize(1..9)).map(|_| parts[random.usize(..parts.len())]).collect();
            let text = match round % 3 {
                0 => tail,
                1 => format!("SELECT Id FROM Contact WHERE {tail}"),
                _ => format!("SELECT Id FROM Contact WHERE CreatedDate > {tail}"),
            };
            let scope = Scope { org: &org, text: &text, base: "", now, with_deleted: false };
            ran += usize::from(crate::soql::parse(&text).and_then(|query| run(scope, &query)).is_ok());
        }
        assert!(ran > 100, "{ran}");
    }

    #[test]
    fn references_are_nested_and_children_are_lists() {
        let text = "SELECT Id, Account.Name, Account.Owner.Name, ReportsTo.Name FROM Contact WHERE Name = 'Ada Abbott'";
        let row = &rows(text)[0];
        assert_eq!(
            (&row["Account"]["Name"], &row["Account"]["Owner"]["Name"]),
            (&json!("Acme Energy"), &json!("Integration User"))
        );
        assert_eq!((&row["Account"]["attributes"]["type"], &row["ReportsTo"]), (&json!("Account"), &Value::Null));

        let row = &rows(
            "SELECT Name, (SELECT FirstName FROM Contacts ORDER BY FirstName LIMIT 2), (SELECT Id FROM ChildAccounts) FROM Account LIMIT 1",
        )[0];
        assert_eq!((&row["Contacts"]["totalSize"], &row["ChildAccounts"]), (&json!(2), &Value::Null));
        assert_eq!(row["Contacts"]["records"][0]["FirstName"], "Ada");
    }

    #[test]
    fn order_puts_empty_values_first_or_last() {
        let first = column("SELECT Email FROM Contact ORDER BY Email LIMIT 1", "Email");
        let last = column("SELECT Email FROM Contact ORDER BY Email DESC NULLS LAST, Name LIMIT 1", "Email");
        assert_eq!((first[0].as_str(), last[0].as_str()), ("null", "olga.ivanova@example.com"));
        let names = column("SELECT Name FROM Contact ORDER BY LastName DESC, FirstName ASC LIMIT 2 OFFSET 1", "Name");
        assert_eq!(names, ["Ben Jensen", "Clara Jensen"]);
    }

    #[test]
    fn groups_have_one_row_each() {
        let text = "SELECT StageName, COUNT(Id), SUM(Amount) total, MIN(CloseDate), AVG(Probability) FROM Opportunity \
                    GROUP BY StageName HAVING COUNT(Id) > 7 ORDER BY StageName";
        let rows_ = rows(text);
        assert_eq!(rows_.len(), 1);
        assert_eq!(
            rows_[0],
            json!({ "attributes": { "type": "AggregateResult" }, "StageName": "Prospecting", "expr0": 8, "total": 1_020_000.0,
                    "expr1": "2026-03-02", "expr2": 10.0 })
        );
        assert_eq!(rows("SELECT COUNT(Id) FROM Contact WHERE Name = 'Nobody'")[0]["expr0"], 0);
        assert_eq!(
            rows("SELECT Account.Name, COUNT(Id) c FROM Contact GROUP BY Account.Name ORDER BY COUNT(Id) DESC")[0]["c"],
            4
        );
        assert_eq!(rows("SELECT COUNT_DISTINCT(FirstName) FROM Contact")[0]["expr0"], 15);
    }

    #[test]
    fn fields_stand_for_all_and_need_a_limit() {
        let row = &rows("SELECT FIELDS(ALL) FROM Contact LIMIT 1")[0];
        assert!(row.get("External_Id__c").is_some() && row.get("Birthdate") == Some(&Value::Null));
        assert!(rows("SELECT FIELDS(STANDARD) FROM Contact")[0].get("External_Id__c").is_none());
    }

    #[test]
    fn what_does_not_fit_the_schema_is_refused() {
        for (text, code) in [
            ("SELECT Id FROM Shoe", "INVALID_TYPE"),
            ("SELECT Shoe FROM Contact", "INVALID_FIELD"),
            ("SELECT Shoe.Name FROM Contact", "INVALID_FIELD"),
            ("SELECT Account.Shoe FROM Contact", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE Shoe = 1", "INVALID_FIELD"),
            ("SELECT Id FROM Contact ORDER BY Shoe", "INVALID_FIELD"),
            ("SELECT (SELECT Id FROM Shoes) FROM Contact", "INVALID_TYPE"),
            ("SELECT Id FROM Contact WHERE Description = 'a'", "INVALID_FIELD"),
            ("SELECT Id FROM Account WHERE AnnualRevenue > '5'", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE Name = 5", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE CreatedDate > 2026-01-01", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR"),
            ("SELECT Id FROM Account WHERE AnnualRevenue LIKE '5%'", "INVALID_QUERY_FILTER_OPERATOR"),
            ("SELECT Id FROM Contact WHERE Name INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR"),
            ("SELECT Name, COUNT(Id) FROM Contact", "MALFORMED_QUERY"),
            ("SELECT SUM(Name) FROM Contact", "MALFORMED_QUERY"),
            ("SELECT FIELDS(ALL) FROM Contact", "MALFORMED_QUERY"),
            ("SELECT FIELDS(ALL) FROM Contact LIMIT 201", "MALFORMED_QUERY"),
            ("SELECT Id FROM Contact LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ] {
            assert_eq!(outcome(text).unwrap_err().code, code, "{text}");
        }
        let message = outcome("SELECT Shoe FROM Contact").unwrap_err().message;
        assert!(message.starts_with("\nSELECT Shoe FROM Contact\n       ^\nERROR at Row:1:Column:8\nNo such column 'Shoe' on entity 'Contact'."), "{message}");
    }
}
