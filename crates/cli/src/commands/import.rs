//! `northstar import`.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::import::{Dataset, DateOrder, Format, Summary};
use clap::{Args, ValueEnum};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::output::{self, Failure};
use crate::place::Place;
use crate::values;

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// What the file holds
    dataset: DatasetName,
    /// The file, in UTF-8: CSV with a header line, an array of JSON objects, or a JSON object a line
    file: PathBuf,
    /// Column of the file that becomes an attribute of another name: orderID=order_id; may be given more than once
    #[arg(long, value_name = "COLUMN=ATTRIBUTE", value_parser = values::pair)]
    map: Vec<(String, String)>,
    /// Attribute that every row gets, over its column: status=SHIPPED; may be given more than once
    #[arg(long, value_name = "ATTRIBUTE=VALUE", value_parser = values::pair)]
    set: Vec<(String, String)>,
    /// How the file is written, if its name does not end in .csv, .json, .jsonl or .ndjson; csv otherwise
    #[arg(long)]
    format: Option<FormatName>,
    /// How dates are written that have the year last, like 31.12.2026 or 12/31/2026
    #[arg(long)]
    dates: Option<DatesName>,
    /// File to make for the rows that are refused, with line and reason; correct them there and import it
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Check everything and say what would be done, but leave the table as it is
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum DatasetName {
    Orders,
    Loyalty,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    Csv,
    /// An array of objects
    Json,
    /// An object a line
    #[value(alias = "ndjson")]
    Jsonl,
}

#[derive(Clone, Copy, ValueEnum)]
enum DatesName {
    /// 31.12.2026, 31/12/2026
    DayFirst,
    /// 12/31/2026
    MonthFirst,
}

/// Imports the file; ends with 1 when rows were refused.
pub async fn run(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    let format = options.format();
    if let Some(rejects) = &options.rejects {
        refuse_misleading_name(rejects, format)?;
    }
    let file =
        File::open(&options.file).map_err(|error| Failure::Message(format!("{}: {error}", options.file.display())))?;
    let bar = progress_bar(&file)?;
    let open = place.open().await?;
    let (dataset, table) = match options.dataset {
        DatasetName::Orders => (Dataset::Orders, &open.names.orders_table),
        DatasetName::Loyalty => (Dataset::Loyalty, &open.names.loyalty_table),
    };
    let start = Instant::now();
    let show =
        |rows| bar.set_message(format!("{} rows, {}/s", HumanCount(rows), HumanCount(rate(rows, start.elapsed()))));
    let reader = BufReader::new(bar.wrap_read(file));
    let options = options.of_import(format);
    let done = ::import::run(&open.dynamodb, table, dataset, reader, &options, show).await;
    bar.finish_and_clear();
    let summary = done.map_err(|error| Failure::Message(error.to_string()))?;
    if json {
        output::json(&summary)?;
    } else {
        print(&summary, &options, start.elapsed())?;
    }
    if summary.refused == 0 { Ok(()) } else { Err(Failure::Answered) }
}

impl Options {
    fn format(&self) -> Format {
        match self.format {
            Some(FormatName::Csv) => Format::Csv,
            Some(FormatName::Json) => Format::Json,
            Some(FormatName::Jsonl) => Format::JsonLines,
            None => Format::of_file(&self.file).unwrap_or_default(),
        }
    }

    fn of_import(self, format: Format) -> ::import::Options {
        let dates = self.dates.map(|dates| match dates {
            DatesName::DayFirst => DateOrder::DayFirst,
            DatesName::MonthFirst => DateOrder::MonthFirst,
        });
        let Options { map, set, rejects, dry_run, .. } = self;
        ::import::Options { format, map, set, dates, rejects, dry_run }
    }
}

/// The file is imported again by what its name says.
fn refuse_misleading_name(rejects: &Path, format: Format) -> Result<(), Failure> {
    let written = format.of_rejects();
    let (what, name) = match written {
        Format::Csv => ("CSV", "rejects.csv"),
        _ => ("JSON Lines", "rejects.jsonl"),
    };
    match Format::of_file(rejects) {
        // Objects one after another are read from a .json file too.
        Some(Format::Json) if written == Format::JsonLines => Ok(()),
        Some(named) if named != written => {
            let rejects = rejects.display();
            Err(Failure::Usage(format!(
                "--rejects {rejects}: the refused rows of this file are written as {what}; call it {name}, for example"
            )))
        }
        _ => Ok(()),
    }
}

fn rate(rows: u64, elapsed: Duration) -> u64 {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    rows.saturating_mul(1000) / milliseconds
}

fn print(summary: &Summary, options: &::import::Options, elapsed: Duration) -> Result<(), Failure> {
    for rejected in &summary.rejected {
        eprintln!("{rejected}");
    }
    let more = summary.refused - summary.rejected.len() as u64;
    if more > 0 {
        eprintln!("and {more} more{}", if options.rejects.is_some() { "" } else { "; --rejects FILE keeps them all" });
    }
    let Summary { read, written, unchanged, refused, .. } = summary;
    let unchanged = if *unchanged == 0 { String::new() } else { format!("{unchanged} unchanged, ") };
    let note = if options.dry_run { " (dry run: the table is as it was)" } else { "" };
    output::line(&format!("{read} rows read, {written} written, {unchanged}{refused} refused{note}"))?;
    // Over less than a second a rate says nothing.
    if elapsed >= Duration::from_secs(1) {
        output::line(&format!("{:.1} s, {} rows/s", elapsed.as_secs_f64(), rate(*read, elapsed)))?;
    }
    Ok(())
}

/// By the bytes of the file; a pipe has no size.
fn progress_bar(file: &File) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let (bar, template) = match file.metadata()?.len() {
        0 => (ProgressBar::no_length(), "{spinner} {msg}, {elapsed}"),
        bytes => (ProgressBar::new(bytes), "{bar:30} {percent:>3}%  {msg}, {eta} left"),
    };
    let style = ProgressStyle::with_template(template)?;
    Ok(bar.with_style(style))
}
