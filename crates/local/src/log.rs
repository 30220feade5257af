//! The request lines of a home, for `northstar audit`: those of the functions that `serve` runs, and those of commands.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How long a file grows before it takes the place of the older one: a hundred thousand lines and more.
const MAX_BYTES: u64 = 32 << 20;

/// Two files of a home, readable by their owner alone: `requests.jsonl`, which grows, and `requests.1.jsonl`, which was
/// full before it.
#[derive(Clone, Debug)]
pub struct RequestLog {
    current: PathBuf,
    older: PathBuf,
    lock: PathBuf,
    max_bytes: u64,
}

impl RequestLog {
    /// The log in a directory; nothing is made before the first line, and nothing where there is no directory.
    pub fn new(home: &Path) -> RequestLog {
        let file = |name| home.join(name);
        let (current, older) = (file("requests.jsonl"), file("requests.1.jsonl"));
        RequestLog { current, older, lock: file("requests.lock"), max_bytes: MAX_BYTES }
    }

    /// The file that grows.
    pub fn current(&self) -> &Path {
        &self.current
    }

    /// The file that was full before it.
    pub fn older(&self) -> &Path {
        &self.older
    }

    /// Appends lines, after the files have changed places if these are too many for the current one. Other processes wait
    /// meanwhile: none writes into a file that is being put aside.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&self, lines: &[u8]) -> io::Result<()> {
        let lock = private().write(true).truncate(false).open(&self.lock)?;
        lock.lock()?;
        let mut file = self.open()?;
        if file.metadata()?.len() + lines.len() as u64 > self.max_bytes {
            std::fs::rename(&self.current, &self.older)?;
            file = self.open()?;
        }
        file.write_all(lines)
    }

    fn open(&self) -> io::Result<File> {
        private().append(true).open(&self.current)
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

impl Write for RequestLog {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.append(lines)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("northstar-log-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        home
    }

    #[test]
    fn a_full_file_takes_the_place_of_the_older_one_and_no_line_is_torn() {
        let home = scratch("full");
        let log = RequestLog { max_bytes: 100, ..RequestLog::new(&home) };
        for number in 0..25 {
            log.append(format!("line {number:03}\n").as_bytes()).unwrap();
        }
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
        let (older, current) = (lines(log.older()), lines(log.current()));
        assert_eq!((older.len(), current.len()), (11, 3));
        let expected: Vec<String> = (11..25).map(|number| format!("line {number:03}")).collect();
        assert_eq!([older, current].concat(), expected, "the last lines, in order");
        for path in [log.older(), log.current()] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn writers_beside_each_other_lose_nothing() {
        let home = scratch("writers");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let log = RequestLog { max_bytes: 10_000, ..RequestLog::new(&home) };
                scope.spawn(move || {
                    for number in 0..100 {
                        log.append(format!("{writer} {number:03}\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        let log = RequestLog::new(&home);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let text = read(log.older()) + &read(log.current());
        assert!(text.lines().count() == 800 && text.lines().all(|line| line.len() == 5));
        std::fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn where_there_is_no_home_nothing_is_made() {
        let home = scratch("none").join("no-home");
        assert!(RequestLog::new(&home).append(b"line\n").is_err());
        assert!(!home.exists());
        std::fs::remove_dir_all(home.parent().unwrap()).unwrap();
    }
}
