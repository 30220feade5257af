//! The client side of MCP, as far as tools go: one revision without a handshake, 2026-07-28, and four with one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use outbound::Fetcher;
use registry::{ConnectionName, PinnedTool};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::conversation::{Conversation, Memories, Memory};
use crate::error::UpstreamError;
use crate::exchange::{Call, Failure, Line};
use crate::text::clean_result;

/// Most pages of a list of tools, and most tools on them together.
const MAX_PAGES: usize = 20;
const MAX_TOOLS: usize = 1000;

/// Where a request goes, and with which token.
#[derive(Clone, Copy)]
pub struct Endpoint<'a> {
    /// The upstream's name here; what was learned of it is remembered under it.
    pub name: &'a ConnectionName,
    /// Its MCP endpoint.
    pub url: &'a str,
    /// Our access token, if it wants one.
    pub bearer: Option<&'a SecretString>,
}

/// A tool as the upstream sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedTool(pub Map<String, Value>);

impl ListedTool {
    /// Its name, if it has one. It is the upstream's text, not checked.
    pub fn unverified_name(&self) -> Option<&str> {
        self.0.get("name")?.as_str()
    }
}

/// What a call gave. Texts are cleaned and cut.
#[derive(Clone, Debug, PartialEq)]
pub struct CallOutcome {
    /// Content blocks in the shape of MCP: text, and links to resources; others are named in a text.
    pub content: Vec<Value>,
    /// Structured content, if there is some.
    pub structured: Option<Map<String, Value>>,
    /// The upstream says that the call failed.
    pub is_error: bool,
}

/// What one attempt to speak with an upstream gave, for whoever looks for the cause of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It lists its tools.
    Answers {
        /// The revision of MCP that was agreed on.
        revision: &'static str,
        /// How many tools its first page has.
        tools: usize,
    },
    /// It answered with a status that is a refusal.
    Refused {
        /// What it comes to.
        error: UpstreamError,
        /// What it said.
        refusal: Refusal,
    },
    /// It gave no answer, or one that is not MCP.
    Failed(UpstreamError),
}

/// What an upstream says when it refuses: text of somebody else, cleaned and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// `WWW-Authenticate`, if there is one; several are joined by a comma.
    pub www_authenticate: Option<String>,
    /// The beginning of the body.
    pub body: String,
}

/// Speaks MCP with upstreams. Clones share what they learned: revisions, sessions, and who is left alone after failing
/// five times in a row.
#[derive(Clone)]
pub struct McpClient {
    fetcher: Fetcher,
    memories: Arc<Memories>,
    ids: Arc<AtomicU64>,
}

impl McpClient {
    /// A client that asks through `fetcher`.
    pub fn new(fetcher: Fetcher) -> McpClient {
        McpClient { fetcher, memories: Arc::default(), ids: Arc::new(AtomicU64::new(1)) }
    }

    /// Every tool that the upstream lists. It ends at `deadline`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn list_tools(
        &self,
        endpoint: Endpoint<'_>,
        deadline: Instant,
    ) -> Result<Vec<ListedTool>, UpstreamError> {
        let memory = self.memories.of(endpoint.name.as_str(), endpoint.url);
        let conversation = Conversation { line: self.line(endpoint, deadline)?, memory: &memory };
        Box::pin(memory.guarded(list(&conversation))).await
    }

    /// Calls a tool, once. It ends at `deadline`.
    ///
    /// # Errors
    /// [`UpstreamError`]. Nothing was done if it says that nothing was sent, or that the token was refused.
    pub async fn call_tool(
        &self,
        endpoint: Endpoint<'_>,
        tool: &PinnedTool,
        arguments: &Map<String, Value>,
        deadline: Instant,
    ) -> Result<CallOutcome, UpstreamError> {
        let memory = self.memories.of(endpoint.name.as_str(), endpoint.url);
        let conversation = Conversation { line: self.line(endpoint, deadline)?, memory: &memory };
        Box::pin(memory.guarded(call(&conversation, tool, arguments))).await
    }

    /// Asks an upstream for the first page of its tools, as if nothing were known of it, and even if it is left alone.
    /// It ends at `deadline`.
    pub async fn probe(&self, endpoint: Endpoint<'_>, deadline: Instant) -> Probe {
        let line = match self.line(endpoint, deadline) {
            Ok(line) => line,
            Err(error) => return Probe::Failed(error),
        };
        let conversation = Conversation { line, memory: &Memory::default() };
        match Box::pin(first_page(&conversation)).await {
            Ok((revision, tools)) => Probe::Answers { revision, tools },
            Err(Failure { error, refusal: Some(refusal), .. }) => Probe::Refused { error, refusal },
            Err(Failure { error, .. }) => Probe::Failed(error),
        }
    }

    fn line<'a>(&'a self, endpoint: Endpoint<'a>, deadline: Instant) -> Result<Line<'a>, UpstreamError> {
        let target = self.fetcher.check(endpoint.url).map_err(|_| UpstreamError::Url)?;
        Ok(Line { fetcher: &self.fetcher, target, bearer: endpoint.bearer, deadline, ids: &self.ids })
    }
}

async fn list(conversation: &Conversation<'_>) -> Result<Vec<ListedTool>, Failure> {
    let (mut tools, mut names, mut cursors) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = page(conversation, cursor).await?;
        for tool in page.tools.into_iter().map(ListedTool) {
            if tool.unverified_name().is_some_and(|name| !names.insert(name.to_owned())) {
                return Err(UpstreamError::Protocol("it lists two tools of one name").into());
            }
            tools.push(tool);
        }
        if tools.len() > MAX_TOOLS {
            return Err(UpstreamError::Protocol("it lists more than 1,000 tools").into());
        }
        let Some(next) = page.next_cursor else { return Ok(tools) };
        if !cursors.insert(next.clone()) {
            return Err(UpstreamError::Protocol("its list of tools comes back to a page that it has left").into());
        }
        cursor = Some(next);
    }
    Err(UpstreamError::Protocol("its list of tools has more than 20 pages").into())
}

async fn first_page(conversation: &Conversation<'_>) -> Result<(&'static str, usize), Failure> {
    let page = page(conversation, None).await?;
    Ok((conversation.revision().await?, page.tools.len()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    tools: Vec<Map<String, Value>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

async fn page(conversation: &Conversation<'_>, cursor: Option<String>) -> Result<Page, Failure> {
    let params = cursor.map(|cursor| ("cursor".to_owned(), Value::from(cursor))).into_iter().collect();
    let result = conversation.request(&Call { method: "tools/list", params, tool: None }).await?;
    let unreadable = |_| UpstreamError::Protocol("its answer to tools/list is no list of tools");
    Ok(serde_json::from_str(result.get()).map_err(unreadable)?)
}

async fn call(
    conversation: &Conversation<'_>,
    tool: &PinnedTool,
    arguments: &Map<String, Value>,
) -> Result<CallOutcome, Failure> {
    let params = Map::from_iter([
        ("name".to_owned(), Value::from(tool.name.as_str())),
        ("arguments".to_owned(), Value::from(arguments.clone())),
    ]);
    let call = Call { method: "tools/call", params, tool: Some((&tool.name, &tool.input_schema)) };
    Ok(outcome(&conversation.request(&call).await?)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    #[serde(default)]
    content: Option<Vec<Value>>,
    #[serde(default)]
    structured_content: Option<Value>,
    #[serde(default)]
    is_error: Option<bool>,
    #[serde(default)]
    result_type: Option<String>,
}

fn outcome(result: &RawValue) -> Result<CallOutcome, UpstreamError> {
    let result: CallResult = serde_json::from_str(result.get())
        .map_err(|_| UpstreamError::Protocol("its answer to tools/call is no result of a tool"))?;
    match result.result_type.as_deref() {
        None | Some("complete") => {}
        Some("input_required") => {
            return Err(UpstreamError::Protocol("it wants input from a person, and there is none"));
        }
        Some(_) => return Err(UpstreamError::Protocol("its result is of a kind that was not asked for")),
    }
    if result.content.is_none() && result.structured_content.is_none() {
        return Err(UpstreamError::Protocol("its answer to tools/call has no content"));
    }
    // Content that is no object (2026-07-28) has its text beside it.
    let structured = match result.structured_content {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    };
    clean_result(result.content.unwrap_or_default(), structured, result.is_error.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CallOutcome, UpstreamError> {
        outcome(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_result_without_a_type_is_complete() {
        let result = read(r#"{"content":[{"type":"text","text":"a"}],"isError":true}"#).unwrap();
        assert!(result.is_error && result.structured.is_none() && result.content.len() == 1);
        assert_eq!(read(r#"{"resultType":"complete","structuredContent":[1],"content":[]}"#).unwrap().structured, None);
    }

    #[test]
    fn what_is_no_result_of_a_tool_is_refused() {
        for text in [
            r#"{"resultType":"input_required","inputRequests":{}}"#,
            r#"{"resultType":"task","content":[]}"#,
            r#"{"content":{}}"#,
            r#"{"content":[],"content":[]}"#,
            r#"{"content":[],"isError":"no"}"#,
            "{}",
            "[]",
        ] {
            assert!(matches!(read(text), Err(UpstreamError::Protocol(_))), "{text}");
        }
    }
}
