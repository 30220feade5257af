//! The Salesforce stand-in over HTTP: what real clients get from it, what it refuses, and the faults that it makes on
//! request.

mod bulk;
mod clients;
mod faults;
mod hosted;
mod oauth;
mod records;

use reqwest::{Method, StatusCode};
use salesforce_standin::{Options, Org, Standin};
use serde_json::{Value, json};

/// The start of every path, as the tests ask for it.
const BASE: &str = "/services/data/v66.0";

/// A stand-in of its own, with a session.
struct World {
    standin: Standin,
    token: String,
    http: reqwest::Client,
}

impl World {
    async fn start() -> World {
        World::with(Options::default()).await
    }

    async fn with(options: Options) -> World {
        let standin = Standin::start(Org::demo(), options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        World { token: standin.access_token(), standin, http }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let path = if path.starts_with("/services") { path.to_owned() } else { format!("{BASE}{path}") };
        self.http.request(method, format!("{}{path}", self.standin.url())).bearer_auth(&self.token)
    }

    /// Sends a request and reads its answer; null for no body.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A path that is not under the version of the REST API.
    async fn get_root(&self, path: &str) -> (StatusCode, Value) {
        answer(self.http.get(format!("{}{path}", self.standin.url()))).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.ask("POST", path, Some(body)).await
    }

    async fn query(&self, soql: &str) -> (StatusCode, Value) {
        let url = reqwest::Url::parse_with_params("http://any/query", [("q", soql)]).unwrap();
        self.get(&format!("/query?{}", url.query().unwrap())).await
    }

    /// The id of the first record of a query.
    async fn id(&self, soql: &str) -> String {
        self.query(soql).await.1["records"][0]["Id"].as_str().expect(soql).to_owned()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(json!(text)) })
}

/// Status and `errorCode` of a refusal.
fn code(answer: &(StatusCode, Value)) -> (u16, &str) {
    (answer.0.as_u16(), answer.1[0]["errorCode"].as_str().unwrap_or("none"))
}
