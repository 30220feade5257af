//! Whether a value fits a JSON Schema (2020-12), as far as the keywords go that schemas of tools use.
//!
//! What is said to be wrong is wrong; what this check does not know (`pattern`, `format`, `not`, `if`, references to
//! anchors, …) it lets pass. It takes a bounded time for any schema: work is counted in steps, and what is still to be
//! checked when they are spent passes.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// What a check may cost and how deep it goes; what is beyond passes. A step is at most about 100 ns of a full core.
const MAX_STEPS: usize = 400_000;
const MAX_DEPTH: usize = 64;
/// What a schema costs before its rules do: its keywords are looked up.
const SCHEMA_STEPS: usize = 4;
/// How many bytes of text are compared, hashed or counted in one step.
const STEP_BYTES: usize = 32;
/// How much of a schema is told, in names and in bytes.
const MAX_TOLD: usize = 20;
const MAX_TOLD_BYTES: usize = 200;

/// What is wrong with a value: where, by JSON Pointer (RFC 6901), and which rule it breaks; never the value. `None` when
/// nothing is, as far as this check knows; what it does not know it lets pass.
pub fn violation(schema: &Map<String, Value>, value: &Value) -> Option<String> {
    let mut check = Check::new(schema);
    match check.object(schema, value) {
        Err(Stop::Broken(rule)) => Some(check.told(&rule)),
        Ok(()) | Err(Stop::Spent) => None,
    }
}

struct Check<'a> {
    root: &'a Map<String, Value>,
    is_draft: bool,
    /// Where in the value it is; where a rule is broken, when one is.
    path: Vec<Place<'a>>,
    steps: usize,
    depth: usize,
}

enum Place<'a> {
    Item(usize),
    Member(&'a str),
    /// A name that the schema does not have: it is the value's.
    Unnamed,
}

/// Why a check ends before its end.
enum Stop<'a> {
    Broken(Rule<'a>),
    /// It has cost enough.
    Spent,
}

/// A rule that is broken, as its schema has it: most are not told, as another alternative fits.
enum Rule<'a> {
    Never,
    Kind(&'a Value),
    Const,
    Enum(&'a [Value]),
    /// A limit, the words before it and those after.
    Limit(&'static str, &'a Value, &'static str),
    Required,
    Unexpected(Option<&'a Map<String, Value>>),
    Alternatives,
}

type Checked<'a> = Result<(), Stop<'a>>;

fn broken<'a>(rule: Rule<'a>) -> Checked<'a> {
    Err(Stop::Broken(rule))
}

impl<'a> Check<'a> {
    fn new(root: &'a Map<String, Value>) -> Self {
        Check { root, is_draft: is_draft(root), path: Vec::new(), steps: MAX_STEPS, depth: 0 }
    }

    fn schema(&mut self, schema: &'a Value, value: &Value) -> Checked<'a> {
        match schema {
            Value::Bool(false) => broken(Rule::Never),
            Value::Object(schema) => self.nested(schema, value),
            _ => Ok(()),
        }
    }

    fn nested(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Checked<'a> {
        self.depth += 1;
        let checked = if self.depth > MAX_DEPTH { Ok(()) } else { self.object(schema, value) };
        self.depth -= 1;
        checked
    }

    fn object(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Checked<'a> {
        self.step(SCHEMA_STEPS)?;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            match self.resolve(target)? {
                Some(Target::Root(root)) => self.nested(root, value)?,
                Some(Target::Part(part)) => self.schema(part, value)?,
                None => {}
            }
            // Before 2019-09 what stands beside a reference does not count.
            if self.is_draft {
                return Ok(());
            }
        }
        self.kind(schema, value)?;
        self.alternatives(schema, value)?;
        match value {
            Value::String(text) => self.text(schema, text)?,
            Value::Number(number) => number_fits(schema, number)?,
            Value::Array(items) => self.items(schema, items)?,
            Value::Object(members) => self.members(schema, members)?,
            _ => {}
        }
        self.combined(schema, value)
    }

    fn kind(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Checked<'a> {
        let Some(told) = schema.get("type") else { return Ok(()) };
        let kinds = match told {
            Value::Array(kinds) if !kinds.is_empty() => kinds.as_slice(),
            Value::String(_) => std::slice::from_ref(told),
            _ => return Ok(()),
        };
        self.step(kinds.len())?;
        let may_fit = |kind: &Value| kind.as_str().is_none_or(|kind| is_of_kind(value, kind) || !KINDS.contains(&kind));
        if kinds.iter().any(may_fit) { Ok(()) } else { broken(Rule::Kind(told)) }
    }

    fn alternatives(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Checked<'a> {
        if let Some(only) = schema.get("const")
            && !self.same(only, value)?
        {
            return broken(Rule::Const);
        }
        let Some(alternatives) = schema.get("enum").and_then(Value::as_array) else { return Ok(()) };
        for alternative in alternatives {
            if self.same(alternative, value)? {
                return Ok(());
            }
        }
        broken(Rule::Enum(alternatives))
    }

    fn text(&mut self, schema: &'a Map<String, Value>, text: &str) -> Checked<'a> {
        let (min, max) = (limit(schema, "minLength"), limit(schema, "maxLength"));
        if min.is_none() && max.is_none() {
            return Ok(());
        }
        self.step_text(text)?;
        let length = text.chars().count() as u64;
        match (min, max) {
            (Some((min, told)), _) if length < min => broken(Rule::Limit("must have at least", told, " characters")),
            (_, Some((max, told))) if length > max => broken(Rule::Limit("must have at most", told, " characters")),
            _ => Ok(()),
        }
    }

    fn items(&mut self, schema: &'a Map<String, Value>, items: &[Value]) -> Checked<'a> {
        let length = items.len() as u64;
        if let Some((_, told)) = limit(schema, "minItems").filter(|(min, _)| length < *min) {
            return broken(Rule::Limit("must have at least", told, " items"));
        }
        if let Some((_, told)) = limit(schema, "maxItems").filter(|(max, _)| length > *max) {
            return broken(Rule::Limit("must have at most", told, " items"));
        }
        let first = schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let rest = schema.get("items").filter(|rest| !rest.is_array());
        for (at, item) in items.iter().enumerate() {
            let Some(schema) = first.get(at).or(rest) else { break };
            self.step(1)?;
            self.path.push(Place::Item(at));
            self.schema(schema, item)?;
            self.path.pop();
        }
        Ok(())
    }

    fn members(&mut self, schema: &'a Map<String, Value>, members: &Map<String, Value>) -> Checked<'a> {
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            self.step(1)?;
            let Some(name) = name.as_str() else { continue };
            self.step_text(name)?;
            if !members.contains_key(name) {
                self.path.push(Place::Member(name));
                return broken(Rule::Required);
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            self.step_text(name)?;
            let Some(member) = members.get(name) else { continue };
            self.path.push(Place::Member(name));
            self.schema(property, member)?;
            self.path.pop();
        }
        // Which members patterns stand for is not known here.
        let rest = schema.get("additionalProperties").filter(|_| !schema.contains_key("patternProperties"));
        let Some(rest) = rest else { return Ok(()) };
        for (name, member) in members {
            self.step_text(name)?;
            if properties.is_some_and(|properties| properties.contains_key(name)) {
                continue;
            }
            if *rest == Value::Bool(false) {
                return broken(Rule::Unexpected(properties));
            }
            self.path.push(Place::Unnamed);
            self.schema(rest, member)?;
            self.path.pop();
        }
        Ok(())
    }

    fn combined(&mut self, schema: &'a Map<String, Value>, value: &Value) -> Checked<'a> {
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.step(1)?;
            self.schema(part, value)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(parts) = schema.get(keyword).and_then(Value::as_array) else { continue };
            // What fits more than one of `oneOf` may do so only because it was not checked whole.
            if !parts.is_empty() && !self.any(parts, value)? {
                return broken(Rule::Alternatives);
            }
        }
        Ok(())
    }

    fn any(&mut self, parts: &'a [Value], value: &Value) -> Result<bool, Stop<'a>> {
        let here = self.path.len();
        for part in parts {
            self.step(1)?;
            match self.schema(part, value) {
                Err(Stop::Broken(_)) => self.path.truncate(here),
                Err(Stop::Spent) => return Err(Stop::Spent),
                Ok(()) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// What a reference within the document stands for.
    fn resolve(&mut self, target: &str) -> Result<Option<Target<'a>>, Stop<'a>> {
        self.step_text(target)?;
        let Some(pointer) = target.strip_prefix('#') else { return Ok(None) };
        if pointer.is_empty() {
            return Ok(Some(Target::Root(self.root)));
        }
        // What is percent-encoded is not decoded here.
        let Some(pointer) = pointer.strip_prefix('/').filter(|pointer| !pointer.contains('%')) else { return Ok(None) };
        let mut part: Option<&'a Value> = None;
        for name in pointer.split('/') {
            // It is unescaped, twice over, and looked up.
            self.step(4 * (1 + name.len() / STEP_BYTES))?;
            let unescaped = || name.replace("~1", "/").replace("~0", "~");
            let next = match part {
                None => self.root.get(&unescaped()),
                Some(Value::Object(members)) => members.get(&unescaped()),
                Some(Value::Array(items)) => name.parse().ok().and_then(|at: usize| items.get(at)),
                Some(_) => None,
            };
            let Some(next) = next else { return Ok(None) };
            part = Some(next);
        }
        Ok(part.map(Target::Part))
    }

    /// Numbers are equal by their value, members in any order.
    fn same(&mut self, one: &Value, other: &Value) -> Result<bool, Stop<'a>> {
        self.step(1)?;
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => Ok(compare(one, other) == Some(Ordering::Equal)),
            (Value::String(one), Value::String(other)) if one.len() == other.len() => {
                self.step_text(one)?;
                Ok(one == other)
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                for (one, other) in one.iter().zip(other) {
                    if !self.same(one, other)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
                for (name, one) in one {
                    self.step_text(name)?;
                    let Some(other) = other.get(name) else { return Ok(false) };
                    if !self.same(one, other)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Bool(one), Value::Bool(other)) => Ok(one == other),
            (Value::Null, Value::Null) => Ok(true),
            _ => Ok(false),
        }
    }

    fn step_text(&mut self, text: &str) -> Checked<'a> {
        self.step(1 + text.len() / STEP_BYTES)
    }

    fn step(&mut self, cost: usize) -> Checked<'a> {
        let left = self.steps.checked_sub(cost);
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Stop::Spent)
    }

    fn told(&self, rule: &Rule<'_>) -> String {
        let rule = rule.told();
        if self.path.is_empty() {
            return format!("the root {rule}");
        }
        let places = self.path.iter().map(|place| match place {
            Place::Item(at) => at.to_string(),
            Place::Member(name) => name.replace('~', "~0").replace('/', "~1"),
            Place::Unnamed => "*".to_owned(),
        });
        format!("/{} {rule}", places.collect::<Vec<_>>().join("/"))
    }
}

enum Target<'a> {
    Root(&'a Map<String, Value>),
    Part(&'a Value),
}

impl Rule<'_> {
    fn told(&self) -> String {
        match self {
            Rule::Never => "is not allowed".to_owned(),
            Rule::Kind(Value::Array(kinds)) if kinds.len() <= KINDS.len() => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                format!("must be of type {}", kinds.join(" or "))
            }
            Rule::Kind(Value::String(kind)) => format!("must be of type {kind}"),
            Rule::Kind(_) => "is of none of the types that it may have".to_owned(),
            Rule::Const => "is not the one value that it may have".to_owned(),
            Rule::Enum(alternatives) => match serde_json::to_string(alternatives) {
                Ok(told) if told.len() <= MAX_TOLD_BYTES => format!("must be one of {told}"),
                _ => "is none of the values that it may have".to_owned(),
            },
            Rule::Limit(must, limit, unit) => format!("{must} {limit}{unit}"),
            Rule::Required => "is missing".to_owned(),
            Rule::Unexpected(properties) => unexpected(*properties),
            Rule::Alternatives => "fits none of the alternatives that its schema has".to_owned(),
        }
    }
}

fn number_fits<'a>(schema: &'a Map<String, Value>, number: &Number) -> Checked<'a> {
    use Ordering::{Equal, Greater, Less};
    let rules = [
        ("minimum", &[Less][..], "must be at least"),
        ("maximum", &[Greater], "must be at most"),
        ("exclusiveMinimum", &[Less, Equal], "must be more than"),
        ("exclusiveMaximum", &[Greater, Equal], "must be less than"),
    ];
    for (keyword, breaks, must) in rules {
        let Some(told) = schema.get(keyword) else { continue };
        let Value::Number(bound) = told else { continue };
        if compare(number, bound).is_some_and(|order| breaks.contains(&order)) {
            return broken(Rule::Limit(must, told, ""));
        }
    }
    Ok(())
}

const KINDS: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

fn is_of_kind(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Object(_) => kind == "object",
        Value::Array(_) => kind == "array",
        Value::String(_) => kind == "string",
        Value::Number(number) => kind == "number" || kind == "integer" && is_integer(number),
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    let integer = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn limit<'a>(schema: &'a Map<String, Value>, keyword: &str) -> Option<(u64, &'a Value)> {
    let told = schema.get(keyword)?;
    Some((told.as_u64()?, told))
}

fn unexpected(properties: Option<&Map<String, Value>>) -> String {
    let names = properties.into_iter().flat_map(Map::keys).take(MAX_TOLD).map(String::as_str);
    let names = names.collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "must have no properties".to_owned(),
        1..=MAX_TOLD_BYTES => format!("has a property that it cannot have; it has {names}"),
        _ => "has a property that it cannot have".to_owned(),
    }
}

fn is_draft(root: &Map<String, Value>) -> bool {
    root.get("$schema").and_then(Value::as_str).is_some_and(|dialect| dialect.contains("/draft-0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn told(schema: &Value, value: &Value) -> Option<String> {
        violation(schema.as_object().unwrap(), value)
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place_and_its_rule() {
        let schema = json!({
            "type": "object",
            "properties": {
                "q": {"type": "string", "minLength": 2, "maxLength": 3},
                "n": {"type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 10},
                "kind": {"enum": ["a", "b", 3]},
                "rows": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/row"}},
                "a/b": {"const": 1},
                "either": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["x"]}]},
                "map": {"additionalProperties": {"type": "boolean"}},
                "all": {"allOf": [{"minimum": 3}, {"maximum": 5}]},
            },
            "required": ["q"],
            "additionalProperties": false,
            "$defs": {"row": {"type": "object", "required": ["id"], "additionalProperties": false, "properties": {"id": {}}}},
        });
        for (value, expected) in [
            (json!({"q": "ab", "n": null, "kind": 3.0, "rows": [{"id": 1}], "a/b": 1, "either": {"x": 1}}), None),
            (json!("secret"), Some("the root must be of type object")),
            (json!({}), Some("/q is missing")),
            (json!({"q": "s"}), Some("/q must have at least 2 characters")),
            (json!({"q": "\u{e4}\u{e4}\u{e4}\u{e4}"}), Some("/q must have at most 3 characters")),
            (json!({"q": "ab", "n": 1.5}), Some("/n must be of type integer or null")),
            (json!({"q": "ab", "n": 0}), Some("/n must be at least 1")),
            (json!({"q": "ab", "n": 10}), Some("/n must be less than 10")),
            (json!({"q": "ab", "kind": "secret"}), Some("/kind must be one of [\"a\",\"b\",3]")),
            (json!({"q": "ab", "rows": [{"id": 1}, {}]}), Some("/rows/1/id is missing")),
            (json!({"q": "ab", "rows": [1, 2, 3]}), Some("/rows must have at most 2 items")),
            (
                json!({"q": "ab", "rows": [{"id": 1, "secret": 2}]}),
                Some("/rows/0 has a property that it cannot have; it has id"),
            ),
            (json!({"q": "ab", "a/b": 2}), Some("/a~1b is not the one value that it may have")),
            (json!({"q": "ab", "either": {}}), Some("/either fits none of the alternatives that its schema has")),
            (json!({"q": "ab", "map": {"secret": 1}}), Some("/map/* must be of type boolean")),
            (json!({"q": "ab", "all": 6}), Some("/all must be at most 5")),
        ] {
            assert_eq!(told(&schema, &value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_not_known_passes() {
        for schema in [
            json!({"pattern": "^b", "format": "date", "not": {"type": "string"}}),
            json!({"$ref": "https://h.example/schema.json"}),
            json!({"$ref": "#anchor"}),
            json!({"$ref": "#/missing"}),
            json!({"type": "text"}),
            json!({"type": 1, "enum": 1, "anyOf": [], "required": 1, "minLength": -1}),
        ] {
            assert_eq!(told(&schema, &json!("a")), None, "{schema}");
        }
        let patterns = json!({"additionalProperties": false, "patternProperties": {"^a": {}}});
        assert_eq!(told(&patterns, &json!({"a": 1})), None);
        let draft =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/d", "d": {}, "type": "array"});
        assert_eq!(told(&draft, &json!("a")), None);
    }

    #[test]
    fn hostile_schemas_end() {
        let twice = json!({"anyOf": [{"$ref": "#/d"}, {"$ref": "#/d"}]});
        let bomb = json!({"allOf": [{"$ref": "#/d"}, {"$ref": "#/d"}], "d": {"allOf": [twice, twice], "$ref": "#"}});
        let zeros = Value::from(vec![0; 100_000]);
        let texts = Value::from(vec![json!("y".repeat(20)); 10_000]);
        let object = json!([{"a": 1}, {"a": 1, "z".repeat(10_000): 2}]);
        let long = "~0".repeat(5_000);
        // What one item costs at least, in steps.
        for (schema, items, of_an_item) in [
            (json!({"$ref": "#"}), &zeros, 1),
            (json!({"$ref": "#/a", "a": {"$ref": "#/a"}}), &zeros, 1),
            (bomb, &texts, 1),
            (json!({"items": {"enum": vec![json!("x".repeat(20)); 1000]}}), &texts, 1000),
            (json!({"items": {"required": vec!["r"; 8000]}}), &texts, 1),
            (
                json!({"items": {"anyOf": vec![json!({"$ref": "#/e"}); 50]}, "e": {"enum": vec![1; 15_000]}}),
                &zeros,
                750_000,
            ),
            (json!({"items": {"type": vec!["string"; 3_501]}}), &zeros, 3_501),
            (json!({"items": {"$ref": format!("#/{long}")}, "~".repeat(5_000): {}}), &zeros, 10_000 / STEP_BYTES),
            (json!({"items": {"allOf": vec![true; 6_000]}}), &zeros, 6_000),
            (json!({"items": {"enum": vec!["y".repeat(20); 1_000]}}), &texts, 1),
            (json!({"items": {"additionalProperties": true}}), &object, 1),
            (json!({"items": {"minLength": 1}}), &json!(["y".repeat(100_000)]), 100_000 / STEP_BYTES),
        ] {
            let root = schema.as_object().unwrap();
            let mut check = Check::new(root);
            let _ = check.object(root, items);
            let spent = MAX_STEPS - check.steps;
            assert!(spent >= of_an_item.min(MAX_STEPS), "{spent}");
        }
    }

    fn schemas(with_one_of: bool) -> impl Strategy<Value = Value> {
        let number = || prop_oneof![(-3i64..4).prop_map(Value::from), Just(json!(1.5)), Just(json!(1.0))];
        let scalar =
            || prop_oneof![number(), "[ab\u{e4}]{0,3}".prop_map(Value::from), Just(json!(true)), Just(Value::Null)];
        let kind = prop::sample::select(KINDS.to_vec());
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            kind.clone().prop_map(|kind| json!({"type": kind})),
            proptest::collection::vec(kind, 1..3).prop_map(|mut kinds| {
                kinds.dedup();
                json!({"type": kinds})
            }),
            proptest::collection::vec(scalar(), 1..3).prop_map(|values| json!({"enum": values})),
            scalar().prop_map(|value| json!({"const": value})),
            (0u64..4, 0u64..4).prop_map(|(min, max)| json!({"minLength": min, "maxLength": max})),
            (0u64..3, 0u64..3).prop_map(|(min, max)| json!({"minItems": min, "maxItems": max})),
            (number(), number()).prop_map(|(min, max)| json!({"minimum": min, "exclusiveMaximum": max})),
            (number(), number()).prop_map(|(min, max)| json!({"exclusiveMinimum": min, "maximum": max})),
            Just(json!({"$ref": "#/$defs/d~1e"})),
        ];
        leaf.prop_recursive(3, 20, 3, move |inner| {
            let several = proptest::collection::vec(inner.clone(), 1..3);
            let alternatives = if with_one_of { vec!["allOf", "anyOf", "oneOf"] } else { vec!["allOf", "anyOf"] };
            prop_oneof![
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, rest)| {
                    json!({"properties": {"a": a, "b": b}, "required": ["a"], "additionalProperties": rest})
                }),
                (several.clone(), inner).prop_map(|(first, rest)| json!({"prefixItems": first, "items": rest})),
                (prop::sample::select(alternatives), several).prop_map(|(keyword, parts)| json!({keyword: parts})),
            ]
        })
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-3i64..4).prop_map(Value::from),
            Just(json!(1.5)),
            Just(json!(1.0)),
            "[ab\u{e4}]{0,4}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let members = proptest::collection::btree_map("[abc]", inner.clone(), 0..3);
            prop_oneof![
                proptest::collection::vec(inner, 0..3).prop_map(Value::from),
                members.prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    /// A schema around the one that is generated, so that references have a target.
    fn rooted(schema: Value, definition: Value) -> Value {
        json!({"allOf": [schema], "$defs": {"d/e": definition}})
    }

    proptest! {
        #[test]
        fn it_says_what_jsonschema_says(schema in schemas(false), value in values()) {
            let schema = rooted(schema, json!({"type": ["integer", "array"]}));
            let expected = jsonschema::validator_for(&schema).unwrap().is_valid(&value);
            let found = told(&schema, &value);
            prop_assert_eq!(found.is_none(), expected, "{:?}", found);
        }

        #[test]
        fn what_it_says_is_wrong_is_wrong(schema in schemas(true), definition in schemas(true), value in values()) {
            // A definition that refers to itself at once is for `hostile_schemas_end`.
            prop_assume!(!definition.to_string().contains("$ref"));
            let schema = rooted(schema, definition);
            let expected = jsonschema::validator_for(&schema).unwrap().is_valid(&value);
            prop_assert!(!expected || told(&schema, &value).is_none(), "{:?}", told(&schema, &value));
        }
    }
}
