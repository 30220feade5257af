//! AS-41: whoever guesses secrets is slowed down and costs nothing; whoever has the right one is not delayed.

use std::time::{Duration, Instant};

use access_token::Scopes;
use black_box::proxy::{Mode, Proxy};
use black_box::secrets_manager::SecretsManager;
use black_box::{Server, shared};
use registry::{AuthMethod, Client, ClientId, NewClient};

use crate::answer::{Answer, basic, post_as, post_with_header};
use crate::endpoint::{Endpoint, SOURCE, change};

fn wrong(id: &str) -> (String, String) {
    (id.to_owned(), "wrong".to_owned())
}

#[tokio::test]
async fn the_sixth_wrong_secret_in_a_row_is_told_to_wait_and_a_right_one_never_is() {
    let server = shared();
    let (attacked, other) = (server.new_client(&[]), server.new_client(&[]));
    for attempt in 0..5 {
        let guess = (attacked.0.clone(), format!("guess {attempt}"));
        post_as(server, &guess, &[]).await.assert_refused("a guess", 401, "invalid_client");
    }
    let waits = post_with_header(server, basic(&attacked.0, "guess 5").as_bytes(), &[]).await;
    waits.assert_refused("one too many", 429, "too_many_attempts");
    insta::assert_snapshot!(waits.body, @r#"{"error":"too_many_attempts","error_description":"too many failed attempts: check the client secret, and try again after the time in Retry-After"}"#);
    assert_eq!(waits.header("retry-after"), Some("1"));
    post_as(server, &attacked, &[]).await.assert_issued("the client that was attacked");
    post_as(server, &other, &[]).await.assert_issued("another client");
    post_as(server, &wrong(&attacked.0), &[]).await.assert_refused("counted from the start", 401, "invalid_client");
}

#[tokio::test]
async fn guesses_at_every_endpoint_count_together() {
    let server = shared();
    let id = server.new_client(&[]).0;
    let mut seen = Vec::new();
    for path in ["/token", "/revoke", "/introspect"].repeat(2) {
        let form = [("client_id", id.as_str()), ("client_secret", "wrong"), ("token", "x")];
        seen.push(Answer::to(server.request("POST", path).form(&form)).await.status);
    }
    assert_eq!(seen, [401, 401, 401, 401, 401, 429]);
}

#[tokio::test]
async fn a_right_secret_is_accepted_between_any_two_of_50_wrong_ones_and_at_any_moment_of_the_wait() {
    let server = shared();
    let (attacked, other) = (server.new_client(&[]), server.new_client(&[]));
    let endpoint = Endpoint::over(server);
    for attempt in 0..50 {
        endpoint.wrong(&attacked.0, SOURCE, f64::from(attempt) / 10.0).await;
    }
    assert_eq!(endpoint.wrong(&attacked.0, SOURCE, 5.0).await, (429, 3));
    assert!(endpoint.accepts(&attacked, 5.0).await && endpoint.accepts(&other, 5.0).await);
    for attempt in 0..50 {
        let now = 10.0 + f64::from(attempt);
        assert_eq!(endpoint.wrong(&attacked.0, SOURCE, now).await, (401, 0), "begun anew by every right one");
        assert!(endpoint.accepts(&attacked, now).await && endpoint.accepts(&other, now).await, "{now}");
    }
}

#[tokio::test]
async fn the_wait_grows_lapses_and_is_forgotten() {
    let server = shared();
    let id = server.new_client(&[]).0;
    let endpoint = Endpoint::over(server);
    for _ in 0..5 {
        assert_eq!(endpoint.wrong(&id, SOURCE, 0.0).await, (401, 0));
    }
    let mut now = 0.0;
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(endpoint.wrong(&id, SOURCE, now).await, (429, expected));
        assert_eq!(endpoint.wrong(&id, SOURCE, now + 0.5).await, (429, expected), "rounded up, and no longer");
        now += f64::from(u32::try_from(expected).unwrap());
    }
    assert_eq!(endpoint.wrong(&id, SOURCE, now + 15.0 * 60.0).await, (401, 0), "forgotten");
}

#[tokio::test]
async fn other_clients_and_other_addresses_do_not_wait() {
    let server = shared();
    let (attacked, other) = (server.new_client(&[]), server.new_client(&[]));
    let endpoint = Endpoint::over(server);
    for _ in 0..20 {
        endpoint.wrong(&attacked.0, SOURCE, 0.0).await;
    }
    assert_eq!(endpoint.wrong(&attacked.0, SOURCE, 0.0).await, (429, 1));
    assert_eq!(endpoint.wrong(&attacked.0, "192.0.2.2", 0.0).await, (401, 0), "another address");
    assert_eq!(endpoint.wrong(&other.0, SOURCE, 0.0).await, (401, 0), "another client");
}

// AS-08, AS-40
#[tokio::test]
async fn unknown_clients_and_wrong_secrets_are_answered_alike_at_every_count() {
    let server = shared();
    let (known, disabled) = (server.new_client(&[]), server.new_client(&[]));
    let only_post = server.new_client(&["--auth-method", "client_secret_basic"]);
    server.json_command(&["client", "disable", &disabled.0]);
    let too_long = "x".repeat(65);
    let callers = [
        wrong(&known.0),
        wrong("nobody"),
        wrong(&disabled.0),
        disabled,
        only_post,
        wrong("no id \u{e9}"),
        wrong(""),
        (too_long, known.1),
    ];
    let endpoint = Endpoint::over(server);
    let mut codes = Vec::new();
    for count in 0..40 {
        let now = f64::from(count) / 2.0;
        let source = |caller: usize| format!("192.0.2.{caller}");
        let expected = endpoint.refusal(&callers[0], &source(0), now).await;
        for (index, caller) in callers.iter().enumerate().skip(1) {
            assert_eq!(endpoint.refusal(caller, &source(index), now).await, expected, "{caller:?}, {count}");
        }
        codes.push(expected.0);
    }
    codes.dedup();
    assert_eq!(codes, [401, 429]);
}

/// A client of the shared server with a secret in a Secrets Manager that counts, and processes that count what they read.
struct Counted {
    secrets: SecretsManager,
    tables: Proxy,
    endpoint: Endpoint,
    client: (String, String),
}

impl Counted {
    async fn start() -> Counted {
        let secrets = SecretsManager::start();
        let tables = Proxy::start(&shared().dynamodb_url(), Mode::Pass);
        let endpoint = Endpoint::at(&tables.url, secrets.secrets());
        let (id, _) = shared().new_client(&[]);
        secrets.set(&format!("northstar/clients/{id}"), "AWSCURRENT", "1", "right");
        // Long ago, so that it has settled.
        change(shared(), &id, |client| client.secrets_changed_at -= 100).await;
        Counted { secrets, tables, endpoint, client: (id, "right".to_owned()) }
    }

    /// Reads of secrets, reads of tables, writes of tables.
    fn count(&self) -> [usize; 3] {
        [self.secrets.reads(), self.tables.asked("GetItem") + self.tables.asked("Query"), self.tables.asked("PutItem")]
    }
}

#[tokio::test]
async fn wrong_secrets_cost_no_read_of_secrets_and_a_read_of_the_table_a_second_for_known_and_unknown_ids_alike() {
    let counted = Counted::start().await;
    let endpoint = &counted.endpoint;
    assert!(endpoint.accepts(&counted.client, 0).await);
    assert!(!endpoint.accepts(&wrong("nobody"), 0).await);
    let [secrets, tables, writes] = counted.count();
    assert_eq!([secrets, tables, writes], [2, 2, 1], "current and previous; two registrations; one use");
    let mut costs = Vec::new();
    for id in [counted.client.0.as_str(), "nobody"] {
        let before = counted.count();
        for attempt in 0..2_000 {
            endpoint.wrong(id, SOURCE, 1.0 + f64::from(attempt) / 100.0).await;
        }
        let after = counted.count();
        costs.push([0, 1, 2].map(|index| after[index] - before[index]));
    }
    assert_eq!(costs[0], costs[1], "known and unknown cost the same");
    let [secrets, tables, writes] = costs[0];
    assert_eq!((secrets, writes), (0, 0));
    assert!((19..=21).contains(&tables), "20 seconds of guessing cost {tables} reads");
    println!("4,000 wrong secrets: 0 reads of the secrets, {} of the table", 2 * tables);
    assert!(endpoint.accepts(&counted.client, 21).await);
    assert_eq!(counted.secrets.reads(), 2);
}

#[tokio::test]
async fn a_flood_of_wrong_secrets_reads_the_secrets_as_often_as_no_flood() {
    let counted = Counted::start().await;
    for second in 0..1_000 {
        counted.endpoint.wrong(&counted.client.0, SOURCE, f64::from(second)).await;
    }
    // Every 300 s, give or take a tenth: four times both labels.
    assert_eq!(counted.secrets.reads(), 8);
}

#[tokio::test]
async fn guessing_many_ids_does_not_make_the_secrets_of_clients_forgotten() {
    let counted = Counted::start().await;
    assert!(counted.endpoint.accepts(&counted.client, 0).await);
    for number in 0..4_500 {
        assert!(!counted.endpoint.accepts(&wrong(&format!("id-{number}")), 0).await);
    }
    assert!(counted.endpoint.accepts(&counted.client, 0).await);
    let [secrets, tables, writes] = counted.count();
    assert_eq!([secrets, tables, writes], [2, 4_501, 1]);
}

#[tokio::test]
async fn a_right_secret_does_not_wait_for_the_read_that_a_wrong_one_causes() {
    let counted = Counted::start().await;
    let endpoint = &counted.endpoint;
    assert!(endpoint.accepts(&counted.client, 0).await);
    counted.tables.set(Mode::Silent);
    let start = Instant::now();
    let waits = endpoint.wrong(&counted.client.0, SOURCE, 5.0);
    let right = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..20 {
            assert!(endpoint.accepts(&counted.client, 5).await);
        }
        start.elapsed()
    };
    let (waits, right) = tokio::join!(waits, right);
    // The SDK gives up after 6 s.
    assert!(right < Duration::from_secs(2), "{right:?}");
    assert!(start.elapsed() > right, "the wrong one waited for the table");
    assert_eq!(waits, (401, 0));
}

#[tokio::test]
async fn a_secret_that_was_rotated_during_a_flood_is_accepted_within_a_second() {
    let counted = Counted::start().await;
    let (id, _) = &counted.client;
    for attempt in 0..100 {
        counted.endpoint.wrong(id, SOURCE, f64::from(attempt) / 100.0).await;
    }
    counted.secrets.set(&format!("northstar/clients/{id}"), "AWSCURRENT", "2", "new");
    let moment = registry::client::seconds(counted.endpoint.start);
    change(shared(), id, |client| client.secrets_changed_at = moment).await;
    let new = (id.clone(), "new".to_owned());
    assert!(counted.endpoint.accepts(&new, 2).await);
}

#[tokio::test]
async fn a_secret_that_is_scheduled_for_deletion_is_refused_and_no_outage() {
    let counted = Counted::start().await;
    assert!(counted.endpoint.accepts(&counted.client, 0).await);
    counted.secrets.delete(&format!("northstar/clients/{}", counted.client.0));
    assert!(counted.endpoint.accepts(&counted.client, 200).await, "it is remembered for 5 minutes");
    let (status, _, body) = counted.endpoint.refusal(&counted.client, SOURCE, 400.0).await;
    assert_eq!((status, body.contains("invalid_client")), (401, true), "{body}");
}

#[tokio::test]
async fn wrong_assertions_are_not_told_to_wait_and_make_no_secret_wait() {
    let server = Server::start(&[]);
    let open = local::Home::new(server.home()).open().await.unwrap();
    let new = NewClient {
        client_id: ClientId::parse("asserts").unwrap(),
        name: "Test".to_owned(),
        servers: vec![registry::ServerName::default_server()],
        scopes: Scopes::READ,
        auth_methods: vec![AuthMethod::PrivateKeyJwt],
        keys: None,
        assertion_audience: registry::AssertionAudience::default(),
        token_lifetime: 900,
        token_limit: None,
        quiet_period: 900,
        expires_at: None,
    };
    let client: Client = new.registered("northstar/clients/", std::time::SystemTime::now());
    assert!(open.registry.create_client(&client).await.unwrap());
    // {"sub":"asserts"}
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "e30.eyJzdWIiOiJhc3NlcnRzIn0.x"),
    ];
    for _ in 0..10 {
        Answer::to(server.request("POST", "/token").form(&form)).await.assert_refused("x", 401, "invalid_client");
    }
    post_as(&server, &wrong("asserts"), &[]).await.assert_refused("a secret", 401, "invalid_client");
}
