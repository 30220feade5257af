//! A local run whose org is the Salesforce stand-in, with a server of tools that read and one of all tools.

use std::time::{Duration, Instant, SystemTime};

use catalogue::SalesforceTool;
use local::Home;
use local::store::STATE_TABLE;
use oauth_client::{Grants, NewGrant, SealingKeys};
use outbound::Fetcher;
use registry::connection::{ClientAuth, DEFAULT_API_VERSION};
use registry::{
    Connection, ConnectionName, Flow, Guard, Limits, LogLevel, SalesforceOrg, ServerName, Timeout, ToolDefinition,
};
use salesforce_standin::{ConnectedApp, Options, Org, Standin};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::Server;
use crate::limits::call;

/// The server of the tools that only read.
pub const READ: &str = "salesforce-read";
/// The server of all tools.
pub const WRITE: &str = "salesforce-write";

/// The org that both servers name.
pub const ORG: &str = "demo";

/// How the servers reach their org.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// By client credentials.
    ClientCredentials,
    /// By the refresh token of the stand-in.
    RefreshToken,
}

/// What a test has of its own.
pub struct Setup {
    /// The data.
    pub org: Org,
    /// How the stand-in behaves.
    pub options: Options,
    /// How it is reached.
    pub grant: Grant,
    /// What the servers' tools may touch; of the server of all tools also whether it deletes.
    pub guard: Guard,
    /// How long a call may take.
    pub timeout: Timeout,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            org: Org::demo(),
            options: Options::default(),
            grant: Grant::ClientCredentials,
            guard: Guard { deletes: true, ..Guard::default() },
            timeout: Timeout::default(),
        }
    }
}

/// A stand-in, the local run over it, and a client of both servers.
pub struct World {
    /// The org.
    pub standin: Standin,
    /// The local run.
    pub server: Server,
    /// Id and secret of the client.
    client: (String, String),
    tokens: [(&'static str, String); 2],
}

/// What came of a call.
#[derive(Debug)]
pub struct Answer {
    /// `structuredContent`; null when the tool had no answer.
    pub content: Value,
    /// The stable code, when it had none.
    pub code: Option<String>,
    /// The text beside it.
    pub text: String,
    /// How long it took.
    pub took: Duration,
}

impl World {
    /// Starts all of it.
    pub async fn start(setup: Setup) -> World {
        let server = Server::start(&[]);
        World::start_on(server, setup).await
    }

    /// The same, over a local run that the test has started.
    pub async fn start_on(server: Server, setup: Setup) -> World {
        let standin = Standin::start(setup.org, setup.options).await.unwrap();
        connect(&server, ORG, &standin, setup.grant).await;
        let reads = SalesforceTool::ALL.into_iter().filter(|tool| tool.tool().annotations.read_only);
        define(&server, READ, ORG, reads, &setup.guard, setup.timeout).await;
        define(&server, WRITE, ORG, SalesforceTool::ALL, &setup.guard, setup.timeout).await;
        let client = server.new_client(&["--server", READ, "--server", WRITE, "--scope", "mcp.write"]);
        let mut world = World { standin, server, client, tokens: Default::default() };
        world.authenticate().await;
        world
    }

    async fn authenticate(&mut self) {
        self.tokens = [
            (READ, token(&self.server, &self.client, READ).await),
            (WRITE, token(&self.server, &self.client, WRITE).await),
        ];
    }

    /// Ends the local run, and starts it anew in the same place: nothing that it had in memory is left.
    pub async fn restart(mut self) -> World {
        let port = self.server.address().rsplit_once(':').unwrap().1.parse().unwrap();
        self.server.end_with("KILL");
        self.server = self.server.start_again(port);
        self.authenticate().await;
        self
    }

    /// The client's token for a server.
    pub fn token(&self, server: &str) -> &str {
        &self.tokens.iter().find(|(name, _)| *name == server).unwrap().1
    }

    /// Calls a tool of the server of all tools.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.call_at(WRITE, tool, arguments).await
    }

    /// Calls a tool of a server.
    pub async fn call_at(&self, server: &str, tool: &str, arguments: Value) -> Answer {
        let start = Instant::now();
        let request = self.server.request("POST", &format!("/mcp/{server}")).bearer_auth(self.token(server));
        let request = request
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2025-06-18");
        let answer = request.body(call(tool, arguments).to_string()).send().await.unwrap().json().await.unwrap();
        Answer::of(answer, start.elapsed())
    }

    /// Calls a tool that has to have an answer.
    pub async fn answer(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone()).await;
        assert!(answer.code.is_none(), "{tool} {arguments}: {answer:?}");
        answer.content
    }

    /// The same; what answers with a preview is called again with its handle.
    pub async fn carry_out(&self, tool: &str, mut arguments: Value) -> Value {
        let answer = self.answer(tool, arguments.clone()).await;
        if answer["state"] != "preview" {
            return answer;
        }
        arguments["handle"] = answer["handle"].clone();
        self.answer(tool, arguments).await
    }
}

impl Answer {
    /// What a JSON-RPC answer says.
    pub fn of(mut answer: Value, took: Duration) -> Answer {
        let result = answer["result"].take();
        assert!(result.is_object(), "no result: {answer}");
        let code = (result["isError"] == true).then(|| result["_meta"]["northstar/code"].as_str().unwrap().to_owned());
        let content = if code.is_none() { result["structuredContent"].clone() } else { Value::Null };
        Answer { content, code, text: result["content"][0]["text"].as_str().unwrap_or_default().to_owned(), took }
    }
}

/// A client's token for a server.
pub async fn token(server: &Server, (id, secret): &(String, String), name: &str) -> String {
    let resource = format!("{}/mcp/{name}", server.url);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
        ("resource", &resource),
        ("scope", "mcp.write"),
    ];
    let answer: Value = server.request("POST", "/token").form(&form).send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

/// Registers a stand-in as an org of a local run, in place of an earlier one of that name.
pub async fn connect(server: &Server, name: &str, standin: &Standin, grant: Grant) {
    let open = Home::new(server.home()).open().await.unwrap();
    let (app, name) = (ConnectedApp::default(), ConnectionName::parse(name).unwrap());
    let secret_id = format!("northstar/connections/{name}");
    open.secrets.create(&secret_id, &SecretString::from(app.client_secret)).await.unwrap();
    let flow = match grant {
        Grant::ClientCredentials => Flow::ClientCredentials { client_auth: ClientAuth::Post },
        Grant::RefreshToken => Flow::RefreshToken { client_auth: ClientAuth::Post },
    };
    let org = SalesforceOrg {
        name: name.clone(),
        login_url: standin.url().to_owned(),
        instance_url: None,
        api_version: DEFAULT_API_VERSION.to_owned(),
        flow,
        client_id: app.client_id,
        secret_id: Some(secret_id),
        created_at: 0,
    };
    open.registry.put_connection(&Connection::Salesforce(org.clone()), false).await.unwrap();
    if grant == Grant::RefreshToken {
        let keys = SealingKeys::Local(open.secrets.clone());
        let fetcher = Fetcher::with_loopback(None);
        let grants = Grants::new(open.aws.dynamodb.clone(), STATE_TABLE, keys, open.secrets.clone(), fetcher);
        let grant = NewGrant {
            refresh_token: Some(app.refresh_token.into()),
            access_token: None,
            expires_at: None,
            unverified_instance_url: None,
            identity: None,
        };
        let checked = salesforce::Org::new(&org, outbound::Reach::Loopback).unwrap();
        grants.put(&checked.connection(&org), grant, SystemTime::now()).await.unwrap();
    }
}

/// Makes a server of Salesforce tools over an org.
pub async fn define(
    server: &Server,
    name: &str,
    org: &str,
    tools: impl IntoIterator<Item = SalesforceTool>,
    guard: &Guard,
    timeout: Timeout,
) {
    let definition = registry::Server {
        name: ServerName::parse(name).unwrap(),
        title: "Salesforce".to_owned(),
        description: String::new(),
        instructions: None,
        production: true,
        timeout,
        tools: tools.into_iter().map(|tool| ToolDefinition::Shipped(tool.name().to_owned())).collect(),
        org: Some(org.to_owned()),
        guard: guard.clone(),
        upstreams: Vec::new(),
        limits: Limits::default(),
        log: LogLevel::Calls,
    };
    let open = Home::new(server.home()).open().await.unwrap();
    assert!(open.registry.create_server(&definition, SystemTime::now()).await.unwrap());
}

/// The event of a call of a tool of a server, as API Gateway sends it.
pub fn call_event(server: &Server, name: &str, token: &str, tool: &str, arguments: Value) -> Value {
    let mut event = crate::event("mcp/tools_list", server, token);
    let path = format!("/mcp/{name}");
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["body"] = json!(call(tool, arguments).to_string());
    event
}
