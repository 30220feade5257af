//! Whose consent it is, and at which authorization server.

use oauth_client::{AuthorizationServer, Connection, consent};
use outbound::Fetcher;
use registry::{ConnectionName, Flow};
use salesforce::org::Org;

use crate::config::Config;
use crate::refusal::Refusal;

/// The scopes that an org's consent asks for: its REST API, and a refresh token.
const ORG_SCOPES: [&str; 2] = ["api", "refresh_token"];

/// The connection of a consent, as its pages name it.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its name.
    pub name: ConnectionName,
    /// The commands for it: `northstar org` or `northstar upstream`.
    pub command: &'static str,
    /// Where the browser goes at the end.
    pub result_page: Option<String>,
}

impl Party {
    /// That of a registration.
    pub fn of(registered: &registry::Connection) -> Party {
        let (command, result_page) = match registered {
            registry::Connection::Salesforce(_) => ("northstar org", None),
            registry::Connection::Upstream(upstream) => ("northstar upstream", upstream.result_page.clone()),
        };
        Party { name: registered.name().clone(), command, result_page }
    }
}

/// What a consent needs of a registration, checked.
pub struct Target {
    /// For the token endpoint.
    pub connection: Connection,
    /// For the authorization endpoint.
    pub server: AuthorizationServer,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// Where tokens are revoked that are not kept.
    pub revoke_url: Option<String>,
    /// Asks its authorization server.
    pub fetcher: Fetcher,
}

impl Target {
    /// That of a registration.
    ///
    /// # Errors
    /// [`Refusal::Misconfigured`]: nobody can consent to it, or a URL may not be asked.
    pub fn of(registered: &registry::Connection, config: &Config) -> Result<Target, Refusal> {
        let public_url = config.public_url.as_str();
        let target = match registered {
            registry::Connection::Salesforce(record) => {
                let fetcher = config.outbound.clone();
                let not_allowed = Refusal::Misconfigured("its login URL is not allowed");
                let Ok(org) = Org::new(record, fetcher.reach()) else { return Err(not_allowed) };
                let endpoint = |path| org.token_endpoint.with_path(path).map(|target| target.as_uri().to_string()).ok();
                let Some(authorize_url) = endpoint("/services/oauth2/authorize") else { return Err(not_allowed) };
                let connection =
                    Connection { scopes: ORG_SCOPES.map(str::to_owned).to_vec(), ..org.connection(record) };
                let issuer = connection.issuer.clone().unwrap_or_default();
                Target {
                    connection,
                    server: AuthorizationServer { authorize_url, issuer, iss_promised: false },
                    redirect_uri: consent::salesforce_redirect_uri(public_url),
                    revoke_url: endpoint("/services/oauth2/revoke"),
                    fetcher,
                }
            }
            registry::Connection::Upstream(upstream) => {
                let connection = Connection::of_upstream(upstream);
                let (Some(connection), Some(server)) = (connection, AuthorizationServer::of_upstream(upstream)) else {
                    return Err(Refusal::Misconfigured("it has no authorization endpoint, so that nobody can consent"));
                };
                let registry::UpstreamAuth::OAuth(oauth) = &upstream.auth else { return Err(NO_CONSENT) };
                Target {
                    connection,
                    server,
                    redirect_uri: consent::redirect_uri_of(public_url, upstream),
                    revoke_url: oauth.revoke_url.clone(),
                    fetcher: config.upstream_outbound.clone(),
                }
            }
        };
        if !matches!(target.connection.flow, Flow::RefreshToken { .. }) {
            return Err(NO_CONSENT);
        }
        match target.fetcher.check(&target.server.authorize_url) {
            Ok(_) => Ok(target),
            Err(_) => Err(Refusal::Misconfigured("the URL of its authorization endpoint is not allowed")),
        }
    }
}

const NO_CONSENT: Refusal = Refusal::Misconfigured("its tokens come without a consent: it needs none");
