//! `northstar import`.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::PathBuf;

use ::import::Dataset;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use local::Home;
use local::store::{LOYALTY_TABLE, ORDERS_TABLE};

use crate::output::{self, Failure};
use crate::values;

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// What the file holds
    dataset: DatasetName,
    /// The file: CSV in UTF-8, with a header line
    file: PathBuf,
    /// Column of the file that becomes an attribute of another name: orderID=order_id; may be given more than once
    #[arg(long, value_name = "COLUMN=ATTRIBUTE", value_parser = values::pair)]
    map: Vec<(String, String)>,
    /// Attribute that every row gets, over its column: status=SHIPPED; may be given more than once
    #[arg(long, value_name = "ATTRIBUTE=VALUE", value_parser = values::pair)]
    set: Vec<(String, String)>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DatasetName {
    Orders,
    Loyalty,
}

/// Imports the file; ends with 1 when rows were refused.
pub async fn run(home: &Home, json: bool, options: Options) -> Result<(), Failure> {
    let (dataset, table) = match options.dataset {
        DatasetName::Orders => (Dataset::Orders, ORDERS_TABLE),
        DatasetName::Loyalty => (Dataset::Loyalty, LOYALTY_TABLE),
    };
    let file =
        File::open(&options.file).map_err(|error| Failure::Message(format!("{}: {error}", options.file.display())))?;
    let open = home.open().await?;
    let bar = progress_bar();
    let names = ::import::Options { map: options.map, set: options.set };
    let done =
        ::import::run(&open.aws.dynamodb, table, dataset, BufReader::new(file), &names, |rows| bar.set_position(rows));
    let summary = done.await;
    bar.finish_and_clear();
    let summary = summary.map_err(|error| Failure::Message(error.to_string()))?;
    if json {
        output::json(&summary)?;
    } else {
        for rejected in &summary.rejected {
            eprintln!("{rejected}");
        }
        output::line(&format!(
            "{} rows read, {} written, {} refused",
            summary.read,
            summary.written,
            summary.rejected.len()
        ))?;
    }
    if summary.rejected.is_empty() { Ok(()) } else { Err(Failure::Answered) }
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} rows written, {per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
