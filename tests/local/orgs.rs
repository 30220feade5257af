//! Orgs: registered, tested against the stand-in, used by a server, removed.

use std::path::Path;
use std::process::Command;

use black_box::Server;
use salesforce_standin::{ConnectedApp, Fault, FaultKind, Options, Org, Standin};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{run, run_json, run_with};

const KEY: &str = "3MVG9standin";

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["init"]).0, 0);
    home
}

async fn standin() -> Standin {
    Standin::start(Org::demo(), Options::default()).await.unwrap()
}

/// `northstar org add` of the stand-in: exit code and what it says.
fn add(home: &Path, url: &str, name: &str, secrets: &str, more: &[&str]) -> (i32, String) {
    let arguments = [&["org", "add", name, "--login-url", url, "--client-id", KEY], more].concat();
    let (code, output, errors) = run_with(home, &[], secrets, &arguments);
    (code, output + &errors)
}

fn add_with_credentials(home: &Path, standin: &Standin, name: &str) {
    let secret = ConnectedApp::default().client_secret;
    let (code, said) = add(home, standin.url(), name, &secret, &["--flow", "client-credentials"]);
    assert_eq!((code, said.lines().next().unwrap()), (0, format!("added {name}").as_str()), "{said}");
}

/// What `northstar org test` finds: exit code, and code and advice of the step that does not work.
fn tested(home: &Path, name: &str) -> (i32, Value) {
    let (code, mut document) = run_json(home, &["org", "test", name]);
    (code, document["steps"].as_array_mut().unwrap().pop().unwrap())
}

fn of_list(home: &Path, name: &str) -> Value {
    let (_, orgs) = run_json(home, &["org", "list"]);
    orgs.as_array().unwrap().iter().find(|org| org["name"] == name).unwrap().clone()
}

/// An RSA key pair in PEM, by OpenSSL.
fn rsa(folder: &Path) -> (String, String) {
    let (private, public) = (folder.join("key.pem"), folder.join("public.pem"));
    let openssl = |arguments: &[&str]| {
        assert!(Command::new("openssl").args(arguments).output().unwrap().status.success(), "{arguments:?}");
    };
    let [private_path, public_path] = [&private, &public].map(|path| path.to_str().unwrap());
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private_path]);
    openssl(&["pkey", "-in", private_path, "-pubout", "-out", public_path]);
    (std::fs::read_to_string(private).unwrap(), std::fs::read_to_string(public).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flow_leads_to_a_token_and_a_description() {
    let home = home();
    let (private, public) = rsa(home.path());
    let connected_app = ConnectedApp { jwt_public_key: Some(public), ..ConnectedApp::default() };
    let options = Options { connected_app: connected_app.clone(), rotate_refresh_tokens: true, ..Options::default() };
    let standin = Standin::start(Org::demo(), options).await.unwrap();
    let ConnectedApp { client_secret, refresh_token, .. } = connected_app;
    let basic = ["--flow", "client-credentials", "--client-auth", "basic"];
    let jwt = ["--flow", "jwt-bearer", "--subject", salesforce_standin::USERNAME];
    let both = format!("{refresh_token}\n{client_secret}\n");
    for (name, secrets, flow) in [
        ("credentials", client_secret.as_str(), &["--flow", "client-credentials"][..]),
        ("basic", client_secret.as_str(), &basic),
        ("jwt", private.as_str(), &jwt),
        ("refresh", both.as_str(), &["--flow", "refresh-token"]),
    ] {
        let (code, said) = add(home.path(), standin.url(), name, secrets, flow);
        assert_eq!(code, 0, "{name}: {said}");
        for _ in 0..2 {
            let (code, document) = run_json(home.path(), &["org", "test", name]);
            assert_eq!((code, &document["ok"]), (0, &json!(true)), "{name}: {document}");
            let steps: Vec<&str> =
                document["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
            assert_eq!(steps, ["token", "limits", "describe"]);
        }
        assert_eq!(of_list(home.path(), name)["status"], "ok");
    }
    let (_, output, _) = run(home.path(), &["org", "list"]);
    assert!(output.contains("jwt-bearer") && output.contains("refresh-token"), "{output}");
    let kept = std::fs::read_to_string(home.path().join("requests.jsonl")).unwrap();
    assert!(kept.contains(r#""action":"org.add","org":"jwt","outcome":"ok""#), "{kept}");
    for secret in [&client_secret, &refresh_token, &private] {
        assert!(!kept.contains(secret.as_str()) && !output.contains(secret.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_the_page_of_setup() {
    let (home, standin) = (home(), standin().await);
    let home = home.path();
    let credentials = &["--flow", "client-credentials"];
    assert_eq!(add(home, standin.url(), "wrong", "another-secret", credentials).0, 0);
    let (code, step) = tested(home, "wrong");
    assert_eq!((code, &step["code"]), (1, &json!("connection_needs_attention")));
    let advice = step["advice"].as_str().unwrap();
    assert!(advice.contains("External Client App Manager > the app > Settings > OAuth Settings"), "{advice}");
    let listed = of_list(home, "wrong");
    assert_eq!((&listed["status"], listed["reason"].is_string()), (&json!("attention"), true));

    // The right secret in its place, and all is well.
    let secret = ConnectedApp::default().client_secret;
    let (code, said) = add(home, standin.url(), "wrong", &secret, credentials);
    assert_eq!(code, 1);
    assert!(said.contains("there is an org wrong already: add --replace"), "{said}");
    let again = ["--flow", "client-credentials", "--replace"];
    assert_eq!(add(home, standin.url(), "wrong", &secret, &again).0, 0);
    assert_eq!(tested(home, "wrong").0, 0);

    standin.inject(Fault::once(
        "GET",
        "/services/data/limits",
        FaultKind::Status {
            status: 403,
            error_code: "API_DISABLED_FOR_ORG".to_owned(),
            message: "The REST API is not enabled for this Organization".to_owned(),
            after_effect: false,
        },
    ));
    let (code, step) = tested(home, "wrong");
    assert_eq!((code, &step["step"]), (1, &json!("limits")));
    assert!(step["problem"].as_str().unwrap().contains("API_DISABLED_FOR_ORG"), "{step}");
    assert!(step["advice"].as_str().unwrap().contains("API Enabled: Setup > Permission Sets"), "{step}");

    drop(standin);
    let (code, step) = tested(home, "wrong");
    assert_eq!((code, &step["step"]), (1, &json!("token")));
    assert!(step["advice"].as_str().unwrap().contains("Setup > My Domain"), "{step}");
    assert_eq!(run(home, &["org", "test", "nobody"]).0, 1);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_kept() {
    let home = home();
    let my_domain = "https://example.my.salesforce.com";
    for (name, url, secrets, more, said) in [
        ("Sales", my_domain, "x", &["--flow", "client-credentials"][..], "the name of an org is"),
        ("a", "https://evil.example", "x", &["--flow", "client-credentials"], "--login-url"),
        ("a", "https://login.salesforce.com", "x", &["--flow", "client-credentials"], "Setup > My Domain"),
        ("a", my_domain, "", &["--flow", "client-credentials"], "no consumer secret"),
        ("a", my_domain, "", &["--flow", "refresh-token"], "no refresh token"),
        ("a", my_domain, "x", &["--flow", "jwt-bearer"], "--subject"),
        ("a", my_domain, "x", &["--flow", "jwt-bearer", "--subject", "u@example.com"], "RSA private key"),
        ("a", my_domain, "x", &["--flow", "client-credentials", "--subject", "u"], "for --flow jwt-bearer"),
        ("a", my_domain, "x", &["--flow", "client-credentials", "--api-version", "66"], "--api-version"),
        ("a", my_domain, "x", &["--flow", "client-credentials", "--instance-url", "http://x"], "--instance-url"),
        ("a", my_domain, "x", &["--flow", "password"], "possible values"),
    ] {
        let (code, printed) = add(home.path(), url, name, secrets, more);
        assert_eq!(code, 2, "{more:?}: {printed}");
        assert!(printed.contains(said), "{more:?}: {printed}");
    }
    assert_eq!(run_json(home.path(), &["org", "list"]), (0, json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_names_an_org_that_is_registered() {
    let (home, standin) = (home(), standin().await);
    let home = home.path();
    let file = home.join("servers.yaml");
    std::fs::write(&file, "servers:\n  - name: crm\n    org: sales\n    tools: [executeQuery, getRecord]\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, errors) = run(home, &["server", "apply", file]);
    assert_eq!(code, 2);
    assert!(errors.contains(":3:10: there is no org sales; add it with `northstar org add sales`"), "{errors}");
    add_with_credentials(home, &standin, "sales");
    assert_eq!(run(home, &["server", "apply", file]).0, 0);
    assert_eq!(of_list(home, "sales")["servers"], json!(["crm"]));
    // As it is printed it is found unchanged.
    let (_, shown) = run_json(home, &["server", "show", "crm"]);
    let again = home.join("again.json");
    std::fs::write(&again, shown.to_string()).unwrap();
    assert_eq!(run(home, &["server", "diff", again.to_str().unwrap()]).0, 0);

    let (code, _, errors) = run_with(home, &[], "", &["org", "remove", "sales"]);
    assert_eq!(code, 1);
    assert!(errors.contains("The server crm works on it") && errors.contains("add --yes"), "{errors}");
    let (code, removed) = run_json(home, &["org", "remove", "sales", "--yes"]);
    assert_eq!((code, removed), (0, json!({ "name": "sales", "removed": true, "servers": ["crm"] })));
    assert_eq!(run_json(home, &["org", "list"]), (0, json!([])));
    let secrets = std::fs::read_to_string(home.join("secrets.json")).unwrap();
    assert!(!secrets.contains("connections/sales"), "{secrets}");
}

#[tokio::test]
async fn serve_starts_an_org_with_two_servers_and_so_does_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    for start in 0..2 {
        let server = Server::start_in(home.path(), 0, &["--with-org"]);
        let limit = ["call", "salesforce_list_contacts", "limit:=3", "--server", "salesforce-read"];
        let (code, answer) = run_json(home.path(), &limit);
        let rows = answer["structuredContent"]["records"].as_array().map(Vec::len);
        assert_eq!((code, rows), (0, Some(3)), "{start}: {answer}");
        let (_, servers) = run_json(home.path(), &["server", "list"]);
        let names: Vec<&str> =
            servers.as_array().unwrap().iter().map(|server| server["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["default", "salesforce-read", "salesforce-write"], "{servers}");
        assert_eq!(tested(home.path(), "demo").0, 0);
        drop(server);
    }
}
