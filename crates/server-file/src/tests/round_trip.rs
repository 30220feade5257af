//! What is printed is read as the same servers.

use access_token::Scope;
use catalogue::lookup::{Argument, Condition, Order, Return, Sort, ValueType};
use catalogue::{Lookup, SalesforceTool};
use indexmap::IndexMap;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use registry::guard::{Access, Guard};
use registry::server::{Limits, LogLevel, Period, Rate, Server, ServerName, Timeout, ToolDefinition};
use registry::{ConnectionName, UpstreamTools};
use serde_json::Value;

use super::schema_accepts;
use crate::{Document, to_json};

/// Attributes of a table, each with another first letter: names made of them never clash.
const KEYS: &[&str] = &["order_id", "Customer No", "1st", "ärger", "key.with.dots"];
const PROPERTIES: &[&str] = &["status", "Total", "valid_until", "x1", "product", "yes", "null", "true", "no"];

/// A text in one line: anything that is no control character, often what YAML would take for something else.
fn line() -> impl Strategy<Value = String> {
    let traps = select(
        &[
            "yes", "null", "1", "0x1F", "- a", "a: b", "# c", "*a", "&a", "!a", "{", "]", "%", "@", "`", "\\", "\"",
            "'", "...", "---", "<<", "?",
        ][..],
    );
    let any = "[^\\p{Cc}\\u{2028}\\u{2029}\\u{feff}{}]{1,40}";
    prop_oneof![traps.prop_map(str::to_owned), any].prop_filter("blank", |text| !text.trim().is_empty())
}

fn argument(types: &'static [ValueType]) -> impl Strategy<Value = Argument> {
    let form = prop_oneof![
        Just((None, Vec::new())),
        Just((Some("^[A-Z0-9'\"\\\\ ]{8,16}$".to_owned()), Vec::new())),
        prop::collection::btree_set(line(), 1..4).prop_map(|words| (None, words.into_iter().collect::<Vec<_>>())),
    ];
    (line(), line(), select(types), form).prop_map(|(title, description, value_type, (pattern, one_of))| {
        let text = value_type == ValueType::String;
        let (pattern, one_of) = if text { (pattern, one_of) } else { (None, Vec::new()) };
        Argument { title, description, value_type, pattern, one_of }
    })
}

fn returned() -> impl Strategy<Value = Return> {
    use ValueType::{Boolean, Integer, Number, String};
    let typed = prop_oneof![
        option::of(line()).prop_map(|text| (String, text.map(Value::from))),
        option::of(any::<i64>()).prop_map(|number| (Integer, number.map(Value::from))),
        option::of(any::<f64>().prop_filter("finite", |number| number.is_finite()))
            .prop_map(|number| (Number, number.map(Value::from))),
        option::of(any::<bool>()).prop_map(|value| (Boolean, value.map(Value::from))),
    ];
    (typed, option::of(line()), vec((line(), line()), 0..3), any::<bool>()).prop_map(
        |((value_type, default), description, words, required)| {
            let words = if value_type == String { words.into_iter().collect() } else { IndexMap::new() };
            Return { value_type, description, words, default, required }
        },
    )
}

fn lookup() -> impl Strategy<Value = Lookup> {
    const OF_KEYS: &[ValueType] = &[ValueType::String, ValueType::Integer, ValueType::Number];
    const ALL: &[ValueType] = &[ValueType::String, ValueType::Integer, ValueType::Number, ValueType::Boolean];
    const CONDITIONS: &[Condition] = &[Condition::Equals, Condition::AtLeast, Condition::AtMost, Condition::Between];
    let head = (
        "[a-z0-9_]{1,64}",
        option::of(line()),
        option::of(line()),
        "[A-Za-z0-9_.-]{3,40}",
        option::of("[A-Za-z0-9_.-]{3,40}"),
    );
    let sort = (argument(OF_KEYS), select(CONDITIONS), any::<bool>())
        .prop_map(|(argument, condition, required)| Sort { argument, condition, required });
    let asked = (vec(argument(OF_KEYS), 1..3), option::of(sort), option::of(argument(ALL)), any::<Index>());
    let list = (
        option::of(1..=100_usize),
        option::of(Just("items".to_owned())),
        select(&[Order::NewestFirst, Order::OldestFirst][..]),
    );
    let answered = (vec(returned(), 1..PROPERTIES.len()), any::<bool>(), any::<bool>(), option::of(line()));
    (head, asked, list, answered).prop_map(|(head, asked, list, (returns, rename, mask, not_found))| {
        let (name, title, description, table, index) = head;
        let (key, sort, filter, first) = asked;
        let (page, rows, order) = list;
        let key = if sort.is_some() { key[..1].to_vec() } else { key };
        let mut attributes = KEYS.iter().cycle().skip(first.index(KEYS.len())).map(|name| (*name).to_owned());
        let mut named = |count: usize| attributes.by_ref().take(count).collect::<Vec<_>>();
        let names = [named(key.len()), named(sort.iter().len()), named(filter.iter().len())];
        let renamed =
            names.iter().flatten().enumerate().map(|(index, name)| (name.clone(), format!("argument_{index}")));
        let mut rename: IndexMap<String, String> =
            renamed.chain(rename.then(|| ("St".to_owned(), "status".to_owned()))).collect();
        if page.is_none() && filter.is_some() {
            let unused = &names[2][0];
            rename.shift_remove(unused);
        }
        let [key_names, sort_names, filter_names] = names;
        let mask = mask && returns[0].value_type == ValueType::String;
        let query = page.is_some() || index.is_some() || sort.is_some();
        Lookup {
            name,
            title,
            description,
            table,
            index,
            key: key_names.into_iter().zip(key).collect(),
            sort: sort_names.into_iter().zip(sort).collect(),
            filter: filter_names.into_iter().zip(filter).filter(|_| page.is_some()).collect(),
            order: if query { order } else { Order::default() },
            page,
            rows: rows.filter(|_| page.is_some()),
            returns: PROPERTIES.iter().map(|name| (*name).to_owned()).zip(returns).collect(),
            rename,
            mask: if mask { vec!["status".to_owned(), "owner's".to_owned()] } else { Vec::new() },
            not_found: not_found.filter(|_| page.is_none()).map(|text| format!("{text} {{argument_0}}")),
            position: vec!["order_id".to_owned()],
        }
    })
}

fn rate() -> impl Strategy<Value = Rate> {
    (1..=Rate::MAX_COUNT, select(&[Period::Second, Period::Minute, Period::Hour][..]))
        .prop_map(|(count, period)| Rate { count, period })
}

/// Names that differ by more than case.
const API_NAMES: &[&str] = &["Account", "Contact", "Level__c", "E_1", "x"];

fn access() -> impl Strategy<Value = Access> {
    let names = || {
        let some = prop::sample::subsequence(API_NAMES, 0..=API_NAMES.len());
        option::of(some.prop_map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    };
    (names(), names()).prop_map(|(read, write)| Access { read, write })
}

fn guard() -> impl Strategy<Value = Guard> {
    let sizes = (1..=200_usize, 1_000..=1_000_000_usize, option::of(1..=1_000_000_000_u32), 0..=100_000_usize);
    let fields = vec((select(API_NAMES), access()), 0..3);
    (access(), fields, any::<bool>(), any::<bool>(), sizes).prop_map(|(objects, fields, deletes, dry_run, sizes)| {
        let (max_rows, max_bytes, writes_per_day, confirm_above) = sizes;
        let names = |names: &Option<Vec<String>>, name: &str| {
            names.as_ref().is_none_or(|names| names.iter().any(|other| other == name))
        };
        let fields = fields.into_iter().filter(|(name, _)| names(&objects.read, name) || names(&objects.write, name));
        let fields = fields.map(|(name, access)| (name.to_owned(), access)).collect();
        Guard { fields, objects, deletes, dry_run, max_rows, max_bytes, writes_per_day, confirm_above }
    })
}

fn upstreams() -> impl Strategy<Value = Vec<UpstreamTools>> {
    let tool = "[A-Za-z0-9_.-]{1,64}";
    let tools = option::of(prop::collection::btree_set(tool, 1..4));
    let scopes = vec((tool, select(&[Scope::Read, Scope::Write][..])), 0..3);
    let upstream = ("[a-z][a-z0-9-]{0,39}", tools, "[A-Za-z0-9_.-]{0,32}", any::<bool>(), scopes);
    vec(upstream, 0..3).prop_map(|upstreams| {
        let mut read: IndexMap<String, UpstreamTools> = IndexMap::new();
        for (name, tools, prefix, read_only, scopes) in upstreams {
            let tools: Option<Vec<String>> = tools.map(|tools| tools.into_iter().collect());
            let known = |tool: &String| tools.as_ref().is_none_or(|tools| tools.contains(tool));
            let scopes = scopes.into_iter().filter(|(tool, _)| known(tool)).collect();
            let Some(connection) = ConnectionName::parse(&name) else { continue };
            read.insert(name, UpstreamTools { name: connection, tools, prefix, read_only, scopes });
        }
        read.into_values().collect()
    })
}

fn server() -> impl Strategy<Value = Server> {
    let tools = (vec(lookup(), 0..4), any::<bool>()).prop_map(|(lookups, shipped)| {
        let mut tools: IndexMap<String, ToolDefinition> = IndexMap::new();
        if shipped || lookups.is_empty() {
            tools.insert("get_order_status".to_owned(), ToolDefinition::Shipped("get_order_status".to_owned()));
        }
        for lookup in lookups {
            tools.insert(lookup.name.clone(), ToolDefinition::Lookup(Box::new(lookup)));
        }
        tools.into_values().collect::<Vec<_>>()
    });
    let limits = (
        option::of(rate()),
        option::of(any::<Index>()),
        vec((any::<Index>(), rate()), 0..3),
        option::of(rate()),
        option::of(1..=1_000_000_000_u32),
    );
    let texts = (
        "[a-z][a-z0-9-]{0,39}",
        line(),
        option::of(line()),
        option::of("[^\\p{Cc}\\p{Z}\\u{feff}][^\\p{Cc}]{0,20}\n\n [^\\p{Cc}]{0,20}"),
    );
    let levels = select(&[LogLevel::Off, LogLevel::Calls, LogLevel::Arguments, LogLevel::Results][..]);
    let org = option::of(("[a-z][a-z0-9-]{0,39}", select(&SalesforceTool::ALL[..]), guard()));
    let upstreams = (upstreams(), any::<bool>());
    (texts, any::<bool>(), 1..=Timeout::MAX_SECONDS, tools, limits, levels, org, upstreams).prop_map(
        |(texts, production, timeout, mut tools, limits, log, org, (upstreams, alone))| {
            let (name, title, description, instructions) = texts;
            tools.retain(|tool| SalesforceTool::named(tool.name()).is_none());
            let (org, guard) = match org {
                Some((org, tool, guard)) => {
                    tools.push(ToolDefinition::Shipped(tool.name().to_owned()));
                    (Some(org), guard)
                }
                None => (None, Guard::default()),
            };
            let (per_client, burst, per_tool, per_server, per_day) = limits;
            let per_tool =
                per_tool.into_iter().map(|(tool, rate)| (tools[tool.index(tools.len())].name().to_owned(), rate));
            let per_tool = per_tool.collect();
            if alone && org.is_none() && !upstreams.is_empty() {
                tools.clear();
            }
            let burst = per_client
                .zip(burst)
                .map(|(rate, burst)| 1 + u32::try_from(burst.index(rate.count as usize * 10)).unwrap());
            Server {
                name: ServerName::parse(&name).unwrap(),
                title,
                description: description.unwrap_or_default(),
                instructions,
                production,
                timeout: Timeout::from_seconds(timeout).unwrap(),
                limits: Limits { per_client, burst, per_tool, per_server, per_day },
                tools,
                org,
                guard,
                upstreams,
                log,
            }
        },
    )
}

/// What is in no file.
fn without_position(mut server: Server) -> Server {
    for tool in &mut server.tools {
        if let ToolDefinition::Lookup(lookup) = tool {
            lookup.position.clear();
        }
    }
    server
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same_servers(servers in vec(server(), 1..3)) {
        let mut servers = servers;
        servers.dedup_by(|a, b| a.name == b.name);
        let printed = to_json(&servers);
        let servers: Vec<Server> = servers.into_iter().map(without_position).collect();
        for text in [printed.to_string(), serde_json::to_string_pretty(&printed).unwrap()] {
            let document = Document::parse(&text);
            let problems: Vec<String> =
                document.as_ref().err().into_iter().flatten().map(ToString::to_string).collect();
            prop_assert!(problems.is_empty(), "{}\n{}", problems.join("\n"), text);
            let document = document.unwrap();
            prop_assert_eq!(document.servers(), &servers[..]);
            // Order is kept: equality of maps would not say so.
            prop_assert_eq!(to_json(document.servers()).to_string(), printed.to_string());
        }
        prop_assert_eq!(schema_accepts(&printed.to_string()), Some(true), "{}", printed);
        let read: Vec<Server> = serde_json::from_value(printed["servers"].clone()).unwrap();
        prop_assert_eq!(read, servers);
    }
}
