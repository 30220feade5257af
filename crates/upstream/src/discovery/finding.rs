//! What discovery may find amiss.

/// Something that is not as it should be. No upstream text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// A URL that may not be asked, or sent a browser to: not https, or not public.
    UrlRefused(Field),
    /// The upstream has no metadata (RFC 9728) where it says, or where it would be.
    ResourceMetadataMissing,
    /// What is there is no such metadata, or longer than 128 KiB.
    ResourceMetadataInvalid,
    /// The metadata is of another resource.
    ResourceMismatch,
    /// The metadata of the upstream names no authorization server.
    NoAuthorizationServer,
    /// The metadata of the upstream names other authorization servers than the issuer that is configured.
    IssuerNotListed,
    /// The scopes that are named have characters of no scope, or are more than 64.
    ScopesInvalid,
    /// The authorization server has no metadata (RFC 8414, OpenID Connect Discovery).
    ServerMetadataMissing,
    /// What is there is no such metadata, or longer than 128 KiB.
    ServerMetadataInvalid,
    /// The metadata is of another issuer.
    IssuerMismatch,
    /// The authorization server does not say that it takes PKCE with S256.
    PkceMissing,
}

/// A URL by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The upstream itself.
    Upstream,
    /// Its metadata.
    ResourceMetadata,
    /// Its authorization server.
    Issuer,
    /// The authorization endpoint.
    AuthorizeUrl,
    /// The token endpoint.
    TokenUrl,
    /// The revocation endpoint.
    RevokeUrl,
    /// The registration endpoint.
    RegistrationUrl,
}

impl Finding {
    /// A stable code.
    pub fn code(self) -> &'static str {
        match self {
            Finding::UrlRefused(_) => "discovery_url_refused",
            Finding::ResourceMetadataMissing => "resource_metadata_missing",
            Finding::ResourceMetadataInvalid => "resource_metadata_invalid",
            Finding::ResourceMismatch => "resource_mismatch",
            Finding::NoAuthorizationServer => "no_authorization_server",
            Finding::IssuerNotListed => "issuer_not_listed",
            Finding::ScopesInvalid => "scopes_invalid",
            Finding::ServerMetadataMissing => "server_metadata_missing",
            Finding::ServerMetadataInvalid => "server_metadata_invalid",
            Finding::IssuerMismatch => "issuer_mismatch",
            Finding::PkceMissing => "pkce_missing",
        }
    }

    /// What was left out for it, and what to give instead.
    pub fn remedy(self) -> &'static str {
        match self {
            Finding::UrlRefused(Field::Upstream) => {
                "Give an https URL of a public host, without a user name, port or `#`."
            }
            Finding::UrlRefused(_) => {
                "It was left out. Give the right URL yourself, or have the upstream's operator correct it."
            }
            Finding::ResourceMetadataMissing
            | Finding::ResourceMetadataInvalid
            | Finding::ResourceMismatch
            | Finding::NoAuthorizationServer => {
                "Nothing of it was used. Check the URL of the upstream, or give its authorization server with --issuer."
            }
            Finding::IssuerNotListed => {
                "The issuer that is configured was used. Check that it is the one of this upstream: a sandbox has another than production."
            }
            Finding::ScopesInvalid => "None of them is asked for. Give the scopes with --scope.",
            Finding::ServerMetadataMissing | Finding::ServerMetadataInvalid | Finding::IssuerMismatch => {
                "Nothing of it was used. Give --authorize-url and --token-url, from the documentation of the authorization server."
            }
            Finding::PkceMissing => {
                "Its authorization endpoint was left out. If its documentation says that it takes PKCE with S256, give --authorize-url."
            }
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Finding::UrlRefused(field) => {
                return write!(formatter, "{} is not an https URL of a public host", field.name());
            }
            Finding::ResourceMetadataMissing => "no metadata of the upstream (RFC 9728) can be fetched",
            Finding::ResourceMetadataInvalid => "the metadata of the upstream (RFC 9728) cannot be read",
            Finding::ResourceMismatch => "the metadata of the upstream is of another resource than its URL",
            Finding::NoAuthorizationServer => "the metadata of the upstream names no authorization server",
            Finding::IssuerNotListed => "the metadata of the upstream names another authorization server",
            Finding::ScopesInvalid => "the scopes that the upstream names are not valid",
            Finding::ServerMetadataMissing => "no metadata of the authorization server (RFC 8414) can be fetched",
            Finding::ServerMetadataInvalid => "the metadata of the authorization server (RFC 8414) cannot be read",
            Finding::IssuerMismatch => "the metadata of the authorization server is of another issuer",
            Finding::PkceMissing => "the authorization server does not say that it takes PKCE with S256",
        };
        formatter.write_str(text)
    }
}

impl Field {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Field::Upstream => "the URL of the upstream",
            Field::ResourceMetadata => "the URL of the upstream's metadata",
            Field::Issuer => "the issuer",
            Field::AuthorizeUrl => "the authorization endpoint",
            Field::TokenUrl => "the token endpoint",
            Field::RevokeUrl => "the revocation endpoint",
            Field::RegistrationUrl => "the registration endpoint",
        }
    }
}
