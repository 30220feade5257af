//! Puts files into a folder: nothing that differs is overwritten unasked, and no file is ever half written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::pack::{File, SOURCE};

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there, or it was different.
    Written,
    /// It was there as it is.
    Unchanged,
}

/// Why nothing was written, or not all.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Files are there and differ.
    #[error(
        "{folder} has other content in {}: give another --out, or --force to replace what differs",
        paths.join(", ")
    )]
    Differs {
        /// The folder.
        folder: String,
        /// The files.
        paths: Vec<String>,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes what is missing or differs. Every file is written beside its place first and all are moved there then.
///
/// # Errors
/// [`WriteError`]; with `Differs` nothing has been touched.
pub fn write(folder: &Path, files: &[File], force: bool) -> Result<Vec<Outcome>, WriteError> {
    let mut outcomes = Vec::new();
    let mut differing = Vec::new();
    for file in files {
        let path = folder.join(&file.path);
        match fs::read(&path) {
            Ok(content) if content == file.content.as_bytes() => outcomes.push(Outcome::Unchanged),
            Ok(_) => {
                differing.push(file.path.clone());
                outcomes.push(Outcome::Written);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => outcomes.push(Outcome::Written),
            Err(error) => return Err(failed(&path, error)),
        }
    }
    if !differing.is_empty() && !force {
        return Err(WriteError::Differs { folder: folder.display().to_string(), paths: differing });
    }

    let mut moves: Vec<(PathBuf, PathBuf)> = Vec::new();
    let written = (|| {
        for (file, outcome) in files.iter().zip(&outcomes) {
            if *outcome == Outcome::Written {
                let path = folder.join(&file.path);
                let beside = beside(&path);
                moves.push((beside.clone(), path.clone()));
                write_beside(&beside, &file.content).map_err(|error| failed(&path, error))?;
            }
        }
        moves.iter().try_for_each(|(beside, path)| fs::rename(beside, path).map_err(|error| failed(path, error)))
    })();
    if written.is_err() {
        // What has been moved is no longer beside its place.
        for (beside, _) in &moves {
            let _ = fs::remove_file(beside);
        }
    }
    written.map(|()| outcomes)
}

/// Metadata of another project in the folder: no manifest of ours names them, but `--source-dir` would deploy them.
///
/// # Errors
/// When the folder cannot be read.
pub fn strangers(folder: &Path, files: &[File]) -> Result<Vec<String>, WriteError> {
    let root = folder.join(SOURCE);
    let mut strangers = Vec::new();
    if root.is_dir() {
        for path in crate::retrieved::files_below(&root).map_err(|error| failed(&root, error))? {
            let relative = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if !files.iter().any(|file| file.path == relative) {
                strangers.push(relative);
            }
        }
    }
    Ok(strangers)
}

fn write_beside(beside: &Path, content: &str) -> io::Result<()> {
    if let Some(parent) = beside.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(beside)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".northstar-new");
    path.with_file_name(name)
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> File {
        File { path: path.to_owned(), content: content.to_owned() }
    }

    #[test]
    fn what_differs_is_replaced_only_when_forced() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).ok();
        let first = [file("a/one", "1"), file("two", "2")];
        assert_eq!(write(folder.path(), &first, false).unwrap(), [Outcome::Written; 2]);
        assert_eq!(write(folder.path(), &first, false).unwrap(), [Outcome::Unchanged; 2]);

        let second = [file("a/one", "other"), file("two", "2"), file("three", "3")];
        let error = write(folder.path(), &second, false).unwrap_err().to_string();
        assert!(error.contains("a/one") && error.contains("--force") && !error.contains("two"), "{error}");
        assert_eq!((read("a/one").as_deref(), read("three")), (Some("1"), None), "nothing was touched");

        let outcomes = [Outcome::Written, Outcome::Unchanged, Outcome::Written];
        assert_eq!(write(folder.path(), &second, true).unwrap(), outcomes);
        assert_eq!((read("a/one").as_deref(), read("three").as_deref()), (Some("other"), Some("3")));
    }

    #[test]
    fn a_failure_leaves_neither_half_files_nor_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("blocked"), "a file, no folder").unwrap();
        let error = write(folder.path(), &[file("good", "1"), file("blocked/two", "2")], true).unwrap_err();
        assert!(error.to_string().contains("blocked"), "{error}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["blocked"]);
    }

    #[test]
    fn metadata_of_another_pack_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let ours = [file("force-app/main/default/namedCredentials/New.namedCredential-meta.xml", "")];
        write(folder.path(), &ours, false).unwrap();
        assert_eq!(strangers(folder.path(), &ours).unwrap(), Vec::<String>::new());
        let old = "force-app/main/default/namedCredentials/Old.namedCredential-meta.xml";
        write(folder.path(), &[file(old, "")], false).unwrap();
        assert_eq!(strangers(folder.path(), &ours).unwrap(), [old]);
    }
}
