//! Real APIs of Secrets Manager, CloudWatch Logs, DynamoDB and CloudFormation on this machine: ministack, as `.ci/tools ministack` installs it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::repository;

/// It listens on a free port of 127.0.0.1, and ends with this or with the test process.
pub struct Ministack {
    /// Base of its URLs.
    pub url: String,
    // Ends ministack when its standard input ends.
    keeper: Child,
    _scratch: TempDir,
}

/// Starts a program, prints its process id, and ends it when standard input ends.
const KEEPER: &str = r#""$0" >"$1" 2>&1 & echo $!; read -r _; kill $!; wait $!"#;

impl Ministack {
    /// Starts it, and waits until it answers.
    pub fn start() -> Ministack {
        // A port that was free a moment ago may be taken now.
        let mut attempts = (0..3).filter_map(|_| Ministack::start_at(free_port()));
        attempts.next().expect("ministack starts: run `.ci/tools ministack` first, if you have not")
    }

    fn start_at(port: u16) -> Option<Ministack> {
        let scratch = tempfile::tempdir().unwrap();
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER])
            .arg(repository().join(".tools/ministack/bin/ministack"))
            .arg(scratch.path().join("log"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", scratch.path())
            .env("TMPDIR", scratch.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("SERVICES", "secretsmanager,logs,dynamodb,cloudformation")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("LOG_LEVEL", "WARNING")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let process = std::path::Path::new("/proc").join(line.trim());
        let ministack = Ministack { url: format!("http://127.0.0.1:{port}"), keeper, _scratch: scratch };
        let start = Instant::now();
        while !is_ready(port) {
            // Where there is no /proc the time alone decides.
            let ended = std::path::Path::new("/proc/self").exists() && !process.exists();
            if ended || start.elapsed() > Duration::from_secs(60) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(ministack)
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = "GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && BufReader::new(stream).read_line(&mut answer).is_ok()
        && answer.contains(" 200")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
