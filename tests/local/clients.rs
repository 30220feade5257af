//! The life of a client at the command line: what it may be, what changes, what follows for its tokens.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use black_box::key_pair::KeyPair;
use black_box::{Server, shared};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{run, run_json, run_with};

/// Within so long a change of a client holds everywhere: 30 s by the rule, and what a busy machine takes to ask.
const HOLDS: Duration = Duration::from_secs(33);
/// Within so long the tokens of before are refused: 10 s by the rule.
const CUT: Duration = Duration::from_secs(13);

fn initialised() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["init"]).0, 0);
    home
}

#[track_caller]
fn create(home: &Path, arguments: &[&str]) -> (String, Option<String>) {
    let (code, made) = run_json(home, &[&["client", "create", "Test"], arguments].concat());
    assert_eq!(code, 0, "{arguments:?}");
    (made["client_id"].as_str().unwrap().to_owned(), made["client_secret"].as_str().map(str::to_owned))
}

/// A file with a JWK Set of one key, and the key's id.
fn jwks(directory: &Path) -> (PathBuf, String) {
    let key = KeyPair::p256().jwk;
    let file = directory.join("jwks.json");
    std::fs::write(&file, json!({ "keys": [key] }).to_string()).unwrap();
    (file, key["kid"].as_str().unwrap().to_owned())
}

fn secret_names(home: &Path) -> String {
    let secrets: Value = serde_json::from_slice(&std::fs::read(home.join("secrets.json")).unwrap()).unwrap();
    secrets.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join("\n")
}

#[test]
fn a_client_that_only_signs_assertions_has_keys_and_no_secret() {
    let home = initialised();
    let (file, kid) = jwks(home.path());
    let arguments = ["--auth-method", "private_key_jwt", "--jwks", file.to_str().unwrap()];
    let (id, secret) = create(home.path(), &arguments);
    assert_eq!(secret, None);
    assert!(!secret_names(home.path()).contains(&id));
    let (_, shown) = run_json(home.path(), &["client", "show", &id]);
    assert_eq!((&shown["auth_methods"], &shown["secrets"]), (&json!(["private_key_jwt"]), &json!([])));
    assert_eq!((&shown["assertion_audience"], shown.get("secret_id")), (&json!("issuer"), None));
    let (_, output, _) = run(home.path(), &["client", "show", &id]);
    assert!(output.contains(&format!("keys            {kid}\naudience        the issuer\n")), "{output}");
    assert!(!output.contains("secret"), "{output}");

    let (code, output, errors) = run(home.path(), &[&["client", "create", "Plain"][..], &arguments].concat());
    assert!(code == 0 && output.starts_with("client_id ") && output.lines().count() == 1, "{output}");
    assert_eq!(errors, "");
}

#[test]
fn a_client_may_have_a_secret_and_keys() {
    let home = initialised();
    let (file, _) = jwks(home.path());
    let both = ["--auth-method", "private_key_jwt", "--auth-method", "client_secret_basic"];
    let more = ["--jwks", file.to_str().unwrap(), "--assertion-audience", "token-endpoint", "--quiet-period", "5s"];
    let (id, secret) = create(home.path(), &[&both[..], &more].concat());
    assert!(secret.is_some());
    let (_, shown) = run_json(home.path(), &["client", "show", &id]);
    assert_eq!(shown["auth_methods"], json!(["client_secret_basic", "private_key_jwt"]));
    assert_eq!((&shown["assertion_audience"], &shown["quiet_period"]), (&json!("token-endpoint"), &json!(5)));
    assert_eq!(shown["secrets"][0]["stage"], "current");
}

#[test]
fn methods_and_keys_that_do_not_belong_together_are_explained() {
    let home = initialised();
    let (file, _) = jwks(home.path());
    let file = file.to_str().unwrap();
    let (private, empty) = (home.path().join("private.json"), home.path().join("empty.json"));
    let private_key = json!({ "kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "canary-d", "kid": "k" });
    std::fs::write(&private, json!({ "keys": [private_key] }).to_string()).unwrap();
    std::fs::write(&empty, "{}").unwrap();
    let (private, empty) = (private.to_str().unwrap(), empty.to_str().unwrap());
    let signs = ["--auth-method", "private_key_jwt"];
    for (arguments, says) in [
        (&signs[..], "add --jwks FILE or --jwks-uri URL"),
        (&["--jwks", file], "add --auth-method private_key_jwt"),
        (&["--jwks-uri", "http://127.0.0.1:1/jwks"], "add --auth-method private_key_jwt"),
        (&["--auth-method", "client_secret_post", "--jwks", file], "add --auth-method private_key_jwt"),
        (&["--assertion-audience", "issuer"], "--assertion-audience is for --auth-method private_key_jwt"),
        (&[&signs[..], &["--jwks", file, "--jwks-uri", "https://example.com/jwks"]].concat(), "cannot be used with"),
        (&[&signs[..], &["--jwks", private]].concat(), "private"),
        (&[&signs[..], &["--jwks", empty]].concat(), "not a JWK Set"),
        (&[&signs[..], &["--jwks-uri", "http://example.com/jwks"]].concat(), "https"),
        (&[&signs[..], &["--jwks-uri", "https://10.0.0.1/jwks"]].concat(), "not by an IP address"),
    ] {
        let (code, output, errors) = run(home.path(), &[&["client", "create", "Test"], arguments].concat());
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(says) && !errors.contains("canary"), "{arguments:?}: {errors}");
    }
    let arguments = ["client", "create", "Test", "--auth-method", "private_key_jwt", "--jwks", "no-such-file"];
    let (code, _, errors) = run(home.path(), &arguments);
    assert!(code == 1 && errors.contains("no-such-file"), "{errors}");
    assert_eq!(run_json(home.path(), &["client", "list"]), (0, json!([])), "nothing has been made");
    assert!(!secret_names(home.path()).contains("clients/"));
}

#[test]
fn a_url_that_serves_no_keys_yet_is_taken_with_a_warning() {
    let home = initialised();
    let url = "http://127.0.0.1:1/jwks";
    let arguments = ["client", "create", "Test", "--auth-method", "private_key_jwt", "--jwks-uri", url];
    let (code, output, errors) = run(home.path(), &arguments);
    assert!(code == 0 && errors.starts_with(&format!("Warning: {url} serves no keys now")), "{errors}");
    let id = output.trim().strip_prefix("client_id").unwrap().trim();
    let (_, output, _) = run(home.path(), &["client", "show", id]);
    assert!(output.contains(&format!("keys            at {url}\n")), "{output}");
}

#[test]
fn update_changes_what_is_given_and_nothing_else() {
    let home = initialised();
    let (id, _) = create(home.path(), &["--scope", "mcp.read", "--expires", "2099-01-31"]);
    let show = || run_json(home.path(), &["client", "show", &id]).1;
    let mut expected = show();
    let as_json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (option, value, field, now) in [
        ("--name", "Renamed", "name", r#""Renamed""#),
        ("--scope", "mcp.write", "scopes", r#"["mcp.write"]"#),
        ("--token-lifetime", "1h", "token_lifetime", "3600"),
        ("--token-limit", "60/min", "token_limit", r#""60/min""#),
        ("--quiet-period", "2d", "quiet_period", "172800"),
        ("--expires", "2099-02-01", "expires_at", "4073587200"),
        ("--auth-method", "client_secret_basic", "auth_methods", r#"["client_secret_basic"]"#),
    ] {
        let (code, mut updated) = run_json(home.path(), &["client", "update", &id, option, value]);
        assert_eq!(code, 0, "{option}");
        expected[field] = as_json(now);
        expected["default_scopes"] = updated["default_scopes"].clone();
        expected["version"] = json!(expected["version"].as_u64().unwrap() + 1);
        assert_eq!(updated.as_object_mut().unwrap().shift_remove("tokens_cut"), Some(json!(false)), "{option}");
        assert_eq!(updated, expected, "{option}");
        assert_eq!(show(), expected, "{option}");
    }
    let (code, updated) = run_json(home.path(), &["client", "update", &id, "--expires", "never"]);
    assert_eq!((code, updated.get("expires_at")), (0, None));
    let (code, updated) = run_json(home.path(), &["client", "update", &id, "--token-limit", "none"]);
    assert_eq!((code, updated.get("token_limit")), (0, None));
    let before = show();
    let (code, same) = run_json(home.path(), &["client", "update", &id, "--name", "Renamed", "--expires", "never"]);
    assert_eq!(
        (code, &same["version"], show()),
        (0, &before["version"], before.clone()),
        "what is so already is no change"
    );
}

#[test]
fn an_update_that_cannot_be_is_refused_and_changes_nothing() {
    let home = initialised();
    let (id, _) = create(home.path(), &[]);
    let before = run_json(home.path(), &["client", "show", &id]);
    for (arguments, code, says) in [
        (&[][..], 2, "say what to change"),
        (&["--server", "nowhere"], 2, "no MCP server nowhere"),
        (&["--scope", "mcp.admin"], 2, "unknown scope"),
        (&["--auth-method", "private_key_jwt"], 2, "add --jwks FILE or --jwks-uri URL"),
        (&["--jwks-uri", "http://127.0.0.1:1/jwks"], 2, "add --auth-method private_key_jwt"),
        (&["--assertion-audience", "token-endpoint"], 2, "is for --auth-method private_key_jwt"),
        (&["--jwks", "no-such-file"], 1, "no-such-file"),
    ] {
        let (done, output, errors) = run(home.path(), &[&["client", "update", &id], arguments].concat());
        assert_eq!((done, output.as_str()), (code, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
        assert_eq!(run_json(home.path(), &["client", "show", &id]), before, "{arguments:?}");
    }
    for command in [&["update", "nobody", "--name", "A"][..], &["enable", "nobody"], &["delete", "nobody", "--yes"]] {
        let (code, output, errors) = run(home.path(), &[&["client"], command].concat());
        assert!(
            code == 1 && output.is_empty() && errors.contains("there is no client nobody"),
            "{command:?}: {errors}"
        );
    }
}

#[test]
fn a_narrowed_client_is_told_about_its_tokens_and_a_widened_one_is_not() {
    let home = initialised();
    let (id, _) = create(home.path(), &["--scope", "mcp.write"]);
    for (scope, cut) in [("mcp.read", true), ("mcp.write", false), ("mcp.write", false)] {
        let (code, updated) = run_json(home.path(), &["client", "update", &id, "--scope", scope]);
        assert_eq!((code, &updated["tokens_cut"]), (0, &json!(cut)), "{scope}");
    }
    let (code, _, errors) = run(home.path(), &["client", "update", &id, "--scope", "mcp.read"]);
    assert!(code == 0 && errors.contains("refused within 10 seconds"), "{errors}");
    let (code, _, errors) = run(home.path(), &["client", "update", &id, "--scope", "mcp.write"]);
    assert_eq!((code, errors.as_str()), (0, ""));
}

#[test]
fn a_secret_comes_and_goes_with_the_methods_that_need_it() {
    let home = initialised();
    let (file, _) = jwks(home.path());
    let (id, first) = create(home.path(), &[]);
    let signs = ["client", "update", &id, "--auth-method", "private_key_jwt"];
    let (code, updated) = run_json(home.path(), &[&signs[..], &["--jwks", file.to_str().unwrap()]].concat());
    assert_eq!((code, &updated["secrets"], updated.get("client_secret")), (0, &json!([]), None));
    assert!(!secret_names(home.path()).contains(&id), "it is deleted");

    let back = ["client", "update", &id, "--auth-method", "client_secret_post"];
    let (code, updated) = run_json(home.path(), &back);
    let second = updated["client_secret"].as_str().unwrap().to_owned();
    assert_eq!((code, updated.get("keys")), (0, None), "the keys go with their method");
    assert_ne!(Some(&second), first.as_ref());
    let (_, again) = run_json(home.path(), &back);
    assert_eq!(again.get("client_secret"), None, "it is shown once");
    let shown = run_json(home.path(), &["client", "show", &id]).1.to_string();
    assert!(!shown.contains(&second));

    let server = Server::start_in(home.path(), 0, &[]);
    for (secret, code) in [(second, 0), (first.unwrap(), 1)] {
        let environment = [("NORTHSTAR_CLIENT_ID", id.as_str()), ("NORTHSTAR_CLIENT_SECRET", &secret)];
        assert_eq!(run_with(server.home(), &environment, "", &["token"]).0, code);
    }
}

#[test]
fn what_an_interrupted_update_left_of_a_secret_is_not_used() {
    let home = initialised();
    let (file, _) = jwks(home.path());
    let secrets = home.path().join("secrets.json");
    let (id, first) = create(home.path(), &[]);
    let left = std::fs::read(&secrets).unwrap();
    let signs = ["client", "update", &id, "--auth-method", "private_key_jwt", "--jwks", file.to_str().unwrap()];
    assert_eq!(run(home.path(), &signs).0, 0);
    std::fs::write(&secrets, left).unwrap();
    let (_, updated) = run_json(home.path(), &["client", "update", &id, "--auth-method", "client_secret_post"]);
    assert_ne!(updated["client_secret"].as_str(), first.as_deref());
    assert!(!std::fs::read_to_string(&secrets).unwrap().contains(&first.unwrap()));
}

#[test]
fn a_client_is_deleted_with_its_secret_when_that_is_confirmed() {
    let home = initialised();
    let (id, _) = create(home.path(), &[]);
    let (code, output, errors) = run(home.path(), &["client", "delete", &id]);
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(errors.contains("add --yes"), "{errors}");
    assert_eq!(run(home.path(), &["client", "show", &id]).0, 0, "nobody was asked, nothing was done");

    let secrets = home.path().join("secrets.json");
    let left = std::fs::read(&secrets).unwrap();
    let deleted = json!({ "client_id": id, "deleted": true });
    assert_eq!(run_json(home.path(), &["client", "delete", &id, "--yes"]), (0, deleted));
    assert_eq!(run(home.path(), &["client", "show", &id]).0, 1);
    assert!(!secret_names(home.path()).contains(&id));
    assert_eq!(run(home.path(), &["client", "delete", &id, "--yes"]).0, 1, "there is nothing left of it");

    // As if the run had ended between the record and the secret.
    std::fs::write(&secrets, left).unwrap();
    let (code, output, _) = run(home.path(), &["client", "delete", &id, "--yes"]);
    assert_eq!((code, output), (0, format!("deleted {id}\n")));
    assert!(!secret_names(home.path()).contains(&id));
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    let server = Server::start(&[]);
    let (id, _) = create(server.home(), &[]);
    let changes = [
        ["--name", "Together"],
        ["--token-lifetime", "5m"],
        ["--quiet-period", "3d"],
        ["--expires", "2099-01-31"],
        ["--scope", "mcp.write"],
    ];
    std::thread::scope(|scope| {
        for change in changes {
            let (home, id) = (server.home(), &id);
            scope.spawn(move || {
                let (code, _, errors) = run(home, &[&["client", "update", id], &change[..]].concat());
                assert_eq!(code, 0, "{change:?}: {errors}");
            });
        }
    });
    let (_, shown) = run_json(server.home(), &["client", "show", &id]);
    assert_eq!((&shown["name"], &shown["version"]), (&json!("Together"), &json!(6)));
    assert_eq!((&shown["token_lifetime"], &shown["quiet_period"]), (&json!(300), &json!(259_200)));
    assert_eq!((&shown["expires_at"], &shown["scopes"]), (&json!(4_073_500_800_u64), &json!(["mcp.write"])));
}

#[test]
fn an_enabled_client_that_has_expired_is_told_so() {
    let home = initialised();
    let (id, _) = create(home.path(), &["--expires", "2020-01-31"]);
    assert_eq!(run_json(home.path(), &["client", "show", &id]).1["status"], "expired");
    let (_, output, _) = run(home.path(), &["client", "list"]);
    assert!(output.contains("expired") && output.contains("2020-01-31T00:00:00Z"), "{output}");
    assert_eq!(run_json(home.path(), &["client", "disable", &id]).1["status"], "disabled");
    let (code, _, errors) = run(home.path(), &["client", "enable", &id]);
    assert!(code == 0 && errors.contains("It has expired"), "{errors}");
}

#[tokio::test]
async fn show_tells_when_and_from_where_a_secret_was_used() {
    let server = shared();
    let (id, secret) = create(server.home(), &[]);
    let (_, output, _) = run(server.home(), &["client", "show", &id]);
    assert!(output.contains("current secret  never used\n"), "{output}");
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret.unwrap())];
    let response = server.request("POST", "/token").form(&form).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let (_, shown) = run_json(server.home(), &["client", "show", &id]);
    let version = &shown["secrets"][0];
    assert_eq!((&version["stage"], &version["last_source"]), (&json!("current"), &json!("127.0.0.1")));
    assert_eq!(version["last_used_at"], shown["last_used_at"]);
    assert!(version.get("accepted_until").is_none(), "{version}");
    let (_, output, _) = run(server.home(), &["client", "show", &id]);
    assert!(output.contains("current secret  last used 20") && output.contains("Z from 127.0.0.1\n"), "{output}");
}

#[tokio::test]
async fn after_a_rotation_show_tells_until_when_the_previous_secret_is_accepted() {
    let server = shared();
    let (id, _) = create(server.home(), &["--quiet-period", "1d"]);
    let (code, rotated) = run_json(server.home(), &["client", "rotate", &id]);
    assert!(code == 0 && rotated["client_secret"].is_string(), "{rotated}");
    let (_, shown) = run_json(server.home(), &["client", "show", &id]);
    let stages: Vec<&Value> = shown["secrets"].as_array().unwrap().iter().map(|version| &version["stage"]).collect();
    assert_eq!(stages, ["current", "previous"]);
    let until = shown["secrets"][1]["accepted_until"].as_u64().unwrap();
    assert!(until >= shown["secrets_changed_at"].as_u64().unwrap() + 86_400, "{shown}");
    let (_, output, _) = run(server.home(), &["client", "show", &id]);
    assert!(output.contains("previous secret never used; accepted until 20"), "{output}");
    let (code, ..) = run(server.home(), &["client", "rotate", &id, "--retire-previous"]);
    assert_eq!(code, 0);
    assert_eq!(run_json(server.home(), &["client", "show", &id]).1["secrets"].as_array().unwrap().len(), 1);
}

/// A client that has a token and is remembered by the token endpoint.
struct InUse<'a> {
    server: &'a Server,
    id: String,
    secret: String,
    token: String,
}

impl InUse<'_> {
    async fn new<'a>(server: &'a Server, arguments: &[&str]) -> InUse<'a> {
        let (id, secret) = server.new_client(arguments);
        let mut client = InUse { server, id, secret, token: String::new() };
        let answer = client.ask("mcp.read").await.json::<Value>().await.unwrap();
        client.token = answer["access_token"].as_str().unwrap().to_owned();
        assert!(client.token_works().await);
        client
    }

    async fn ask(&self, scope: &str) -> reqwest::Response {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.id),
            ("client_secret", &self.secret),
            ("scope", scope),
        ];
        self.server.request("POST", "/token").form(&form).send().await.unwrap()
    }

    /// Status and error of a token request.
    async fn asked(&self, scope: &str) -> (u16, String) {
        let response = self.ask(scope).await;
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    }

    async fn token_works(&self) -> bool {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        let status = self.server.mcp(&self.token).body(body).send().await.unwrap().status();
        assert!(status == 200 || status == 401, "{status}");
        status == 200
    }

    async fn is_cut(&self) {
        within(CUT, "the token is refused", async || !self.token_works().await).await;
    }

    async fn is_told(&self, scope: &str, status: u16, error: &str) {
        within(HOLDS, error, async || self.asked(scope).await == (status, error.to_owned())).await;
    }
}

async fn within(time: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < time, "not within {time:?}: {what}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn a_change_cuts_old_tokens_within_10_seconds_and_holds_everywhere_within_30() {
    let server = Server::start(&[]);
    let narrowed = InUse::new(&server, &["--scope", "mcp.write"]).await;
    let disabled = InUse::new(&server, &[]).await;
    let deleted = InUse::new(&server, &[]).await;
    let expired = InUse::new(&server, &[]).await;
    let renamed = InUse::new(&server, &[]).await;
    let (id, secret) = server.new_client(&[]);
    let enabled = InUse { server: &server, id, secret, token: String::new() };
    server.json_command(&["client", "disable", &enabled.id]);
    assert_eq!(enabled.asked("mcp.read").await.0, 401, "it is remembered as it is");

    server.json_command(&["client", "update", &narrowed.id, "--scope", "mcp.read"]);
    server.json_command(&["client", "disable", &disabled.id]);
    server.json_command(&["client", "delete", &deleted.id, "--yes"]);
    server.json_command(&["client", "update", &expired.id, "--expires", "2020-01-31"]);
    server.json_command(&["client", "update", &renamed.id, "--name", "Renamed", "--scope", "mcp.write"]);
    server.json_command(&["client", "enable", &enabled.id]);
    tokio::join!(
        async {
            narrowed.is_cut().await;
            narrowed.is_told("mcp.write", 400, "invalid_scope").await;
            let again = narrowed.ask("mcp.read").await.json::<Value>().await.unwrap();
            let token = again["access_token"].as_str().unwrap().to_owned();
            assert!(InUse { token, id: String::new(), secret: String::new(), server: &server }.token_works().await);
        },
        async {
            disabled.is_cut().await;
            disabled.is_told("mcp.read", 401, "invalid_client").await;
        },
        async {
            deleted.is_cut().await;
            deleted.is_told("mcp.read", 401, "invalid_client").await;
        },
        expired.is_told("mcp.read", 401, "invalid_client"),
        async {
            renamed.is_told("mcp.write", 200, "").await;
            assert!(renamed.token_works().await, "it may do more than before");
        },
        enabled.is_told("mcp.read", 200, ""),
    );
}

#[tokio::test]
async fn token_revoke_says_done_and_the_token_is_refused_within_10_seconds() {
    let server = Server::start(&[]);
    let (by_stdin, by_environment, kept) = (server.token().await, server.token().await, server.token().await);
    let (code, output, errors) = run_with(server.home(), &[], &format!("{by_stdin}\n"), &["token", "revoke"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(output.starts_with("done") && output.contains("10 seconds"), "{output}");
    let environment = [("NORTHSTAR_ACCESS_TOKEN", by_environment.as_str())];
    let (code, output, _) = run_with(server.home(), &environment, "", &["token", "revoke", "--json"]);
    assert_eq!((code, serde_json::from_str(&output).unwrap()), (0, json!({ "revoked": true })));

    let client = |token| InUse { token, id: String::new(), secret: String::new(), server: &server };
    let revoked = [client(by_stdin), client(by_environment)];
    tokio::join!(revoked[0].is_cut(), revoked[1].is_cut());
    assert!(client(kept).token_works().await);
}

#[test]
fn token_revoke_refuses_what_is_no_token_and_says_when_the_server_refuses_it() {
    let server = shared();
    for input in ["", "\n", "a token", "{\"access_token\":\"canary\"}", "one\ntwo", "é"] {
        let (code, output, errors) = run_with(server.home(), &[], input, &["token", "revoke"]);
        assert_eq!((code, output.as_str()), (2, ""), "{input}: {errors}");
        assert!(errors.contains("on standard input") && !errors.contains("canary"), "{errors}");
    }
    let (code, ..) = run_with(server.home(), &[], "not.a.token", &["token", "revoke"]);
    assert_eq!(code, 0, "RFC 7009, section 2.2: an invalid token is no error");
    let wrong = [("NORTHSTAR_CLIENT_ID", "demo"), ("NORTHSTAR_CLIENT_SECRET", "wrong")];
    let (code, output, errors) = run_with(server.home(), &wrong, "not.a.token", &["token", "revoke"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(errors.contains("/revoke says 401") && errors.contains("invalid_client"), "{errors}");
}
