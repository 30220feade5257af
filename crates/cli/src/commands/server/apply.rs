//! `northstar server apply` and `server diff`: from a definitions file to the registry.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use catalogue::Change;
use clap::Args;
use registry::ServerName;
use serde_json::{Value, json};

use super::plan::{Outcome, Plan, resync};
use super::{ask, audited, being_changed, orgs, public_url, read, refused, tables, upstreams};
use crate::output::{self, Failure};
use crate::place::{Kind, Open, Place};

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// The definitions: YAML or JSON
    file: PathBuf,
    /// Do not ask, though a production server is made or changed
    #[arg(long)]
    yes: bool,
    /// Change a production server even where agents that know its tools may fail
    #[arg(long)]
    allow_breaking: bool,
    /// Check everything and say what would be done, but change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What a file would do to a place.
struct Plans {
    plans: Vec<Plan>,
    /// Servers that are there and not in the file.
    left_alone: Vec<ServerName>,
}

/// Applies a file: every server is checked before the first one is written.
pub async fn apply(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    let document = read(&options.file)?;
    let open = place.open().await?;
    let plans = Plans::of(&open, &options.file, &document).await?;
    if !json {
        plans.print()?;
    }
    plans.guard(options.allow_breaking, options.dry_run)?;
    if options.dry_run {
        if json {
            output::json(&plans.document(false))?;
        }
        eprintln!("Nothing was changed: this was a dry run.");
        return Ok(());
    }
    if !options.yes {
        plans.confirm(json)?;
    }
    let mut written: Vec<&str> = Vec::new();
    for plan in plans.changed() {
        let done = audited("server.apply", &plan.server.name, write(&open, plan).await);
        done.map_err(|failure| after(&written, failure))?;
        written.push(plan.server.name.as_str());
    }
    let made: Vec<&ServerName> =
        plans.plans.iter().filter(|plan| plan.outcome() == Outcome::Made).map(|plan| &plan.server.name).collect();
    let shown_to_demo = give_to_demo_client(&open, &made).await?;
    if json {
        return output::json(&plans.document(true));
    }
    plans.say_what_is_next(&made, shown_to_demo);
    Ok(())
}

/// Says what `apply` would do.
pub async fn diff(place: &Place, json: bool, file: &Path) -> Result<(), Failure> {
    let document = read(file)?;
    let open = place.open().await?;
    let plans = Plans::of(&open, file, &document).await?;
    if json {
        output::json(&plans.document(false))?;
    } else {
        plans.print()?;
        plans.print_resync()?;
        if plans.plans.iter().any(|plan| !plan.refused().is_empty()) {
            eprintln!("`server apply` refuses the breaking changes of production servers without --allow-breaking.");
        }
    }
    if plans.changed().next().is_none() { Ok(()) } else { Err(Failure::Answered) }
}

/// Together with the contracts of its tools, or not at all.
async fn write(open: &Open, plan: &Plan) -> Result<(), Failure> {
    let version = plan.earlier.as_ref().map(|record| record.version);
    match open.registry.apply_server(version, &plan.server, &plan.contracts, SystemTime::now()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(being_changed(&plan.server.name)),
        Err(error) => Err(error.into()),
    }
}

/// A failure in the middle of a file.
fn after(written: &[&str], failure: Failure) -> Failure {
    match failure {
        Failure::Message(message) if !written.is_empty() => {
            Failure::Message(format!("{message}; written before it: {}", written.join(", ")))
        }
        failure => failure,
    }
}

/// The demo client of a local run may call every server of it. Whether there is one that may call more now.
async fn give_to_demo_client(open: &Open, made: &[&ServerName]) -> Result<bool, Failure> {
    let Kind::Home(home) = &open.kind else { return Ok(false) };
    let made: Vec<ServerName> = made.iter().map(|name| (*name).clone()).collect();
    Ok(local::demo::give_servers(home, &made).await?)
}

impl Plans {
    /// # Errors
    /// The tables cannot answer what the file asks, or do not answer at all.
    async fn of(open: &Open, file: &Path, document: &server_file::Document) -> Result<Plans, Failure> {
        let mut problems = orgs::check(open, document).await?;
        let accepted = upstreams::accepted(open, document.servers()).await?;
        problems.extend(upstreams::check(open, document, &accepted).await?);
        let servers = tables::resolve(open, document).await?.unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.place);
            return Err(refused(file, &problems));
        }
        let left_alone = open.registry.servers().await?.into_iter().map(|server| server.name);
        let left_alone = left_alone.filter(|name| !servers.iter().any(|server| server.name == *name)).collect();
        let url = public_url(open);
        let mut plans = Vec::new();
        for server in servers {
            plans.push(Plan::of(open, &url, server).await?);
        }
        Ok(Plans { plans, left_alone })
    }

    fn changed(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter().filter(|plan| plan.outcome() != Outcome::Unchanged)
    }

    fn print(&self) -> Result<(), Failure> {
        for line in self.plans.iter().flat_map(Plan::lines) {
            output::line(&line)?;
        }
        if !self.left_alone.is_empty() {
            let names: Vec<&str> = self.left_alone.iter().map(ServerName::as_str).collect();
            let (count, is) = match names.len() {
                1 => ("1 server".to_owned(), "is"),
                count => (format!("{count} servers"), "are"),
            };
            output::line(&format!("left alone {count} that {is} not in the file: {}", names.join(", ")))?;
        }
        Ok(())
    }

    fn print_resync(&self) -> Result<(), Failure> {
        for step in self.resync() {
            output::line(&format!("then       {step}"))?;
        }
        Ok(())
    }

    fn resync(&self) -> Vec<String> {
        resync(self.plans.iter().flat_map(|plan| &plan.tools))
    }

    /// Refuses what agents that know the tools of a production server would fail at.
    fn guard(&self, allow_breaking: bool, dry_run: bool) -> Result<(), Failure> {
        let mut all: Vec<&Change> = Vec::new();
        for plan in &self.plans {
            let changes = plan.refused();
            for change in changes.iter().filter(|_| !allow_breaking) {
                eprintln!("{}, {}: {}", plan.server.name, change.tool, change.sentence());
            }
            all.extend(changes);
        }
        if all.is_empty() || allow_breaking {
            return Ok(());
        }
        eprintln!("Agents that know these tools as they were may fail. After it somebody has to, in Agentforce:");
        for step in resync(all.iter().copied()) {
            eprintln!("  {step}");
        }
        let outcome = "breaking_change";
        for plan in self.plans.iter().filter(|plan| !dry_run && !plan.refused().is_empty()) {
            request_log::server_command("server.apply", plan.server.name.as_str(), outcome, SystemTime::now());
        }
        let changes = if all.len() == 1 { "1 change breaks" } else { "these changes break" };
        Err(Failure::Message(format!(
            "{changes} what agents know of a production server: nothing was changed. Add --allow-breaking to do it all the same, \
             or give the tool a new name beside the old one ({outcome})"
        )))
    }

    fn confirm(&self, json: bool) -> Result<(), Failure> {
        let names: Vec<&str> =
            self.changed().filter(|plan| plan.concerns_production()).map(|plan| plan.server.name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        if json {
            for line in self.plans.iter().flat_map(Plan::lines) {
                eprintln!("{line}");
            }
        }
        let (names, them) = (names.join(", "), if names.len() == 1 { "server" } else { "servers" });
        ask(
            &format!("Change the production {them} {names}?"),
            &format!("the production {them} {names} would be changed, and there is nobody to ask: add --yes"),
            "Nothing was changed.",
        )
    }

    fn document(&self, applied: bool) -> Value {
        let servers: Vec<Value> = self.plans.iter().map(Plan::document).collect();
        json!({ "applied": applied, "servers": servers, "left_alone": self.left_alone })
    }

    fn say_what_is_next(&self, made: &[&ServerName], shown_to_demo: bool) {
        if self.changed().next().is_none() {
            return eprintln!("Nothing was to be changed.");
        }
        eprintln!("This holds everywhere within 30 seconds.");
        for name in made {
            eprintln!("Next: northstar client create NAME --server {name}");
        }
        if let (Some(name), true) = (made.first(), shown_to_demo) {
            eprintln!("The demo client may call it: northstar token --server {name}");
        }
        let steps = self.resync();
        if !steps.is_empty() {
            eprintln!("In Agentforce, where agents use these tools:");
            for step in steps {
                eprintln!("  {step}");
            }
        }
    }
}
