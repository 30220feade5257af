//! Random edits of tool definitions, labelled by what they are made to be. What the label says is shown by instances,
//! through a JSON Schema validator of others: after an additive edit every old input is valid and every new answer fits
//! the old schema; of a breaking one an instance is found for which that is not so.

use std::borrow::Cow;

use access_token::Scope;
use fastrand::Rng;
use jsonschema::Validator;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::{Change, Contract, changes};
use crate::input::{Input, InputKind};
use crate::lookup::{Argument, Condition, Lookup, Return, Sort, ValueType};
use crate::tool::{Annotations, Output, OutputType, Tool};

/// Instances that are tried a tool and direction.
const INSTANCES: usize = 40;

/// No two of them match one text.
const PATTERNS: [&str; 3] = ["^[A-Z]{2,5}$", "^[0-9]{4}$", "^[a-z]-[a-z]{1,9}$"];

#[derive(Clone)]
struct Spec {
    name: String,
    title: String,
    description: String,
    inputs: Vec<In>,
    outputs: Vec<Out>,
    scope: Scope,
    read_only: bool,
}

#[derive(Clone)]
struct In {
    name: String,
    title: String,
    kind: Kind,
    required: bool,
}

#[derive(Clone, PartialEq)]
enum Kind {
    Any,
    Pattern(usize),
    OneOf(Vec<String>),
    Integer,
    Number,
    Boolean,
}

#[derive(Clone)]
struct Out {
    name: String,
    description: String,
    output_type: OutputType,
    required: bool,
}

/// How an edit's label is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    /// An old input that is refused.
    Input,
    /// A new answer that the old schema does not describe.
    Output,
    /// An old answer with a property that the new schema does not name.
    MissingOutput,
    /// The contracts themselves: a tool, a scope or an annotation.
    Contract,
}

impl Spec {
    fn random(rng: &mut Rng) -> Spec {
        let read_only = rng.bool();
        Spec {
            name: word(rng),
            title: word(rng),
            description: word(rng),
            inputs: (0..rng.usize(1..5)).map(|_| In::random(rng)).collect(),
            outputs: (0..rng.usize(1..5)).map(|_| Out::random(rng)).collect(),
            scope: if read_only && rng.bool() { Scope::Read } else { Scope::Write },
            read_only,
        }
    }

    fn tool(&self) -> Tool {
        Tool {
            name: self.name.clone().into(),
            title: self.title.clone().into(),
            description: self.description.clone().into(),
            inputs: self.inputs.iter().map(In::input).collect(),
            outputs: self.outputs.iter().map(Out::output).collect(),
            annotations: Annotations { read_only: self.read_only, ..Annotations::READ },
            scope: self.scope,
            foreign: None,
        }
    }

    /// Arguments that are right: `0` has all of them, `1` only those that must be given.
    fn arguments(&self, rng: &mut Rng, instance: usize) -> Value {
        let given = self.inputs.iter().filter(|input| input.required || with(rng, instance)).collect::<Vec<_>>();
        Value::Object(given.into_iter().map(|input| (input.name.clone(), input.kind.value(rng))).collect())
    }

    /// An answer as the output schema describes it.
    fn answer(&self, rng: &mut Rng, instance: usize) -> Value {
        let there = self.outputs.iter().filter(|output| output.required || with(rng, instance)).collect::<Vec<_>>();
        Value::Object(there.into_iter().map(|output| (output.name.clone(), output.value(rng))).collect())
    }
}

fn with(rng: &mut Rng, instance: usize) -> bool {
    instance == 0 || (instance > 1 && rng.bool())
}

impl In {
    fn random(rng: &mut Rng) -> In {
        In { name: word(rng), title: word(rng), kind: Kind::random(rng), required: rng.bool() }
    }

    fn input(&self) -> Input {
        let text = |pattern: Option<Regex>, one_of: Vec<Cow<'static, str>>| InputKind::Text { pattern, one_of };
        let kind = match &self.kind {
            Kind::Any => text(None, Vec::new()),
            Kind::Pattern(index) => text(Some(Regex::new(PATTERNS[*index]).unwrap()), Vec::new()),
            Kind::OneOf(values) => text(None, values.iter().cloned().map(Cow::Owned).collect()),
            Kind::Integer => InputKind::Integer,
            Kind::Number => InputKind::Number,
            Kind::Boolean => InputKind::Boolean,
        };
        let input = Input::new(self.name.clone(), self.title.clone(), "What it is", kind);
        if self.required { input.required() } else { input }
    }
}

impl Kind {
    fn random(rng: &mut Rng) -> Kind {
        match rng.u8(0..6) {
            0 => Kind::Any,
            1 => Kind::Pattern(rng.usize(0..PATTERNS.len())),
            2 => Kind::OneOf((0..rng.usize(2..5)).map(|_| word(rng)).collect()),
            3 => Kind::Integer,
            4 => Kind::Number,
            _ => Kind::Boolean,
        }
    }

    fn value(&self, rng: &mut Rng) -> Value {
        let text = |rng: &mut Rng, length: usize, letter: fn(&mut Rng) -> char| -> String {
            (0..length).map(|_| letter(rng)).collect()
        };
        match self {
            Kind::Any => json!(["", "ä b", "plain"][rng.usize(0..3)]),
            Kind::Pattern(0) => {
                let length = rng.usize(2..6);
                json!(text(rng, length, Rng::uppercase))
            }
            Kind::Pattern(1) => json!(text(rng, 4, |rng| rng.digit(10))),
            Kind::Pattern(_) => {
                let length = rng.usize(1..10);
                json!(format!("{}-{}", rng.lowercase(), text(rng, length, Rng::lowercase)))
            }
            Kind::OneOf(values) => json!(values[rng.usize(0..values.len())]),
            Kind::Integer => json!(rng.i64(..)),
            Kind::Number => json!(f64::from(rng.i32(-1_000..1_000)) + 0.5),
            Kind::Boolean => json!(rng.bool()),
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Kind::Any | Kind::Pattern(_) | Kind::OneOf(_))
    }
}

impl Out {
    fn random(rng: &mut Rng) -> Out {
        let types = [OutputType::Text, OutputType::Integer, OutputType::Number, OutputType::Boolean, OutputType::Rows];
        Out { name: word(rng), description: word(rng), output_type: types[rng.usize(0..5)], required: rng.bool() }
    }

    fn output(&self) -> Output {
        let output = Output::new(self.name.clone(), self.output_type, self.description.clone());
        if self.required { output.required() } else { output }
    }

    fn value(&self, rng: &mut Rng) -> Value {
        match self.output_type {
            OutputType::Text => Kind::Any.value(rng),
            OutputType::Integer => Kind::Integer.value(rng),
            OutputType::Number => Kind::Number.value(rng),
            OutputType::Boolean => Kind::Boolean.value(rng),
            OutputType::Rows => json!([{ "a": 1 }, {}]),
        }
    }
}

/// A name that no other has.
fn word(rng: &mut Rng) -> String {
    std::iter::once('w').chain((0..10).map(|_| rng.lowercase())).collect()
}

/// Makes one additive edit somewhere in `tools[from..]`, or says that it does not apply; its name.
fn edit_additively(rng: &mut Rng, tools: &mut Vec<Spec>, from: usize) -> Option<&'static str> {
    let kind = rng.u8(0..14);
    if kind == 0 || from == tools.len() {
        let at = rng.usize(0..=tools.len().max(from)).max(from);
        tools.insert(at, Spec::random(rng));
        return Some("a new tool");
    }
    let last = tools.len() - 1;
    let tool = &mut tools[rng.usize(from..=last)];
    let (input, output) = (rng.usize(0..tool.inputs.len().max(1)), rng.usize(0..tool.outputs.len().max(1)));
    Some(match kind {
        1 => {
            tool.inputs.insert(input, In { required: false, ..In::random(rng) });
            "a new input that may be left out"
        }
        2 => {
            tool.inputs.iter_mut().find(|input| input.required)?.required = false;
            "an input may be left out"
        }
        3 => {
            let widened = tool.inputs.iter_mut().find_map(|input| match &mut input.kind {
                Kind::OneOf(values) => Some(values),
                _ => None,
            })?;
            let value = word(rng);
            widened.insert(rng.usize(0..=widened.len()), value);
            "an enum is wider"
        }
        4 => {
            tool.inputs.iter_mut().find(|input| matches!(input.kind, Kind::OneOf(_)))?.kind = Kind::Any;
            "an enum is gone"
        }
        5 => {
            tool.inputs.iter_mut().find(|input| matches!(input.kind, Kind::Pattern(_)))?.kind = Kind::Any;
            "a pattern is gone"
        }
        6 => {
            tool.inputs.iter_mut().find(|input| input.kind == Kind::Integer)?.kind = Kind::Number;
            "an integer input is a number"
        }
        7 => {
            let new = Out::random(rng);
            tool.outputs.insert(output, new);
            "a new output"
        }
        8 => {
            tool.outputs.iter_mut().find(|output| !output.required)?.required = true;
            "an output is always there"
        }
        9 => {
            tool.outputs.iter_mut().find(|output| output.output_type == OutputType::Number)?.output_type =
                OutputType::Integer;
            "a number output is an integer"
        }
        10 => {
            tool.description = word(rng);
            tool.title = word(rng);
            "other texts"
        }
        11 => {
            tool.inputs.get_mut(input)?.title = word(rng);
            tool.outputs.get_mut(output)?.description = word(rng);
            "other texts of input and output"
        }
        12 if tool.read_only && tool.scope == Scope::Write => {
            tool.scope = Scope::Read;
            "a lower scope"
        }
        13 => {
            rng.shuffle(&mut tool.inputs);
            rng.shuffle(&mut tool.outputs);
            "another order"
        }
        _ => return None,
    })
}

/// Makes one breaking edit of the first tool, or says that it does not apply; its name, and how it is shown.
fn break_first(rng: &mut Rng, tools: &mut Vec<Spec>) -> Option<(&'static str, Shown)> {
    let tool = &mut tools[0];
    let (input, output) = (rng.usize(0..tool.inputs.len()), rng.usize(0..tool.outputs.len()));
    Some(match rng.u8(0..18) {
        0 => {
            tools.remove(0);
            ("a tool is gone", Shown::Contract)
        }
        1 => {
            tool.name = word(rng);
            ("a tool is renamed", Shown::Contract)
        }
        2 => {
            tool.inputs.remove(input);
            ("an input is gone", Shown::Input)
        }
        3 => {
            tool.inputs[input].name = word(rng);
            ("an input is renamed", Shown::Input)
        }
        4 => {
            tool.inputs.insert(input, In { required: true, ..In::random(rng) });
            ("a new input that must be given", Shown::Input)
        }
        5 => {
            tool.inputs.iter_mut().find(|input| !input.required)?.required = true;
            ("an input must be given", Shown::Input)
        }
        6 => {
            let was = tool.inputs[input].kind.clone();
            let other = Kind::random(rng);
            let narrower = (&was, &other) == (&Kind::Number, &Kind::Integer);
            let same = was == other || (was.is_text() && other.is_text());
            let wider = (&was, &other) == (&Kind::Integer, &Kind::Number);
            if (same || wider) && !narrower {
                return None;
            }
            tool.inputs[input].kind = other;
            ("an input of another type", Shown::Input)
        }
        7 => {
            tool.inputs.iter_mut().find(|input| input.kind == Kind::Number)?.kind = Kind::Integer;
            ("a number input is an integer", Shown::Input)
        }
        8 => {
            let found = tool.inputs.iter_mut().find(|input| input.kind == Kind::Any)?;
            found.kind = Kind::Pattern(rng.usize(0..PATTERNS.len()));
            ("a pattern", Shown::Input)
        }
        9 => {
            let found = tool.inputs.iter_mut().find_map(|input| match &mut input.kind {
                Kind::Pattern(index) => Some(index),
                _ => None,
            })?;
            *found = (*found + 1) % PATTERNS.len();
            ("another pattern", Shown::Input)
        }
        10 => {
            let found = tool.inputs.iter_mut().find_map(|input| match &mut input.kind {
                Kind::OneOf(values) if values.len() > 1 => Some(values),
                _ => None,
            })?;
            found.remove(rng.usize(0..found.len()));
            if rng.bool() {
                found.push(word(rng));
            }
            ("an enum is narrower", Shown::Input)
        }
        11 => {
            let found = tool.inputs.iter_mut().find(|input| matches!(input.kind, Kind::Any | Kind::Pattern(_)))?;
            found.kind = Kind::OneOf(vec![word(rng), word(rng)]);
            ("an enum", Shown::Input)
        }
        12 => {
            let gone = tool.outputs.remove(output);
            ("an output is gone", if gone.required { Shown::Output } else { Shown::MissingOutput })
        }
        13 => {
            let required = tool.outputs[output].required;
            tool.outputs[output].name = word(rng);
            ("an output is renamed", if required { Shown::Output } else { Shown::MissingOutput })
        }
        14 => {
            tool.outputs.iter_mut().find(|output| output.required)?.required = false;
            ("an output may be missing", Shown::Output)
        }
        15 => {
            let was = tool.outputs[output].output_type;
            let other = Out::random(rng).output_type;
            if was == other || (was, other) == (OutputType::Number, OutputType::Integer) {
                return None;
            }
            tool.outputs[output].output_type = other;
            ("an output of another type", Shown::Output)
        }
        16 if tool.scope == Scope::Read => {
            tool.scope = Scope::Write;
            ("a higher scope", Shown::Contract)
        }
        17 if tool.read_only => {
            tool.read_only = false;
            tool.scope = Scope::Write;
            ("a tool that read writes", Shown::Contract)
        }
        _ => return None,
    })
}

struct Schemas {
    input: Validator,
    output: Validator,
    /// Knows no other properties than those that are named.
    closed_output: Validator,
}

impl Schemas {
    fn of(contract: &Contract) -> Schemas {
        let compile = |schema: &Map<String, Value>| jsonschema::validator_for(&json!(schema)).unwrap();
        let mut closed = contract.output_schema.clone();
        closed.insert("additionalProperties".to_owned(), json!(false));
        Schemas {
            input: compile(&contract.input_schema),
            output: compile(&contract.output_schema),
            closed_output: compile(&closed),
        }
    }
}

fn contracts(tools: &[Spec]) -> Vec<Contract> {
    tools.iter().map(|tool| Contract::of(&tool.tool())).collect()
}

/// Every old input is valid, every new answer fits the old schema.
fn assert_additive(rng: &mut Rng, olds: &[Spec], news: &[Spec], what: &str) {
    for old in olds {
        let new =
            news.iter().find(|new| new.name == old.name).unwrap_or_else(|| panic!("{what}: {} is gone", old.name));
        let (before, after) = (Schemas::of(&Contract::of(&old.tool())), Schemas::of(&Contract::of(&new.tool())));
        for instance in 0..INSTANCES {
            let arguments = old.arguments(rng, instance);
            assert!(before.input.is_valid(&arguments), "{what}: the generator: {arguments}");
            assert!(after.input.is_valid(&arguments), "{what}: {arguments}");
            let answer = new.answer(rng, instance);
            assert!(after.output.is_valid(&answer), "{what}: the generator: {answer}");
            assert!(before.output.is_valid(&answer), "{what}: {answer}");
        }
    }
}

/// An instance, or the contracts, show that the edit of the first tool breaks.
fn assert_breaking(rng: &mut Rng, old: &Spec, news: &[Spec], what: &str, shown: Shown) {
    let new = news.iter().find(|new| new.name == old.name);
    let (Some(new), true) = (new, shown != Shown::Contract) else {
        let raised = new.is_some_and(|new| new.scope != old.scope || new.read_only != old.read_only);
        assert!(new.is_none() || raised, "{what}");
        return;
    };
    let (before, after) = (Schemas::of(&Contract::of(&old.tool())), Schemas::of(&Contract::of(&new.tool())));
    let found = (0..INSTANCES).any(|instance| {
        let (arguments, answered) = (old.arguments(rng, instance), old.answer(rng, instance));
        let answer = new.answer(rng, instance);
        assert!(before.input.is_valid(&arguments) && before.closed_output.is_valid(&answered), "{what}");
        assert!(after.output.is_valid(&answer), "{what}");
        match shown {
            Shown::Input => !after.input.is_valid(&arguments),
            Shown::Output => !before.output.is_valid(&answer),
            _ => !after.closed_output.is_valid(&answered),
        }
    });
    assert!(found, "{what}: no instance shows it");
}

fn seed() -> u64 {
    std::env::var("NORTHSTAR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(6)
}

#[test]
fn of_200_random_edits_no_breaking_one_passes_and_no_additive_one_is_refused() {
    const EDITS: usize = 200;
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let (mut additive, mut breaking) = (0, 0);
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    while additive + breaking < EDITS {
        let olds: Vec<Spec> = (0..rng.usize(1..4)).map(|_| Spec::random(&mut rng)).collect();
        let mut news = olds.clone();
        // Half of the edits break the first tool; what else is edited is additive, in the others.
        let broken = if additive > breaking {
            let Some(broken) = break_first(&mut rng, &mut news) else { continue };
            Some(broken)
        } else {
            None
        };
        let from = match broken {
            None => 0,
            Some(_) => news.len().min(1),
        };
        let mut names: Vec<&str> = broken.iter().map(|(name, _)| *name).collect();
        let more = if broken.is_some() { rng.usize(0..3) } else { rng.usize(1..5) };
        names.extend((0..more).filter_map(|_| edit_additively(&mut rng, &mut news, from)));
        if names.is_empty() {
            continue;
        }
        let what = format!("edit {} of seed {seed}: {}", additive + breaking, names.join(", "));
        let found = changes(&contracts(&olds), &contracts(&news));
        let refused = found.iter().any(|change| change.breaking);
        if let Some((_, shown)) = broken {
            assert_breaking(&mut rng, &olds[0], &news, &what, shown);
            assert!(refused, "{what}: passes");
            assert!(found.iter().filter(|change| change.breaking).all(|change| change.tool == olds[0].name), "{what}");
            breaking += 1;
        } else {
            assert_additive(&mut rng, &olds, &news, &what);
            assert!(!refused, "{what}: is refused: {:?}", found.iter().map(Change::sentence).collect::<Vec<_>>());
            additive += 1;
        }
        for name in names {
            *kinds.entry(name).or_default() += 1;
        }
    }
    println!(
        "{EDITS} edits of {} kinds, seed {seed}: {breaking} breaking, 0 passed; {additive} additive, 0 refused",
        kinds.len()
    );
    assert!(kinds.len() > 25, "{kinds:?}");
}

/// The same for edits of a definition file: what a lookup is changed to.
#[test]
fn an_edit_of_a_lookup_breaks_when_its_tool_does() {
    let argument =
        |title: &str| Argument { title: title.to_owned(), description: title.to_owned(), ..Argument::default() };
    let of = |value_type| Return { value_type, ..Return::default() };
    let base = Lookup {
        name: "get_warranty".to_owned(),
        table: "warranties".to_owned(),
        key: [("serial".to_owned(), argument("Serial"))].into(),
        returns: [
            ("product".to_owned(), Return { required: true, ..Return::default() }),
            ("price".to_owned(), of(ValueType::Number)),
        ]
        .into(),
        ..Lookup::default()
    };
    type Edit = fn(&mut Lookup);
    let edits: [(&str, bool, Edit); 12] = [
        ("another table", false, |lookup| lookup.table = "others".to_owned()),
        ("a mask", false, |lookup| lookup.mask.push("product".to_owned())),
        ("another text", false, |lookup| lookup.title = Some("Warranty".to_owned())),
        ("a new output", false, |lookup| drop(lookup.returns.insert("until".to_owned(), Return::default()))),
        ("a default makes it always there", false, |lookup| lookup.returns["price"].default = Some(json!(0))),
        ("a number is an integer", false, |lookup| lookup.returns["price"].value_type = ValueType::Integer),
        ("the attribute alone is renamed", false, |lookup| {
            drop(lookup.rename.insert("Product".to_owned(), "product".to_owned()));
        }),
        ("an output is gone", true, |lookup| drop(lookup.returns.shift_remove("price"))),
        ("an output may be missing", true, |lookup| lookup.returns["product"].required = false),
        ("the input has another name", true, |lookup| {
            drop(lookup.rename.insert("serial".to_owned(), "number".to_owned()));
        }),
        ("the input has a pattern", true, |lookup| lookup.key["serial"].pattern = Some("^A$".to_owned())),
        ("another input that must be given", true, |lookup| {
            let sort = Sort { condition: Condition::Equals, required: true, ..Sort::default() };
            drop(lookup.sort.insert("part".to_owned(), sort));
        }),
    ];
    for (what, breaking, edit) in edits {
        let mut edited = base.clone();
        edit(&mut edited);
        let contract = |lookup: &Lookup| Contract::of(&lookup.tool().unwrap());
        let found = changes(&[contract(&base)], &[contract(&edited)]);
        assert_eq!(found.iter().any(|change| change.breaking), breaking, "{what}: {found:?}");
    }
}
