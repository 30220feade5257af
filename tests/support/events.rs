//! The files of `events/`, filled in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::{Server, repository};

/// A file of `events/` (`mcp/tools_list`), filled in for a server and a token of it, as `events/README.md` says.
pub fn event(file: &str, server: &Server, access_token: &str) -> Value {
    let path = repository().join("events").join(file).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text
        .replace("{{client_id}}", &server.client_id)
        .replace("{{client_secret}}", &server.client_secret)
        .replace("{{access_token}}", access_token)
        .replace("127.0.0.1:9000", server.url.strip_prefix("http://").expect("the server is on this machine"));
    assert!(!text.contains("{{"), "{}: an unknown placeholder", path.display());
    let mut event: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if let Some(pair) = event["headers"]["authorization"].as_str().and_then(|value| value.strip_prefix("Basic ")) {
        event["headers"]["authorization"] = Value::String(format!("Basic {}", BASE64_STANDARD.encode(pair)));
    }
    event
}

/// Names of the files in a folder of `events/`, without `.json`, sorted.
pub fn event_files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join("events").join(folder)).expect("the folder is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".json").unwrap_or_else(|| panic!("{folder}/{name} is no event")).to_owned())
        .collect();
    names.sort();
    names
}
