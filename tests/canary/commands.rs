//! Commands that have to do with secrets: what they print, apart from the one secret that they are for.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use black_box::{Server, binary};
use local::home::{CLIENT_SECRET_PREFIX, SIGNING_KEYS};
use serde_json::{Value, json};

use crate::requests::Callers;
use crate::run::{self, Run};

/// What a command is for: this goes out on standard output, once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prints {
    Nothing,
    ClientSecret,
    AccessToken,
    /// What a tool answers.
    Answer,
}

/// A line for `northstar stdio`.
const ORDER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_order_status","arguments":{"order_id":"1001"}}}"#;

struct Commands<'a> {
    run: &'a Run,
    home: &'a Path,
}

impl Commands<'_> {
    fn run(&self, arguments: &[&str], prints: Prints) -> String {
        self.run_with(arguments, prints, &[], "")
    }

    /// Standard output, after everything else was captured.
    fn run_with(&self, arguments: &[&str], prints: Prints, environment: &[(&str, &str)], input: &str) -> String {
        let mut child = Command::new(binary("northstar"))
            .args(arguments)
            .arg("--home")
            .arg(self.home)
            .env_remove("NORTHSTAR_HOME")
            .env_remove("NORTHSTAR_STACK")
            .envs(run::environment(self.run))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that takes nothing may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let what = format!("northstar {}", arguments.join(" "));
        let stdout = String::from_utf8(output.stdout).unwrap();
        let place = match prints {
            Prints::ClientSecret => "client secret, current",
            _ => "access token",
        };
        let secret = match prints {
            Prints::Nothing => None,
            Prints::Answer => Some(stdout.clone()),
            _ => Some(self.run.plant(place, &printed(&stdout, prints))),
        };
        if let Some(secret) = &secret {
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(stdout.matches(secret.as_str()).count(), 1, "{what}");
        }
        self.run
            .capture(format!("standard output of {what}"), secret.map_or(stdout.clone(), |it| stdout.replace(&it, "")));
        self.run.capture(format!("standard error of {what}"), output.stderr);
        stdout
    }
}

fn printed(stdout: &str, prints: Prints) -> String {
    if let Ok(document) = serde_json::from_str::<Value>(stdout) {
        let name = if prints == Prints::ClientSecret { "client_secret" } else { "access_token" };
        return document[name].as_str().unwrap().to_owned();
    }
    let line = stdout.lines().last().unwrap();
    line.strip_prefix("client_secret").unwrap_or(line).trim().to_owned()
}

/// Commands on a home, whose server may run.
pub fn on(run: &Run, server: Option<&Server>, home: &Path, callers: &Callers) {
    use Prints::{AccessToken, Answer, ClientSecret, Nothing};
    let commands = Commands { run, home };
    let client = |arguments: &[&str]| {
        let made = commands.run(&[&["client", "create", "Canary"], arguments].concat(), ClientSecret);
        let made: Value = serde_json::from_str(&made).unwrap();
        made["client_id"].as_str().unwrap().to_owned()
    };
    let id = client(&["--json"]);
    let id = id.as_str();
    commands.run(&["client", "create", "Canary"], ClientSecret);
    for json in [["--json"].as_slice(), &[]] {
        let quiet = |arguments: &[&str]| drop(commands.run(&[arguments, json].concat(), Nothing));
        commands.run(&[&["client", "rotate", id, "--compromised"], json].concat(), ClientSecret);
        quiet(&["client", "rotate", id, "--retire-previous"]);
        commands.run(&[&["client", "rotate", id], json].concat(), ClientSecret);
        run.plant_secrets_of(home);
        quiet(&["client", "rotate", id]);
        quiet(&["client", "show", id]);
        quiet(&["client", "list"]);
        quiet(&["client", "update", id, "--token-lifetime", if json.is_empty() { "10m" } else { "20m" }]);
        quiet(&["client", "disable", id]);
        quiet(&["client", "enable", id]);
        quiet(&["init"]);
        quiet(&["key", "list"]);
        quiet(&["key", "rotate"]);
        quiet(&["audit", "tail"]);
        quiet(&["audit", "explain", "unknown="]);
        run.plant_secrets_of(home);
    }
    private_keys(&commands, callers);
    commands.run(&["client", "delete", id], Nothing);
    commands.run(&["client", "delete", id, "--yes"], Nothing);
    import(&commands);

    let caller = [("NORTHSTAR_CLIENT_ID", callers.client_id.as_str())];
    let with_secret = |secret| [caller[0], ("NORTHSTAR_CLIENT_SECRET", secret)];
    let wrong = run.marker("client secret, wrong");
    if server.is_some() {
        commands.run(&["token"], AccessToken);
        commands.run(&["token", "--json"], AccessToken);
        commands.run(&["call", "get_order_status", "order_id=1001"], Answer);
        commands.run_with(&["token"], AccessToken, &with_secret(&callers.client_secret), "");
        commands.run_with(&["stdio"], Answer, &[], ORDER);
    }
    commands.run_with(&["stdio"], Nothing, &with_secret(&wrong), ORDER);
    commands.run_with(&["token"], Nothing, &with_secret(&wrong), "");
    commands.run_with(&["token"], Nothing, &[("NORTHSTAR_CLIENT_SECRET", &wrong)], "");
    commands.run_with(&["call", "get_order_status", "order_id=1001"], Nothing, &with_secret(&wrong), "");
    let elsewhere =
        [caller[0], ("NORTHSTAR_CLIENT_SECRET", wrong.as_str()), ("NORTHSTAR_PUBLIC_URL", "http://127.0.0.1:1")];
    commands.run_with(&["token"], Nothing, &elsewhere, "");

    let marker = || run.marker("standard input");
    for input in [
        callers.access_token.clone(),
        marker(),
        format!("{} {}", marker(), callers.access_token),
        format!("{}\n{}\n", marker(), marker()),
        format!("Bearer {}", marker()),
        format!("\"{}\"", marker()),
        marker().repeat(4_000),
    ] {
        for environment in [with_secret(&callers.client_secret).as_slice(), &with_secret(&wrong), &elsewhere] {
            commands.run_with(&["token", "revoke"], Nothing, environment, &input);
        }
    }
    let token = marker();
    commands.run_with(&["token", "revoke"], Nothing, &[("NORTHSTAR_ACCESS_TOKEN", &token)], "");
    commands.run_with(&["token", "revoke"], Nothing, &[("NORTHSTAR_ACCESS_TOKEN", &format!("{token} {token}"))], "");
}

fn private_keys(commands: &Commands, callers: &Callers) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let marker = || commands.run.marker("private key in a JWK Set");
    let mut private = callers.key.jwk.clone();
    private["d"] = json!(marker());
    let pem: Vec<&str> = callers.key.pem.lines().filter(|line| line.len() >= 32 && !line.starts_with('-')).collect();
    for line in &pem {
        commands.run.plant("private key in a JWK Set", line);
    }
    for text in [
        json!({ "keys": [private] }).to_string(),
        json!({ "keys": [{ "kty": "oct", "k": marker() }] }).to_string(),
        json!({ "keys": [marker()] }).to_string(),
        json!({ "keys": [{ "kty": marker(), "use": marker(), "alg": marker(), "x": marker() }] }).to_string(),
        json!(marker()).to_string(),
        marker(),
        format!(r#"{{"keys":[{{"d":"{}""#, marker()),
        callers.key.pem.clone(),
    ] {
        std::fs::write(&file, text).unwrap();
        let keys = ["--auth-method", "private_key_jwt", "--jwks", file.to_str().unwrap()];
        commands.run(&[&["client", "create", "Canary"], keys.as_slice()].concat(), Prints::Nothing);
        commands.run(&[&["client", "update", &callers.client_id_with_key], keys.as_slice()].concat(), Prints::Nothing);
    }
}

fn import(commands: &Commands) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.csv");
    let order = || commands.run.marker("order");
    let row = format!("{},{},SHIPPED,{},2026-07-03,2026-06-28T09:14:00Z", order(), order(), order());
    let text = format!("order_id,customer_id,status,carrier,eta,ordered_at\n{row}\n");
    std::fs::write(&file, text).unwrap();
    for more in [["--dry-run"].as_slice(), &[], &["--json"]] {
        commands.run(&[&["import", "orders", file.to_str().unwrap()], more].concat(), Prints::Nothing);
    }
}

/// Commands on a home whose files are damaged.
pub fn on_damaged_files(run: &Run, home: &Path) {
    let commands = Commands { run, home };
    let marker = || run.marker("damaged secret");
    let (secrets, demo) = (home.join("secrets.json"), home.join("demo.json"));
    let (good_secrets, good_demo) = (std::fs::read(&secrets).unwrap(), std::fs::read(&demo).unwrap());
    let version = |value: Value| json!({ "v": { "value": value, "stages": ["AWSCURRENT"] } });
    for text in [
        marker(),
        format!("\"{}", marker()),
        json!([marker()]).to_string(),
        json!({ SIGNING_KEYS: marker() }).to_string(),
        json!({ SIGNING_KEYS: { "v": marker() } }).to_string(),
        json!({ SIGNING_KEYS: { "v": { "value": marker(), "stages": [marker()] } } }).to_string(),
        json!({ SIGNING_KEYS: version(json!(marker())), format!("{CLIENT_SECRET_PREFIX}demo"): version(json!([marker()])) })
            .to_string(),
        json!({ SIGNING_KEYS: version(json!(marker())) }).to_string(),
    ] {
        std::fs::write(&secrets, text).unwrap();
        for arguments in [
            ["init"].as_slice(),
            &["key", "rotate"],
            &["client", "create", "Canary"],
            &["client", "rotate", "demo"],
            &["client", "rotate", "demo", "--compromised"],
            &["client", "show", "demo"],
            &["serve", "--port", "0", "--stop-with-stdin"],
        ] {
            commands.run(arguments, Prints::Nothing);
        }
    }
    std::fs::write(&secrets, good_secrets).unwrap();
    for text in [
        marker(),
        json!([marker()]).to_string(),
        json!({ "client_id": [marker()], "client_secret": marker() }).to_string(),
    ] {
        std::fs::write(&demo, text).unwrap();
        for arguments in [
            ["token"].as_slice(),
            &["token", "revoke"],
            &["call", "get_order_status", "order_id=1001"],
            &["serve", "--port", "0", "--stop-with-stdin"],
        ] {
            commands.run(arguments, Prints::Nothing);
        }
    }
    std::fs::write(&demo, good_demo).unwrap();
}
