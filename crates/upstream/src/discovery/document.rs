//! The metadata documents, as far as they are of use.

use serde::Deserialize;

use super::finding::{Field, Finding};
use super::settings::{AuthMethod, Setting, Settings};

/// Metadata of a protected resource (RFC 9728 §2).
#[derive(Debug, Deserialize)]
pub struct ResourceMetadata {
    pub resource: String,
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    pub scopes_supported: Option<Vec<String>>,
}

impl ResourceMetadata {
    pub fn read(document: &[u8]) -> Option<ResourceMetadata> {
        serde_json::from_slice(document).ok()
    }
}

/// Metadata of an authorization server (RFC 8414 §2, RFC 9207 §3).
#[derive(Debug, Deserialize)]
pub struct ServerMetadata {
    pub issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    pub scopes_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl ServerMetadata {
    pub fn read(document: &[u8]) -> Option<ServerMetadata> {
        serde_json::from_slice(document).ok()
    }

    /// What it says of the settings, but for issuer and scopes. `usable` tells whether a URL may be asked.
    pub fn settings(self, usable: impl Fn(&str) -> bool, findings: &mut Vec<Finding>) -> Settings {
        let mut endpoint = |url: Option<String>, field| {
            let url = url?;
            if usable(&url) {
                return Setting::discovered(url);
            }
            findings.push(Finding::UrlRefused(field));
            None
        };
        let mut settings = Settings {
            authorize_url: endpoint(self.authorization_endpoint, Field::AuthorizeUrl),
            token_url: endpoint(self.token_endpoint, Field::TokenUrl),
            revoke_url: endpoint(self.revocation_endpoint, Field::RevokeUrl),
            registration_url: endpoint(self.registration_endpoint, Field::RegistrationUrl),
            // RFC 9207 §3: false when it is left out.
            iss_promised: Setting::discovered(self.authorization_response_iss_parameter_supported == Some(true)),
            auth_methods: self.token_endpoint_auth_methods_supported.and_then(|names| {
                Setting::discovered(names.iter().filter_map(|name| AuthMethod::parse(name)).collect())
            }),
            ..Settings::default()
        };
        // MCP: without it a client must not go on. Flows without a browser have no use for PKCE.
        let pkce = self.code_challenge_methods_supported.iter().flatten().any(|method| method == "S256");
        if !pkce && settings.authorize_url.is_some() {
            findings.push(Finding::PkceMissing);
            settings.authorize_url = None;
        }
        settings
    }
}
