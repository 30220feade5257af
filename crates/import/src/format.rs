//! The formats of files.

use std::path::Path;

/// How a file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line (RFC 4180).
    #[default]
    Csv,
    /// An array of objects, or objects one after another.
    Json,
    /// An object a line.
    JsonLines,
}

impl Format {
    /// The format that a file's name tells by its extension: `.csv`, `.json`, `.jsonl` or `.ndjson`.
    #[must_use]
    pub fn of_file(path: &Path) -> Option<Format> {
        match path.extension()?.to_ascii_lowercase().to_str()? {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The format of a file of rejected rows: one that can be written row by row.
    #[must_use]
    pub fn of_rejects(self) -> Format {
        match self {
            Self::Csv => Self::Csv,
            Self::Json | Self::JsonLines => Self::JsonLines,
        }
    }
}
