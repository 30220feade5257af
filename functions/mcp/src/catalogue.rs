//! The tools that can be served: what a client sees of each, and where its answer comes from. Nothing here knows the
//! protocol it is served by.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ::upstream::CallOutcome;
use catalogue::shipped::shipped;
use catalogue::{Contract, Lookup, SalesforceTool, Tool};
use futures_util::future::BoxFuture;
use registry::{Guard, LogLevel, Server, Timeout};
use request_log::Timings;
use salesforce::LimitInfo;
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::bearer::Principal;
use crate::lookup::Reader;
use crate::salesforce::orgs::Orgs;
use crate::tables::Tables;
use crate::upstream;

/// What a tool answers: a flat object, a missing value is a missing property.
pub type Answer = Map<String, Value>;

/// What came of a call.
#[derive(Debug)]
pub enum Reply {
    /// The answer of a tool of ours.
    Ours(Answer),
    /// What an upstream answered, cleaned; it may say that the call failed.
    Upstream(CallOutcome),
}

/// One call: who asks, and what a tool may use to answer.
pub struct Call {
    /// The caller.
    pub principal: Arc<Principal>,
    /// What its server is like.
    pub conduct: Arc<Conduct>,
    /// The business tables.
    pub tables: Arc<Tables>,
    /// The Salesforce orgs.
    pub orgs: Arc<Orgs>,
    /// Where time goes.
    pub timings: Arc<Timings>,
    /// When the request arrived.
    pub now: SystemTime,
    /// The same, to measure from.
    pub started: Instant,
    /// When the call has to have an answer.
    pub deadline: Instant,
    /// How old the server's definition was.
    pub definition_age: Duration,
    waiting_for: Mutex<Option<String>>,
    outcome: OnceLock<&'static str>,
    told: OnceLock<Told>,
    api_usage: Mutex<Option<LimitInfo>>,
}

/// When a call came, and until when it has to have an answer.
pub struct Arrival {
    /// When the request arrived.
    pub now: SystemTime,
    /// The same, to measure from.
    pub started: Instant,
    /// When the call has to have an answer.
    pub deadline: Instant,
    /// How old the server's definition was.
    pub definition_age: Duration,
}

/// What the log is told of a call beyond its outcome, masked.
#[derive(Debug)]
pub struct Told {
    /// Its arguments.
    pub arguments: Value,
    /// Its answer.
    pub results: Option<Value>,
}

impl Call {
    /// A call that has just arrived.
    pub fn new(
        principal: Arc<Principal>,
        conduct: Arc<Conduct>,
        tables: Arc<Tables>,
        orgs: Arc<Orgs>,
        timings: Arc<Timings>,
        arrival: Arrival,
    ) -> Call {
        let Arrival { now, started, deadline, definition_age } = arrival;
        Call {
            principal,
            conduct,
            tables,
            orgs,
            timings,
            now,
            started,
            deadline,
            definition_age,
            waiting_for: Mutex::default(),
            outcome: OnceLock::new(),
            told: OnceLock::new(),
            api_usage: Mutex::default(),
        }
    }

    /// Notes how many API requests the org has counted in the last 24 hours; the last note stays.
    pub fn note_api_usage(&self, usage: LimitInfo) {
        *self.api_usage.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
    }

    /// How many API requests the org has counted.
    pub fn api_usage(&self) -> Option<LimitInfo> {
        *self.api_usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how the call ended, for its log line; the first note stays.
    pub fn set_outcome(&self, code: &'static str) {
        let _ = self.outcome.set(code);
    }

    /// How the call ended, unless it went well.
    pub fn outcome(&self) -> Option<&'static str> {
        self.outcome.get().copied()
    }

    /// Notes what the log is told; the first note stays.
    pub fn tell(&self, told: Told) {
        let _ = self.told.set(told);
    }

    /// What the log is told.
    pub fn told(&self) -> Option<&Told> {
        self.told.get()
    }

    /// Awaits `work` of a source, which counts as time spent on tables. `source` is what a caller is told when the
    /// time is up: `table warranties`.
    pub async fn wait_for<T>(&self, source: impl FnOnce() -> String, work: impl Future<Output = T>) -> T {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(source());
        let done = self.timings.table(work).await;
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).take();
        done
    }

    /// What is being waited for.
    pub fn waiting_for(&self) -> Option<String> {
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a tool has no answer: told to the model, which acts on the sentence (MCP, Tools, "Error handling").
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Stable code (`docs/errors.md`).
    pub code: &'static str,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl Trouble {
    /// Trouble with a code and a sentence.
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Trouble {
        Trouble { code, sentence: sentence.into() }
    }

    /// The tool panicked.
    pub fn panicked() -> Trouble {
        Trouble::new("tool_panicked", "The tool failed unexpectedly. Nothing more is known; do not repeat the call.")
    }

    /// The tool did not answer in time; `waiting_for` is what it waited for, if it waited.
    pub fn deadline(waiting_for: Option<&str>) -> Trouble {
        let slow = waiting_for.unwrap_or("tool");
        Trouble::new("deadline_exceeded", format!("The {slow} did not answer in time. Try again in a minute."))
    }
}

/// A tool of this program's own code.
pub type BuiltIn = fn(Arguments, Arc<Call>) -> BoxFuture<'static, Result<Answer, Trouble>>;

/// Where a tool's answer comes from.
#[derive(Clone)]
pub enum Source {
    /// A table, by a definition.
    Lookup(Arc<Reader>),
    /// A Salesforce org.
    Salesforce(SalesforceTool),
    /// An MCP server of somebody else.
    Upstream(upstream::Source),
    /// A function of this program.
    BuiltIn(BuiltIn),
}

/// A tool with its source.
#[derive(Clone)]
pub struct ServedTool {
    /// What clients see.
    pub tool: Tool,
    /// Where its answer comes from.
    pub source: Source,
    contract: OnceLock<String>,
}

impl ServedTool {
    /// A tool that a function of this program answers.
    pub fn built_in(tool: Tool, run: BuiltIn) -> ServedTool {
        ServedTool { tool, source: Source::BuiltIn(run), contract: OnceLock::new() }
    }

    /// A tool that is made of a table.
    ///
    /// # Errors
    /// When a pattern is no regular expression.
    pub fn lookup(lookup: &Lookup) -> Result<ServedTool, regex_lite::Error> {
        let source = Source::Lookup(Arc::new(Reader::new(lookup.clone())));
        Ok(ServedTool { tool: lookup.tool()?, source, contract: OnceLock::new() })
    }

    /// A tool over Salesforce.
    pub fn salesforce(salesforce: SalesforceTool) -> ServedTool {
        let source = Source::Salesforce(salesforce);
        ServedTool { tool: salesforce.tool(), source, contract: OnceLock::new() }
    }

    /// A tool of an upstream, as a server has it.
    pub fn upstream(tool: Tool, source: upstream::Source) -> ServedTool {
        ServedTool { tool, source: Source::Upstream(source), contract: OnceLock::new() }
    }

    /// Checks the arguments and runs the tool.
    pub async fn run(&self, arguments: Map<String, Value>, call: Arc<Call>) -> Result<Reply, Trouble> {
        let checked = |arguments| Arguments::check(arguments, &self.tool.inputs);
        let answer = match &self.source {
            Source::Lookup(reader) => reader.read(&checked(arguments)?, &call).await,
            Source::Salesforce(tool) => Box::pin(crate::salesforce::run(*tool, &checked(arguments)?, &call)).await,
            Source::BuiltIn(run) => run(checked(arguments)?, call).await,
            Source::Upstream(source) => return Box::pin(source.call(arguments, &call)).await.map(Reply::Upstream),
        };
        answer.map(Reply::Ours)
    }

    /// Whether it is left out of `tools/list`: its upstream has changed it since it was accepted.
    pub fn is_withheld(&self) -> bool {
        matches!(&self.source, Source::Upstream(source) if source.is_withheld())
    }

    /// The hash of its contract.
    pub fn contract(&self) -> &str {
        self.contract.get_or_init(|| Contract::of(&self.tool).hash())
    }

    /// What its answer is made of, in words.
    pub fn source_name(&self) -> String {
        match &self.source {
            Source::Lookup(reader) => reader.source_name(),
            Source::Salesforce(_) => "Salesforce".to_owned(),
            Source::Upstream(source) => source.name(),
            Source::BuiltIn(_) => "this program".to_owned(),
        }
    }
}

/// Every tool that a server definition can name.
#[derive(Clone)]
pub struct Catalogue {
    tools: Vec<ServedTool>,
}

impl Catalogue {
    /// A catalogue of these tools.
    pub fn new(tools: Vec<ServedTool>) -> Catalogue {
        Catalogue { tools }
    }

    /// The catalogue of this release.
    pub fn shipped() -> Catalogue {
        let tools =
            shipped().into_iter().map(|lookup| ServedTool::lookup(&lookup).expect("patterns that ship are patterns"));
        Catalogue::new(tools.collect())
    }

    /// The tool of a name.
    pub fn tool(&self, name: &str) -> Option<&ServedTool> {
        self.tools.iter().find(|served| served.tool.name == name)
    }

    /// Every tool.
    pub fn tools(&self) -> &[ServedTool] {
        &self.tools
    }
}

/// What a call of a tool is told about its server.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// Name of the server.
    pub server: String,
    /// No diagnostics in answers.
    pub production: bool,
    /// How long a call may take.
    pub timeout: Timeout,
    /// What the log is told.
    pub log: LogLevel,
    /// The Salesforce org of its tools.
    pub org: Option<String>,
    /// What its Salesforce tools may touch.
    pub guard: Guard,
}

impl Conduct {
    /// That of a server.
    pub fn of(server: &Server) -> Conduct {
        Conduct {
            server: server.name.to_string(),
            production: server.production,
            timeout: server.timeout,
            log: server.log,
            org: server.org.clone(),
            guard: server.guard.clone(),
        }
    }
}
