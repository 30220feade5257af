//! The lines of a local run, across the two files that take turns.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use local::RequestLog;

/// Reads the older file, then the current one, and goes on where it stopped.
pub struct LogFiles {
    log: RequestLog,
    started: bool,
    open: Option<BufReader<File>>,
    /// What was read of a line that is not complete.
    partial: Vec<u8>,
}

impl LogFiles {
    /// Nothing is read yet.
    pub fn new(log: RequestLog) -> LogFiles {
        LogFiles { log, started: false, open: None, partial: Vec::new() }
    }

    /// Whether there was a file to read.
    pub fn are_there(&self) -> bool {
        self.open.is_some()
    }

    /// Reads the lines that have come since the last call.
    ///
    /// # Errors
    /// What the system says; a file that does not exist is none.
    pub fn read_on(&mut self, mut each: impl FnMut(&str)) -> io::Result<()> {
        if !self.started {
            self.started = true;
            self.open = open(self.log.older())?.map(BufReader::new);
        }
        loop {
            // In this order: once the file has been put aside nobody writes to it, so that what is read next is the rest.
            let next = self.next_file()?;
            self.read_open_file(&mut each)?;
            let Some(next) = next else { return Ok(()) };
            self.partial.clear();
            self.open = Some(BufReader::new(next));
        }
    }

    /// The current file, if it is not the one that is open.
    fn next_file(&self) -> io::Result<Option<File>> {
        let Some(current) = open(self.log.current())? else { return Ok(None) };
        let is_open = match &self.open {
            Some(open) => identity(open.get_ref())? == identity(&current)?,
            None => false,
        };
        Ok(Some(current).filter(|_| !is_open))
    }

    fn read_open_file(&mut self, each: &mut impl FnMut(&str)) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        while open.read_until(b'\n', &mut self.partial)? != 0 {
            if self.partial.ends_with(b"\n") {
                each(&String::from_utf8_lossy(&self.partial));
                self.partial.clear();
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn read(files: &mut LogFiles) -> Vec<String> {
        let mut lines = Vec::new();
        files.read_on(|line| lines.push(line.trim_end().to_owned())).unwrap();
        lines
    }

    #[test]
    fn every_line_is_read_once_and_in_order_across_the_files() {
        let home = std::env::temp_dir().join(format!("northstar-audit-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        let log = RequestLog::new(&home);
        let mut files = LogFiles::new(log.clone());
        assert!(read(&mut files).is_empty() && !files.are_there());

        fs::write(log.older(), "a\nb\n").unwrap();
        fs::write(log.current(), "c\nd").unwrap();
        let mut files = LogFiles::new(log.clone());
        assert_eq!(read(&mut files), ["a", "b", "c"]);
        let append =
            |text: &[u8]| fs::File::options().append(true).open(log.current()).unwrap().write_all(text).unwrap();
        append(b"d\ne\nf");
        assert_eq!(read(&mut files), ["dd", "e"]);
        append(b"f\n");
        fs::rename(log.current(), log.older()).unwrap();
        assert_eq!(read(&mut files), ["ff"], "there is no current file for a moment");
        fs::write(log.current(), "g\n").unwrap();
        assert_eq!(read(&mut files), ["g"]);
        append(b"h\n");
        fs::rename(log.current(), log.older()).unwrap();
        fs::write(log.current(), "i\n").unwrap();
        assert_eq!(read(&mut files), ["h", "i"]);
        assert!(read(&mut files).is_empty());
        fs::remove_dir_all(home).unwrap();
    }
}
