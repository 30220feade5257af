//! `northstar upstream diff` and `accept`: the tools of an upstream against those that were accepted.

use std::time::SystemTime;

use catalogue::contract::changes;
use catalogue::{Change, Contract};
use registry::client::seconds;
use registry::{PinnedTool, PinnedTools};
use serde_json::{Value, json};

use super::look::{Look, look};
use super::{audited, find};
use crate::output::{self, Failure};
use crate::place::Open;

/// A tool that is not as it was accepted.
struct Difference<'a> {
    before: Option<&'a PinnedTool>,
    after: Option<&'a PinnedTool>,
    changes: Vec<Change>,
}

/// Compares what an upstream has with what was accepted.
pub async fn diff(open: &Open, json: bool, name: &str) -> Result<(), Failure> {
    let upstream = find(open, name).await?;
    let pinned = open.registry.pinned_tools(&upstream.name).await?.unwrap_or_default();
    let found = look(open, &upstream).await?;
    let differences = differences(&pinned.tools, &found.tools);
    if json {
        let tools: Vec<Value> = differences.iter().map(Difference::document).collect();
        let refused: Vec<Value> =
            found.refused.iter().map(|(at, why)| json!({ "position": at, "problem": why })).collect();
        output::json(&json!({
            "name": upstream.name, "different": !differences.is_empty(), "tools": tools, "cannot_be_accepted": refused,
        }))?;
    } else {
        for difference in &differences {
            difference.print()?;
        }
        say_refused(&found);
        match differences.len() {
            0 => output::line(&format!("{} tools, all as they were accepted", found.tools.len()))?,
            _ => eprintln!("What is new or changed is not served until: northstar upstream accept {}", upstream.name),
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(Failure::Answered) }
}

/// Accepts tools as they are now.
pub async fn accept(open: &Open, json: bool, name: &str, only: &[String]) -> Result<(), Failure> {
    let upstream = find(open, name).await?;
    let earlier = open.registry.pinned_tools(&upstream.name).await?.unwrap_or_default();
    let found = look(open, &upstream).await?;
    let tools = chosen(&earlier.tools, &found.tools, only)?;
    let differences = differences(&earlier.tools, &tools);
    let accepted = PinnedTools { tools: tools.clone(), accepted_at: seconds(SystemTime::now()) };
    let written = open.registry.put_pinned_tools(&upstream.name, &accepted).await.map_err(Failure::from);
    audited("upstream.accept", &upstream.name, written)?;
    if json {
        let tools: Vec<Value> = differences.iter().map(Difference::document).collect();
        return output::json(&json!({
            "name": upstream.name, "accepted": accepted.tools.len(), "tools": tools,
        }));
    }
    for difference in &differences {
        difference.print()?;
    }
    say_refused(&found);
    output::line(&format!("accepted: {} tools of {}", accepted.tools.len(), upstream.name))?;
    eprintln!("Servers that have them follow within 30 seconds.");
    if earlier.tools.is_empty() {
        eprintln!(
            "Next: name {0} under upstreams of a server (docs/upstreams.md), then northstar server apply FILE",
            upstream.name
        );
    }
    Ok(())
}

/// All that is there, or of what was accepted those that are named anew.
fn chosen(earlier: &[PinnedTool], found: &[PinnedTool], only: &[String]) -> Result<Vec<PinnedTool>, Failure> {
    if only.is_empty() {
        return Ok(found.to_vec());
    }
    let known = |name: &String| found.iter().chain(earlier).any(|tool| tool.name == *name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = found.iter().map(|tool| tool.name.as_str()).collect();
        return Err(Failure::Message(format!("it has no tool {unknown}: it has {}", names.join(", "))));
    }
    let mut tools: Vec<PinnedTool> = Vec::new();
    for tool in found {
        let before = earlier.iter().find(|before| before.name == tool.name);
        match (only.contains(&tool.name), before) {
            (true, _) => tools.push(tool.clone()),
            (false, Some(before)) => tools.push(before.clone()),
            (false, None) => {}
        }
    }
    // What is gone stays as it was accepted, unless it is named.
    let gone = |tool: &&PinnedTool| !found.iter().any(|other| other.name == tool.name) && !only.contains(&tool.name);
    tools.extend(earlier.iter().filter(gone).cloned());
    Ok(tools)
}

fn differences<'a>(before: &'a [PinnedTool], after: &'a [PinnedTool]) -> Vec<Difference<'a>> {
    let of = |tools: &'a [PinnedTool], name: &str| tools.iter().find(|tool| tool.name == name);
    let mut found = Vec::new();
    for old in before {
        let new = of(after, &old.name);
        if new.is_none_or(|new| new.hash != old.hash) {
            let after: Vec<Contract> = new.into_iter().map(contract).collect();
            found.push(Difference { before: Some(old), after: new, changes: changes(&[contract(old)], &after) });
        }
    }
    for new in after.iter().filter(|new| of(before, &new.name).is_none()) {
        found.push(Difference { before: None, after: Some(new), changes: changes(&[], &[contract(new)]) });
    }
    found
}

/// What clients see of it; our scope and name are matters of the definition.
fn contract(tool: &PinnedTool) -> Contract {
    Contract {
        name: tool.name.clone(),
        title: tool.title.clone(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
        output_schema: tool.output_schema.clone().unwrap_or_default(),
        read_only: tool.read_only,
        destructive: tool.destructive,
        idempotent: tool.idempotent,
        open_world: tool.open_world,
        scope: String::new(),
    }
}

impl Difference<'_> {
    fn name(&self) -> &str {
        self.before.or(self.after).map_or("", |tool| &tool.name)
    }

    fn state(&self) -> &'static str {
        match (self.before, self.after) {
            (None, _) => "new",
            (Some(_), None) => "gone",
            (Some(_), Some(_)) => "changed",
        }
    }

    fn breaking(&self) -> bool {
        self.changes.iter().any(|change| change.breaking)
    }

    /// Sentences of what has changed. A hash is of what the upstream sent: it may differ where nothing that we pass on does.
    fn sentences(&self) -> Vec<String> {
        if self.changes.is_empty() {
            return vec!["it differs in what is not passed on, such as invisible characters".to_owned()];
        }
        let mark = |change: &Change| if change.breaking { "breaking: " } else { "" };
        self.changes.iter().map(|change| format!("{}{}", mark(change), change.sentence())).collect()
    }

    fn document(&self) -> Value {
        let changes: Vec<Value> = self
            .changes
            .iter()
            .map(|change| json!({ "breaking": change.breaking, "what": change.sentence() }))
            .collect();
        json!({
            "tool": self.name(), "state": self.state(), "breaking": self.breaking(), "changes": changes,
            "before": self.before, "after": self.after,
        })
    }

    fn print(&self) -> Result<(), Failure> {
        output::line(&format!("{}  {}{}", self.state(), self.name(), self.after.map(promises).unwrap_or_default()))?;
        if let (Some(before), Some(after)) = (self.before, self.after) {
            for sentence in self.sentences() {
                output::line(&format!("    {sentence}"))?;
            }
            for (what, was, is) in [
                ("title", before.title.clone(), after.title.clone()),
                ("description", before.description.clone(), after.description.clone()),
                ("inputs", text(&before.input_schema), text(&after.input_schema)),
                (
                    "outputs",
                    before.output_schema.as_ref().map(text).unwrap_or_default(),
                    after.output_schema.as_ref().map(text).unwrap_or_default(),
                ),
            ] {
                if was != is {
                    output::line(&format!("    {what} before: {}", one_line(&was)))?;
                    output::line(&format!("    {what} now:    {}", one_line(&is)))?;
                }
            }
        } else if let Some(after) = self.after {
            output::line(&format!("    title: {}", one_line(&after.title)))?;
            output::line(&format!("    description: {}", one_line(&after.description)))?;
            output::line(&format!("    inputs: {}", one_line(&text(&after.input_schema))))?;
        }
        Ok(())
    }
}

fn promises(tool: &PinnedTool) -> String {
    let kind = match (tool.read_only, tool.destructive) {
        (true, _) => "only reads",
        (false, true) => "writes, may destroy",
        (false, false) => "writes",
    };
    format!("  ({kind}, as it says)")
}

fn text(schema: &serde_json::Map<String, Value>) -> String {
    serde_json::to_string(schema).unwrap_or_default()
}

/// Somebody else's text on one line of a terminal.
fn one_line(text: &str) -> String {
    text.split(char::is_whitespace).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn say_refused(found: &Look) {
    for (at, why) in &found.refused {
        eprintln!("The tool at place {at} of its list cannot be accepted: {why}.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, description: &str, hash: &str) -> PinnedTool {
        let schema = json!({ "type": "object", "properties": { "q": { "type": "string" } }, "required": ["q"] });
        PinnedTool {
            name: name.into(),
            title: name.into(),
            description: description.into(),
            input_schema: schema.as_object().unwrap().clone(),
            output_schema: None,
            read_only: true,
            destructive: false,
            idempotent: true,
            open_world: true,
            hash: hash.into(),
        }
    }

    fn names(tools: &[PinnedTool]) -> Vec<(&str, &str)> {
        tools.iter().map(|tool| (tool.name.as_str(), tool.hash.as_str())).collect()
    }

    #[test]
    fn what_is_new_gone_or_changed_is_told_from_what_is_as_it_was() {
        let before = [tool("find", "Finds.", "1"), tool("soqlQuery", "Asks.", "2"), tool("old", "", "3")];
        let after = [tool("find", "Finds.", "1"), tool("soqlQuery", "Asks, and deletes.", "4"), tool("new", "", "5")];
        let found = differences(&before, &after);
        let states: Vec<(&str, &str, bool)> = found.iter().map(|it| (it.name(), it.state(), it.breaking())).collect();
        assert_eq!(states, [("soqlQuery", "changed", false), ("old", "gone", true), ("new", "new", false)]);
        assert_eq!(found[0].sentences(), ["the description reads differently"]);
    }

    #[test]
    fn what_must_be_given_from_now_on_is_breaking_even_when_it_is_not_described() {
        let (before, mut after) = ([tool("find", "", "1")], [tool("find", "", "2")]);
        after[0].input_schema["required"] = json!(["q", "limit"]);
        assert!(differences(&before, &after)[0].breaking());
    }

    #[test]
    fn a_change_that_nobody_sees_is_a_difference_all_the_same() {
        let (before, after) = ([tool("find", "Finds.", "1")], [tool("find", "Finds.", "2")]);
        let found = differences(&before, &after);
        assert!(found[0].sentences()[0].contains("invisible"), "{:?}", found[0].sentences());
    }

    #[test]
    fn tools_that_are_not_named_stay_as_they_were_accepted() {
        let before = [tool("find", "", "1"), tool("soqlQuery", "", "2"), tool("gone", "", "3")];
        let after = [tool("find", "", "11"), tool("soqlQuery", "", "12"), tool("new", "", "15")];
        let all = chosen(&before, &after, &[]).ok().unwrap();
        assert_eq!(names(&all), [("find", "11"), ("soqlQuery", "12"), ("new", "15")]);
        let one = chosen(&before, &after, &["find".to_owned()]).ok().unwrap();
        assert_eq!(names(&one), [("find", "11"), ("soqlQuery", "2"), ("gone", "3")]);
        let without = chosen(&before, &after, &["gone".to_owned()]).ok().unwrap();
        assert_eq!(names(&without), [("find", "1"), ("soqlQuery", "2")]);
        assert!(chosen(&before, &after, &["nothing".to_owned()]).is_err());
    }
}
