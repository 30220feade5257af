//! The whole local run: store, first start, the functions, and the gateway before them.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use aws_clients::{AwsClients, AwsSettings};
use futures_util::FutureExt;
use registry::{PublicUrl, PublicUrlError};
use salesforce_standin::Standin;
use tokio::net::TcpListener;

use crate::demo::{self, Demo};
use crate::gateway::{self, HttpApi, InvalidRouteKey, Routes};
use crate::home::{Home, HomeError, OpenHome, SIGNING_KEYS, STATE_KEY};
use crate::org;
use crate::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE, Store, StoreError};

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The home.
    pub home: Home,
    /// Issuer and base of every audience, if it is not the listening address.
    pub public_url: Option<String>,
    /// Rename `WWW-Authenticate` as API Gateway is reported to.
    pub remap_www_authenticate: bool,
    /// Start a small Salesforce org beside it.
    pub with_org: bool,
    /// Let upstreams and their authorization servers be on this machine.
    pub allow_loopback_upstreams: bool,
}

/// Why the local run does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// See [`HomeError`].
    #[error(transparent)]
    Home(#[from] HomeError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port is taken.
    #[error("127.0.0.1:{0} is taken: stop what listens there, or choose another port with --port")]
    PortTaken(u16),
    /// No listener.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(#[source] std::io::Error),
    /// See [`PublicUrlError`].
    #[error(transparent)]
    PublicUrl(#[from] PublicUrlError),
    /// See [`registry::InitError`].
    #[error(transparent)]
    Init(#[from] registry::InitError),
    /// The demo data cannot be loaded.
    #[error("the demo data cannot be loaded: {0}")]
    Import(#[from] import::ImportError),
    /// The org cannot listen.
    #[error("the Salesforce org of --with-org cannot listen on 127.0.0.1: {0}")]
    Org(#[source] std::io::Error),
    /// There is another org of its name.
    #[error(
        "this home has an org named demo already: --with-org needs that name; remove it with `northstar org remove demo`"
    )]
    OtherOrg,
    /// See [`oauth_client::GrantError`].
    #[error(transparent)]
    Grant(#[from] oauth_client::GrantError),
    /// Our own table of routes is wrong.
    #[error(transparent)]
    Routes(#[from] InvalidRouteKey),
}

/// A local run that listens.
pub struct Serving {
    /// Addresses and credentials of the demo client.
    pub demo: Demo,
    /// Where it listens: `http://127.0.0.1:<port>`.
    pub address: String,
    /// The Salesforce org beside it; it ends with this.
    pub org: Option<Standin>,
    listener: TcpListener,
    api: HttpApi<Function>,
    functions: Arc<Functions>,
    store: Store,
    home: Home,
    _lock: File,
}

#[derive(Clone, Copy, Debug)]
enum Function {
    Token,
    Mcp,
    Connect,
}

struct Functions {
    token: token::App,
    mcp: mcp::App,
    connect: connect::App,
}

/// Every route of the HTTP API; the stack has the same.
const ROUTES: [(&str, Function); 15] = [
    ("ANY /token", Function::Token),
    ("ANY /revoke", Function::Token),
    ("ANY /introspect", Function::Token),
    ("ANY /authorize", Function::Token),
    ("ANY /.well-known/oauth-authorization-server", Function::Token),
    ("ANY /.well-known/jwks.json", Function::Token),
    ("ANY /mcp", Function::Mcp),
    ("ANY /mcp/{server}", Function::Mcp),
    ("ANY /.well-known/oauth-protected-resource", Function::Mcp),
    ("ANY /.well-known/oauth-protected-resource/mcp", Function::Mcp),
    ("ANY /.well-known/oauth-protected-resource/mcp/{server}", Function::Mcp),
    ("ANY /", Function::Mcp),
    ("ANY /healthz", Function::Mcp),
    ("ANY /readyz", Function::Mcp),
    ("ANY /connect/{upstream}", Function::Connect),
];

impl Serving {
    /// Opens the home, makes what is missing, and listens; nothing is answered yet.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn start(options: ServeOptions) -> Result<Serving, ServeError> {
        let home = options.home;
        let lock = home.lock()?;
        let _ = std::fs::remove_file(home.file("endpoint"));
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => ServeError::PortTaken(options.port),
            _ => ServeError::Listen(error),
        })?;
        let address = format!("http://{}", listener.local_addr().map_err(ServeError::Listen)?);
        let public_url = options.public_url.unwrap_or_else(|| address.clone());
        let public_url = PublicUrl::parse(&public_url)?;

        let store = Store::open(&home.file("northstar.db")).await?;
        home.write_private("endpoint", store.url().as_bytes())?;
        let open = home.open().await?;
        let now = SystemTime::now();
        registry::init(&open.registry, &open.secrets, SIGNING_KEYS, STATE_KEY, now).await?;
        let org = if options.with_org { Some(org::start(&open, public_url.as_str(), now).await?) } else { None };
        let demo = demo::prepare(&home, &open, public_url.as_str(), now).await?;
        if org.is_some() {
            let names = org::servers().map(|server| server.name);
            demo::give_servers(&open, &names).await.map_err(registry::InitError::from)?;
        }

        let mut api = HttpApi::new(Routes::parse(&ROUTES)?);
        api.remap_www_authenticate = options.remap_www_authenticate;
        let upstream_outbound = match options.allow_loopback_upstreams {
            true => outbound::Fetcher::with_loopback(None),
            false => outbound::Fetcher::new(),
        };
        let functions = Arc::new(Functions::new(&open, &store, &public_url, upstream_outbound).await);
        Ok(Serving { demo, address, org, listener, api, functions, store, home, _lock: lock })
    }

    /// Answers requests until `shutdown`, then lets the running ones finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let functions = self.functions;
        let invoke = move |function, invocation: gateway::Invocation| {
            let functions = functions.clone();
            async move { functions.invoke(function, invocation).await }
        };
        gateway::serve(self.listener, self.api, invoke, shutdown).await;
        let _ = std::fs::remove_file(self.home.file("endpoint"));
        self.store.close().await;
    }
}

impl Functions {
    async fn new(
        open: &OpenHome,
        store: &Store,
        public_url: &PublicUrl,
        upstream_outbound: outbound::Fetcher,
    ) -> Functions {
        // As in AWS, each function has its own clients.
        let aws = || AwsClients::new(&AwsSettings::local(store.url()));
        let token = token::Config {
            public_url: public_url.clone(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            signing_keys: SIGNING_KEYS.to_owned(),
            secrets: open.secrets.clone(),
            aws: aws(),
            outbound: outbound::Fetcher::with_loopback(None),
        };
        let mcp = mcp::Config {
            public_url: public_url.clone(),
            orders_table: ORDERS_TABLE.to_owned(),
            loyalty_table: LOYALTY_TABLE.to_owned(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            state_key: STATE_KEY.to_owned(),
            sealing_keys: oauth_client::SealingKeys::Local(open.secrets.clone()),
            outbound: outbound::Fetcher::with_loopback(None),
            upstream_outbound: upstream_outbound.clone(),
            secrets: open.secrets.clone(),
            aws: aws(),
        };
        let connect = connect::Config {
            public_url: public_url.clone(),
            config_table: CONFIG_TABLE.to_owned(),
            state_table: STATE_TABLE.to_owned(),
            sealing_keys: oauth_client::SealingKeys::Local(open.secrets.clone()),
            outbound: outbound::Fetcher::with_loopback(None),
            upstream_outbound,
            secrets: open.secrets.clone(),
            aws: aws(),
        };
        let (token, mcp) = tokio::join!(token::App::new(token), mcp::App::new(mcp));
        Functions { token, mcp, connect: connect::App::new(connect) }
    }

    async fn invoke(&self, function: Function, invocation: gateway::Invocation) -> Result<String, String> {
        let lambda = ::http_api::Invocation { request_id: invocation.request_id, deadline: invocation.deadline };
        let handle = async |request| match function {
            Function::Token => self.token.handle(request).boxed().await,
            Function::Mcp => self.mcp.handle(request).boxed().await,
            Function::Connect => self.connect.handle(request).boxed().await,
        };
        let answer = ::http_api::answer_event(&invocation.event, lambda, handle).await;
        serde_json::to_string(&answer).map_err(|error| error.to_string())
    }
}
