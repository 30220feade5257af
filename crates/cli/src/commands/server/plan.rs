//! What applying a definition would do to a server: the changes in words, and whether agents would notice.

use catalogue::contract::{changes, row_changes};
use catalogue::lookup::Lookup;
use catalogue::shipped::shipped;
use catalogue::{Change, Contract, SalesforceTool};
use registry::{Accepted, Server, ServerRecord, ToolDefinition, upstream_tools};
use serde_json::{Map, Value, json};

use super::upstreams;
use crate::output::Failure;
use crate::place::Open;

/// What is to become of one server.
pub struct Plan {
    /// The server as it is to be.
    pub server: Server,
    /// Its URL.
    pub url: String,
    /// What it is now.
    pub earlier: Option<ServerRecord>,
    /// The names that its tools will have; one that this release does not know is missing.
    names: Vec<String>,
    /// The contracts that its tools will have, as they are kept.
    pub contracts: String,
    /// Changes of the server itself and of where tools read, none of which an agent can rely on.
    pub settings: Vec<Setting>,
    /// Changes of what clients see of the tools.
    pub tools: Vec<Change>,
}

/// A change of a setting, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the file: `timeout`, `get_warranty: table`.
    pub what: String,
    /// What it was; nothing if it was not set.
    pub from: Option<String>,
    /// What it will be; nothing if it is not set.
    pub to: Option<String>,
}

/// What becomes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Made,
    /// It is another one than before.
    Changed,
    /// It is as it was, and is not written.
    Unchanged,
}

impl Outcome {
    /// The outcome in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Made => "made",
            Outcome::Changed => "changed",
            Outcome::Unchanged => "unchanged",
        }
    }
}

impl Plan {
    /// What applying `server` would do now.
    ///
    /// # Errors
    /// The registry does not answer, or the server's record is damaged.
    pub async fn of(open: &Open, public_url: &str, server: Server) -> Result<Plan, Failure> {
        let earlier = open.registry.server_now(&server.name).await?;
        let published = open.registry.contracts(&server.name).await?;
        let before = earlier.as_ref().map(|record| &record.server);
        let accepted = upstreams::accepted(open, before.into_iter().chain([&server])).await?;
        Ok(Plan::new(server, earlier, published.as_deref(), &accepted, public_url))
    }

    /// `published` are the contracts of when the server was last applied.
    fn new(
        server: Server,
        earlier: Option<ServerRecord>,
        published: Option<&str>,
        accepted: &Accepted,
        public_url: &str,
    ) -> Plan {
        let (mut settings, mut tools) = (Vec::new(), Vec::new());
        let new = contracts(&server, accepted);
        if let Some(ServerRecord { server: before, .. }) = &earlier {
            let published = published.and_then(|json| serde_json::from_str(json).ok());
            tools = changes(&published.unwrap_or_else(|| contracts(before, accepted)), &new);
            tools.extend(both(before, &server).flat_map(|(old, new)| row_changes(&old, &new)));
            settings = settings_of(before, &server);
        }
        let url = server.name.url(public_url);
        let names = new.iter().map(|contract| contract.name.clone()).collect();
        Plan { url, names, contracts: json!(new).to_string(), settings, tools, earlier, server }
    }

    /// What becomes of the server.
    pub fn outcome(&self) -> Outcome {
        match &self.earlier {
            None => Outcome::Made,
            Some(record) if written(&record.server) == written(&self.server) && self.tools.is_empty() => {
                Outcome::Unchanged
            }
            Some(_) => Outcome::Changed,
        }
    }

    /// Whether people rely on the server, or will.
    pub fn concerns_production(&self) -> bool {
        self.server.production || self.earlier.as_ref().is_some_and(|record| record.server.production)
    }

    /// The changes that the contract guard refuses: those that break what agents know of a production server.
    pub fn refused(&self) -> Vec<&Change> {
        let guarded = self.earlier.as_ref().is_some_and(|record| record.server.production);
        self.tools.iter().filter(|change| guarded && change.breaking).collect()
    }

    /// The plan for programs.
    pub fn document(&self) -> Value {
        let settings = self.settings.iter().map(|setting| {
            let Setting { what, from, to } = setting;
            json!({ "setting": what, "from": from, "to": to })
        });
        let tools = self.tools.iter().map(|change| {
            let (tool, breaking) = (&change.tool, change.breaking);
            json!({ "tool": tool, "breaking": breaking, "what": change.sentence(), "resync": change.resync() })
        });
        json!({
            "name": self.server.name,
            "url": self.url,
            "production": self.server.production,
            "outcome": self.outcome().as_str(),
            "changes": settings.chain(tools).collect::<Vec<Value>>(),
        })
    }

    /// The plan for people: a line for the server, and one for each change.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:10} {}  {}", self.outcome().as_str(), self.server.name, self.url)];
        if self.outcome() == Outcome::Made {
            lines.push(format!("  tools: {}", self.names.join(", ")));
        }
        lines.extend(self.settings.iter().map(|setting| format!("  {}", setting.sentence())));
        lines.extend(self.tools.iter().map(|change| {
            let breaking = if change.breaking { " (breaking)" } else { "" };
            format!("  {}: {}{breaking}", change.tool, change.sentence())
        }));
        lines
    }
}

impl Setting {
    fn sentence(&self) -> String {
        let Setting { what, from, to } = self;
        match (from, to) {
            (Some(from), Some(to)) => format!("{what}: {from} → {to}"),
            (None, Some(to)) => format!("{what}: {to}, was not set"),
            (Some(from), None) => format!("{what}: not set, was {from}"),
            (None, None) => what.clone(),
        }
    }
}

/// What the admin does in Agentforce after these changes, each thing once.
pub fn resync<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for step in changes.into_iter().map(Change::resync) {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

/// The contracts of a server's tools, its own and those of its upstreams. A tool that this release does not know, and one
/// that is not accepted, has none.
pub fn contracts(server: &Server, accepted: &Accepted) -> Vec<Contract> {
    let tools = server.tools.iter().filter_map(|tool| match lookup(tool) {
        Some(lookup) => lookup.tool().ok(),
        None => Some(SalesforceTool::named(tool.name())?.tool()),
    });
    let (foreign, _) = upstream_tools(server, accepted);
    tools.chain(foreign.into_iter().map(|of| of.tool)).map(|tool| Contract::of(&tool)).collect()
}

/// The lookup that a tool is, shipped or not.
fn lookup(tool: &ToolDefinition) -> Option<Lookup> {
    match tool {
        ToolDefinition::Lookup(lookup) => Some((**lookup).clone()),
        ToolDefinition::Shipped(name) => shipped().into_iter().find(|lookup| lookup.name == *name),
    }
}

/// The lookups that both servers have, before and after.
fn both<'a>(old: &'a Server, new: &'a Server) -> impl Iterator<Item = (Lookup, Lookup)> + 'a {
    old.tools.iter().filter_map(|tool| {
        let after = new.tools.iter().find(|other| other.name() == tool.name())?;
        Some((lookup(tool)?, lookup(after)?))
    })
}

fn settings_of(old: &Server, new: &Server) -> Vec<Setting> {
    let mut settings = Vec::new();
    // Limits and guard one by one, tools by what they are.
    let (mut before, mut after) = (object(old), object(new));
    for server in [&mut before, &mut after] {
        for part in ["limits", "guard"] {
            if let Some(Value::Object(values)) = server.shift_remove(part) {
                server.extend(values.into_iter().map(|(name, value)| (format!("{part}.{name}"), value)));
            }
        }
        server.shift_remove("tools");
    }
    compare("", &before, &after, &mut settings);
    let names = |server: &Server| -> Vec<String> { server.tools.iter().map(|tool| tool.name().to_owned()).collect() };
    let kept = |all: &Server, other: &Server| -> Vec<String> {
        let others = names(other);
        names(all).into_iter().filter(|name| others.contains(name)).collect()
    };
    if kept(old, new) != kept(new, old) {
        let (from, to) = (names(old).join(", "), names(new).join(", "));
        settings.push(Setting { what: "order of the tools".to_owned(), from: Some(from), to: Some(to) });
    }
    for (before, after) in both(old, new) {
        compare(&format!("{}: ", after.name), &reads(&before), &reads(&after), &mut settings);
    }
    let same_tools = names(old) == names(new);
    if settings.is_empty() && same_tools && written(old) != written(new) {
        settings.push(Setting { what: "written differently, which changes nothing".to_owned(), from: None, to: None });
    }
    settings
}

/// How a lookup reads, apart from what its contract says.
fn reads(lookup: &Lookup) -> Map<String, Value> {
    let mut all = object(lookup);
    let attributes: Vec<&String> = lookup.key.keys().collect();
    let mut reads = Map::from_iter([("key".to_owned(), json!(attributes))]);
    for name in ["table", "index", "order", "page", "rows", "rename", "mask", "not_found"] {
        reads.extend(all.shift_remove(name).map(|value| (name.to_owned(), value)));
    }
    for (name, sort) in &lookup.sort {
        reads.insert(format!("sort.{name}"), json!(sort.condition));
    }
    for (name, returned) in &lookup.returns {
        reads.extend(returned.default.clone().map(|default| (format!("returns.{name}.default"), default)));
        if !returned.words.is_empty() {
            reads.insert(format!("returns.{name}.words"), json!(returned.words));
        }
    }
    reads
}

fn compare(prefix: &str, old: &Map<String, Value>, new: &Map<String, Value>, settings: &mut Vec<Setting>) {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    for name in names.filter(|name| old.get(*name) != new.get(*name)) {
        let (from, to) = (old.get(name).map(shown), new.get(name).map(shown));
        settings.push(Setting { what: format!("{prefix}{name}"), from, to });
    }
}

fn object(of: &impl serde::Serialize) -> Map<String, Value> {
    match json!(of) {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// As it is kept, in which order counts.
fn written(server: &Server) -> String {
    json!(server).to_string()
}

/// A value as the file may have it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(values) => {
            let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect();
            pairs.join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mcp.example.com";

    fn server(change: impl FnOnce(&mut Value)) -> Server {
        let mut definition = json!({
            "name": "warranty", "title": "Warranty", "production": true, "timeout": "20s",
            "tools": ["get_order_status", {
                "lookup": "get_warranty", "table": "warranties",
                "key": { "serial": { "title": "Serial", "description": "As printed" } },
                "returns": { "product": "string", "covered": "boolean" },
                "position": ["serial"],
            }],
            "limits": { "per_client": "50/min" },
            "log": "calls",
        });
        change(&mut definition);
        serde_json::from_value(definition).unwrap()
    }

    fn plan(old: Option<Server>, new: Server) -> Plan {
        let earlier = old.map(|server| ServerRecord { server, version: 3, changed_at: 0 });
        Plan::new(new, earlier, None, &Accepted::new(), URL)
    }

    #[test]
    fn a_server_is_made_changed_or_left() {
        let same = plan(Some(server(|_| {})), server(|_| {}));
        assert_eq!((same.outcome(), same.lines().len()), (Outcome::Unchanged, 1));
        let new = plan(None, server(|_| {}));
        assert_eq!(
            new.lines(),
            ["made       warranty  https://mcp.example.com/mcp/warranty", "  tools: get_order_status, get_warranty"]
        );
        assert!(new.refused().is_empty() && new.concerns_production());
    }

    #[test]
    fn what_changes_is_said_in_words() {
        let new = server(|new| {
            new["timeout"] = json!("10s");
            new["limits"] = json!({ "per_client": "60/min", "per_day": 500 });
            new["instructions"] = json!("Be brief.");
            new["tools"][1]["table"] = json!("guarantees");
            new["tools"][1]["mask"] = json!(["product"]);
            new["tools"][1]["returns"] = json!({ "product": "string" });
            new["tools"][1]["key"]["serial"]["title"] = json!("Serial number");
        });
        let changed = plan(Some(server(|_| {})), new);
        assert_eq!(
            changed.lines()[1..],
            [
                "  timeout: 20s → 10s",
                "  limits.per_client: 50/min → 60/min",
                "  instructions: Be brief., was not set",
                "  limits.per_day: 500, was not set",
                "  get_warranty: table: warranties → guarantees",
                "  get_warranty: mask: product, was not set",
                "  get_warranty: the title of the input serial reads differently",
                "  get_warranty: the output covered is gone (breaking)",
                "  get_warranty: the description reads differently",
            ]
        );
        assert_eq!(changed.refused().len(), 1);
        assert_eq!(resync(&changed.tools).len(), 1, "each step once");
    }

    #[test]
    fn salesforce_tools_have_contracts_and_their_guard_is_a_setting() {
        let salesforce = |tools: &[&str], guard: Value| {
            server(|new| {
                new["tools"] = json!(tools);
                new["org"] = json!("sales");
                new["guard"] = guard;
            })
        };
        let old = salesforce(&["executeQuery", "getRecord"], json!({ "objects": { "read": ["Contact"] } }));
        let new = salesforce(&["executeQuery"], json!({ "objects": { "read": ["Account"] }, "max_rows": 50 }));
        assert_eq!(contracts(&old, &Accepted::new()).len(), 2);
        let changed = plan(Some(old), new);
        assert_eq!(
            changed.lines()[1..],
            [
                "  guard.objects: read: Contact → read: Account",
                "  guard.max_rows: 50, was not set",
                "  getRecord: the tool is gone (breaking)",
            ]
        );
        assert_eq!(changed.refused().len(), 1);
    }

    #[test]
    fn only_what_was_in_production_is_guarded() {
        let without_tool = |production: bool| {
            server(|new| {
                new["production"] = json!(production);
                new["tools"] = json!(["get_order_status"]);
            })
        };
        let old = |production: bool| server(|old| old["production"] = json!(production));
        assert_eq!(plan(Some(old(true)), without_tool(true)).refused().len(), 1);
        let leaves = plan(Some(old(true)), without_tool(false));
        assert_eq!((leaves.refused().len(), leaves.concerns_production()), (1, true), "agents still rely on it");
        assert!(plan(Some(old(false)), without_tool(true)).refused().is_empty());
        assert!(!plan(Some(old(false)), without_tool(false)).concerns_production());
    }

    #[test]
    fn the_contracts_of_before_count_more_than_the_tools_of_this_release() {
        let same = server(|_| {});
        let mut published = contracts(&same, &Accepted::new());
        published[0].description = "As an earlier release had it.".to_owned();
        let record = ServerRecord { server: same.clone(), version: 1, changed_at: 0 };
        let upgraded = Plan::new(same, Some(record), Some(&json!(published).to_string()), &Accepted::new(), URL);
        assert_eq!(upgraded.outcome(), Outcome::Changed);
        assert_eq!(upgraded.lines()[1..], ["  get_order_status: the description reads differently"]);
    }

    #[test]
    fn another_order_is_a_change() {
        let reversed = server(|new| new["tools"].as_array_mut().unwrap().reverse());
        let changed = plan(Some(server(|_| {})), reversed);
        assert_eq!(changed.outcome(), Outcome::Changed);
        let order = "  order of the tools: get_order_status, get_warranty → get_warranty, get_order_status";
        assert_eq!(changed.lines()[1..], [order]);
    }
}
