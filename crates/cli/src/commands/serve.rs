//! `northstar serve`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use clap::Args;
use local::{Demo, Home, RequestLog, ServeOptions, Serving};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::{Failure, line};
use crate::place::DEFAULT_HOME;

/// See the field's help.
#[derive(Args)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Issuer and base of every URL, when something else stands in front: https://host
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Rename WWW-Authenticate in answers, as API Gateway is reported to
    #[arg(long)]
    remap_www_authenticate: bool,
    /// Start a small Salesforce org on this machine too, as the org "demo", with demo data, and the servers
    /// salesforce-read and salesforce-write over it
    #[arg(long)]
    with_org: bool,
    /// Let upstreams be on this machine too, for tests and demos; otherwise they are public hosts over https
    #[arg(long)]
    allow_loopback_upstreams: bool,
    /// Stop when standard input ends, so that a script that ends early leaves no server behind
    #[arg(long)]
    stop_with_stdin: bool,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(home: Home, options: Options) -> Result<(), Failure> {
    request_log::write_to(Both(home.request_log()));
    http_api::function::log_panics();
    let (stop_with_stdin, with_hosted) = (options.stop_with_stdin, options.allow_loopback_upstreams);
    let options = ServeOptions {
        port: options.port,
        home: home.clone(),
        public_url: options.public_url,
        remap_www_authenticate: options.remap_www_authenticate,
        with_org: options.with_org,
        allow_loopback_upstreams: options.allow_loopback_upstreams,
    };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let serving = Serving::start(options).await?;
    line(&banner(&home, &serving.demo, serving.org.as_ref().map(|org| org.url()), with_hosted))?;
    line(&format!("listening on {}", serving.address))?;
    serving
        .run(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = end_of_stdin(), if stop_with_stdin => {}
            }
        })
        .await;
    Ok(())
}

/// Standard output and the home's request lines.
struct Both(RequestLog);

impl Write for Both {
    /// A line that one of them does not take is lost there alone.
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        let kept = self.0.append(lines);
        std::io::stdout().lock().write_all(lines).and(kept)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On a thread of its own, not one of the runtime's: the runtime would wait for it before the process ends.
async fn end_of_stdin() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Path of one of the MCP servers that the stand-in hosts as Salesforce does; `upstream add --allow-loopback` takes it.
const HOSTED: &str = "/platform/mcp/v1/platform/sobject-all";

/// Lines to paste. The secret stays in its file, from which curl reads it.
fn banner(home: &Home, demo: &Demo, org: Option<&str>, with_hosted: bool) -> String {
    let Demo { token_url, mcp_url, .. } = demo;
    let file = home.file("demo.json");
    let file = file.display();
    let mut text = String::new();
    let _ = writeln!(text, "Northstar {}: MCP for Salesforce Agentforce, on this machine", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text);
    let _ = writeln!(text, "  MCP server      {mcp_url}");
    let _ = writeln!(text, "  token endpoint  {token_url}");
    let _ = writeln!(text, "  demo client     {file}");
    if let Some(url) = org {
        let _ = writeln!(text, "  Salesforce org  {url} (demo data, new with each start)");
        for server in local::org::servers() {
            let _ = writeln!(text, "  over it         {}", server.name.url(&demo.public_url));
        }
        if with_hosted {
            let _ = writeln!(text, "  hosted MCP      {url}{HOSTED}");
        }
    }
    let _ = writeln!(text);
    let _ = writeln!(text, "Get a token, then ask for an order:");
    let _ = writeln!(text);
    let request = quoted(&format!("@{}", home.file("token-request").display()));
    let _ = writeln!(text, "  TOKEN=$(curl -s {token_url} -d {request} | cut -d '\"' -f 4)");
    let _ = writeln!(text);
    let _ = writeln!(
        text,
        "  curl -s {mcp_url} -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n    \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\
         \"params\":{{\"name\":\"get_order_status\",\"arguments\":{{\"order_id\":\"1001\"}}}}}}'"
    );
    let _ = writeln!(text);
    let program = std::env::args().next().unwrap_or_else(|| "northstar".to_owned());
    let at = if home.path() == Path::new(DEFAULT_HOME) {
        String::new()
    } else {
        format!(" --home {}", quoted(&home.path().display().to_string()))
    };
    let _ = writeln!(text, "Or in one step:");
    let _ = writeln!(text);
    let program = quoted(&program);
    let _ = writeln!(text, "  {program} call get_order_status order_id=1001{at}");
    if org.is_some() {
        let _ = writeln!(text, "  {program} call salesforce_list_contacts limit:=3 --server salesforce-read{at}");
    }
    text
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&byte);
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
