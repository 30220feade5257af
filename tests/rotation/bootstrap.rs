//! The program `rotate` under an emulated Lambda Runtime API, with the files of `events/rotate`.

use aws_clients::{SecretStage, Secrets};
use black_box::functions::environment;
use black_box::lambda::Lambda;
use black_box::{Server, event_files, repository};
use local::home::CLIENT_SECRET_PREFIX;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

fn event(file: &str, secret_id: &str, version_id: &str) -> Value {
    let path = repository().join("events/rotate").join(file).with_extension("json");
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("{{secret_id}}", secret_id).replace("{{version_id}}", version_id);
    assert!(!text.contains("{{"), "{file}: an unknown placeholder");
    serde_json::from_str(&text).unwrap()
}

async fn status(server: &Server, client_id: &str, secret: &str) -> StatusCode {
    let form = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", secret)];
    server.request("POST", "/token").form(&form).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bootstrap_takes_the_four_steps_and_reports_what_it_refuses() {
    let server = Server::start(&[]);
    let (client_id, old) = server.new_client(&[]);
    let secret_id = format!("{CLIENT_SECRET_PREFIX}{client_id}");
    let secrets = Secrets::File(server.home().join("secrets.json"));
    let function = Lambda::start("rotate", &server).await;
    let version_id = secrets.begin_rotation(&secret_id).await.unwrap();

    let broken: Vec<String> = event_files("rotate").into_iter().filter(|file| file.starts_with("broken_")).collect();
    assert_eq!(broken.len(), 5);
    for file in &broken {
        let answer = function.invoke(&event(file, &secret_id, &version_id)).await;
        assert_eq!(answer["errorType"], "invalid_event", "{file}: {answer}");
    }
    let early = function.invoke(&event("finish_secret", &secret_id, &version_id)).await;
    assert_eq!(early["errorType"], "rotation_out_of_order");

    assert_eq!(status(&server, &client_id, &old).await, 200, "and the server remembers the client");
    for step in ["create_secret", "set_secret", "test_secret", "finish_secret"] {
        let answer = function.invoke(&event(step, &secret_id, &version_id)).await;
        assert_eq!(answer, json!(null), "{step}");
    }
    let new = secrets.get(&secret_id, SecretStage::Current).await.unwrap().unwrap();
    assert_eq!(new.id, version_id);
    for secret in [new.value.expose_secret(), &old] {
        assert_eq!(status(&server, &client_id, secret).await, 200);
    }
    let again = secrets.begin_rotation(&secret_id).await.unwrap();
    let refused = function.invoke(&event("create_secret", &secret_id, &again)).await;
    assert_eq!(refused["errorType"], "rotation_refused");
    assert!(refused["errorMessage"].as_str().unwrap().contains(&client_id), "{refused}");

    assert_eq!(function.reported().len(), broken.len() + 2);
    let lines = function.log_lines();
    let steps: Vec<(&str, &str, u64)> = lines
        .iter()
        .filter(|line| line["client"] == client_id.as_str())
        .map(|line| {
            (line["method"].as_str().unwrap(), line["outcome"].as_str().unwrap(), line["status"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("finishSecret", "rotation_out_of_order", 409),
            ("createSecret", "ok", 200),
            ("setSecret", "ok", 200),
            ("testSecret", "ok", 200),
            ("finishSecret", "ok", 200),
            ("createSecret", "rotation_refused", 409),
        ]
    );
    let log = function.log() + &server.log();
    assert!(!log.contains(&old) && !log.contains(new.value.expose_secret()), "a secret is in a log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bootstrap_does_not_start_without_its_settings() {
    let server = Server::start(&[]);
    for missing in [
        "NORTHSTAR_PUBLIC_URL",
        "NORTHSTAR_CONFIG_TABLE",
        "NORTHSTAR_STATE_TABLE",
        "NORTHSTAR_SIGNING_KEYS",
        "NORTHSTAR_CLIENT_SECRET_PREFIX",
    ] {
        let mut settings = environment("rotate", &server);
        settings.retain(|(name, _)| *name != missing);
        let mut function = Lambda::start_with("rotate", settings).await;
        assert!(!function.end().await.success(), "{missing}");
        let [line] = &function.log_lines()[..] else { panic!("{}", function.log()) };
        assert_eq!(line["outcome"], "invalid_configuration");
        let names_it = line["message"].as_str().unwrap().contains(missing);
        assert!(names_it, "{missing}: {line}");
    }
}
