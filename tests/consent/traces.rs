//! What a consent must not leave behind: tokens, codes, verifiers and tickets, in the tables and in every log.

use black_box::Server;
use local::Home;
use local::store::{CONFIG_TABLE, STATE_TABLE};

#[path = "../canary/finder.rs"]
mod finder;

use finder::Finder;

use crate::AuthorizationServer;

/// Asserts that nothing secret is in the tables, in the database's files and in the logs of a local run.
pub async fn assert_no_trace(server: &Server, authorization_server: &AuthorizationServer, links: &[&str]) {
    let mut finder = Finder::default();
    let issued = authorization_server.secrets();
    for name in ["access_token", "refresh_token", "id_token", "code", "code_verifier"] {
        let of_name: Vec<&String> = issued.iter().filter(|(own, _)| own == name).map(|(_, secret)| secret).collect();
        assert!(!of_name.is_empty(), "no {name} was issued");
        for secret in of_name {
            finder.add(name_of(name), secret.as_bytes());
        }
    }
    for link in links {
        finder.add("ticket", link.split_once("?ticket=").expect("the link has a ticket").1.as_bytes());
    }

    let written = written(server).await;
    // What has to be there is found, so what is not found is not there.
    for (table, expected) in [(CONFIG_TABLE, "CONNECTION#hosted"), (STATE_TABLE, "GRANT#hosted")] {
        let (_, text) = written.iter().find(|(place, _)| place == table).unwrap();
        assert!(String::from_utf8_lossy(text).contains(expected), "{table} has {expected}");
    }
    for (place, text) in written {
        assert_eq!(finder.find(&text), [].into(), "in {place}");
    }
}

fn name_of(name: &str) -> &'static str {
    match name {
        "access_token" => "access token",
        "refresh_token" => "refresh token",
        "id_token" => "ID token",
        "code" => "authorization code",
        _ => "code verifier",
    }
}

/// The tables as a scan gives them, and the files of the home that are no secret themselves.
async fn written(server: &Server) -> Vec<(String, Vec<u8>)> {
    let open = Home::new(server.home()).open().await.unwrap();
    let mut places = Vec::new();
    for table in [CONFIG_TABLE, STATE_TABLE] {
        let items = open.aws.dynamodb.scan().table_name(table).send().await.unwrap();
        assert!(items.count() > 0 && items.last_evaluated_key().is_none(), "{table} is read whole");
        places.push((table.to_owned(), format!("{:?}", items.items()).into_bytes()));
    }
    for entry in std::fs::read_dir(server.home()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if ["northstar.db", "requests", "stdout.log"].iter().any(|start| name.starts_with(start)) {
            places.push((name.clone(), std::fs::read(server.home().join(&name)).unwrap()));
        }
    }
    assert!(places.len() >= 5, "database, request lines and output are there");
    places
}
