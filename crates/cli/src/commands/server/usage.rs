//! `northstar server usage`: who called which tool, with which definition of it, and when last.

use std::collections::HashMap;

use registry::{ServerRecord, ToolUse, ToolUses};
use serde_json::json;

use super::plan::contracts;
use super::show::named_or_all;
use super::upstreams;
use crate::output::{self, Failure};
use crate::place::Open;
use crate::values;

/// A use, and what may follow from it.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    used: ToolUse,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The definition that the tool has.
    Current,
    /// An older one; the client has called with the current one since.
    Earlier,
    /// An older one, and no call since.
    Outdated,
    /// The server has no such tool any more.
    Gone,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Standing::Current => "current",
            Standing::Earlier => "earlier",
            Standing::Outdated => "outdated",
            Standing::Gone => "gone",
        }
    }

    fn for_people(self) -> &'static str {
        match self {
            Standing::Current => "current",
            Standing::Earlier => "older, called with the current one since",
            Standing::Outdated => "called with an older definition: re-sync",
            Standing::Gone => "the tool is gone: re-sync",
        }
    }
}

/// Prints the uses of a server's tools, or of all servers' tools.
///
/// # Errors
/// There is no such server, or a table does not answer.
pub async fn run(open: &Open, json: bool, name: Option<&str>) -> Result<(), Failure> {
    let uses = ToolUses::new(open.dynamodb.clone(), &open.names.state_table);
    let clients = open.registry.clients().await?;
    let names: HashMap<&str, &str> =
        clients.iter().map(|client| (client.client_id.as_str(), client.name.as_str())).collect();
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for ServerRecord { server, .. } in named_or_all(open, name).await? {
        let accepted = upstreams::accepted(open, [&server]).await?;
        let current: HashMap<String, String> =
            contracts(&server, &accepted).iter().map(|contract| (contract.name.clone(), contract.hash())).collect();
        for Judged { used, standing } in judge(uses.list(&server.name).await?, &current) {
            let client = names.get(used.client.as_str()).copied();
            rows.push(vec![
                server.name.to_string(),
                used.tool.clone(),
                client.map_or_else(|| used.client.clone(), |name| format!("{} ({name})", used.client)),
                used.contract.clone(),
                values::show_time(used.last_used),
                standing.for_people().to_owned(),
            ]);
            documents.push(json!({
                "server": server.name, "tool": used.tool, "client_id": used.client, "client_name": client,
                "contract": used.contract, "definition": standing.as_str(), "last_used_at": used.last_used,
            }));
        }
    }
    if json {
        return output::json(&documents);
    }
    if rows.is_empty() {
        eprintln!("Nobody has called a tool yet; a use is remembered for 400 days.");
    }
    output::table(&["server", "tool", "client", "contract", "last use", "definition"], rows)
}

/// By tool, client, and the last use first. `current` are the hashes of the tools' contracts.
fn judge(mut uses: Vec<ToolUse>, current: &HashMap<String, String>) -> Vec<Judged> {
    uses.sort_by(|a, b| (&a.tool, &a.client, b.last_used).cmp(&(&b.tool, &b.client, a.last_used)));
    let standing = |used: &ToolUse| {
        let Some(hash) = current.get(&used.tool) else { return Standing::Gone };
        if used.contract == *hash {
            return Standing::Current;
        }
        let since = uses.iter().any(|other| {
            (&other.tool, &other.client, &other.contract) == (&used.tool, &used.client, hash)
                && other.last_used >= used.last_used
        });
        if since { Standing::Earlier } else { Standing::Outdated }
    };
    let standings: Vec<Standing> = uses.iter().map(standing).collect();
    uses.into_iter().zip(standings).map(|(used, standing)| Judged { used, standing }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_with_an_older_definition_is_told_until_there_is_one_with_the_current() {
        let used = |tool: &str, contract: &str, client: &str, last_used| ToolUse {
            tool: tool.to_owned(),
            contract: contract.to_owned(),
            client: client.to_owned(),
            last_used,
        };
        let current = HashMap::from([("a".to_owned(), "new".to_owned())]);
        let uses = vec![
            used("a", "old", "one", 10),
            used("a", "new", "one", 20),
            used("a", "old", "two", 30),
            used("b", "new", "one", 40),
        ];
        let judged = judge(uses, &current);
        let found: Vec<(&str, u64, Standing)> =
            judged.iter().map(|judged| (judged.used.client.as_str(), judged.used.last_used, judged.standing)).collect();
        assert_eq!(
            found,
            [
                ("one", 20, Standing::Current),
                ("one", 10, Standing::Earlier),
                ("two", 30, Standing::Outdated),
                ("one", 40, Standing::Gone),
            ]
        );
    }
}
