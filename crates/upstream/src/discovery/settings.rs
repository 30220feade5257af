//! Settings of an authorization server, each with where it came from.

use registry::{ClientAuth, Preset};

/// Where a setting came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The operator gave it.
    Given,
    /// A preset has it.
    Preset,
    /// Metadata of the upstream or its authorization server says so.
    Discovered,
}

impl Origin {
    /// In a word: `given`, `preset`, `discovered`.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Given => "given",
            Origin::Preset => "preset",
            Origin::Discovered => "discovered",
        }
    }
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// What it is.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// What the operator gave, if something.
    pub fn given(value: Option<T>) -> Option<Setting<T>> {
        value.map(|value| Setting { value, origin: Origin::Given })
    }

    /// What metadata says.
    pub(crate) fn discovered(value: T) -> Option<Setting<T>> {
        Some(Setting { value, origin: Origin::Discovered })
    }
}

/// What may be known of an authorization server. URLs that were discovered are allowed by the rules of the fetcher; those
/// that were given are the caller's to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its issuer.
    pub issuer: Option<Setting<String>>,
    /// What its tokens are for (RFC 8707), as the upstream names itself: its URL, or one that its URL lies under.
    pub resource: Option<Setting<String>>,
    /// Its authorization endpoint.
    pub authorize_url: Option<Setting<String>>,
    /// Its token endpoint.
    pub token_url: Option<Setting<String>>,
    /// Its revocation endpoint (RFC 7009).
    pub revoke_url: Option<Setting<String>>,
    /// Its registration endpoint (RFC 7591).
    pub registration_url: Option<Setting<String>>,
    /// Whether it promises `iss` in authorization responses (RFC 9207).
    pub iss_promised: Option<Setting<bool>>,
    /// How clients may authenticate at the token endpoint, as far as we can; `None` when it does not say.
    pub auth_methods: Option<Setting<Vec<AuthMethod>>>,
    /// The scopes to ask for.
    pub scopes: Option<Setting<Vec<String>>>,
}

impl Settings {
    /// The settings of a preset. Another issuer than its own, as the org's My Domain, moves its endpoints along.
    pub fn preset(preset: Preset, issuer: Option<&str>) -> Settings {
        let own = match preset {
            Preset::Salesforce => "https://login.salesforce.com",
            Preset::SalesforceSandbox => "https://test.salesforce.com",
        };
        let host = issuer.unwrap_or(own).trim_end_matches('/');
        let endpoint = |name: &str| preset_value(format!("{host}/services/oauth2/{name}"));
        Settings {
            issuer: Setting::given(issuer.map(str::to_owned)).or_else(|| preset_value(own.to_owned())),
            authorize_url: endpoint("authorize"),
            token_url: endpoint("token"),
            revoke_url: endpoint("revoke"),
            scopes: preset_value(vec!["mcp_api".to_owned(), "refresh_token".to_owned()]),
            ..Settings::default()
        }
    }

    /// These, and from `others` what is missing here.
    pub fn over(self, others: Settings) -> Settings {
        Settings {
            issuer: self.issuer.or(others.issuer),
            resource: self.resource.or(others.resource),
            authorize_url: self.authorize_url.or(others.authorize_url),
            token_url: self.token_url.or(others.token_url),
            revoke_url: self.revoke_url.or(others.revoke_url),
            registration_url: self.registration_url.or(others.registration_url),
            iss_promised: self.iss_promised.or(others.iss_promised),
            auth_methods: self.auth_methods.or(others.auth_methods),
            scopes: self.scopes.or(others.scopes),
        }
    }
}

fn preset_value<T>(value: T) -> Option<Setting<T>> {
    Some(Setting { value, origin: Origin::Preset })
}

/// How a client authenticates at the token endpoint (RFC 7591 §2, OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `none`: a public client.
    None,
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`.
    PrivateKeyJwt,
}

impl AuthMethod {
    /// `None` when we do not have it.
    pub fn parse(name: &str) -> Option<AuthMethod> {
        let all = [AuthMethod::None, AuthMethod::Basic, AuthMethod::Post, AuthMethod::PrivateKeyJwt];
        all.into_iter().find(|method| method.as_str() == name)
    }

    /// As a connection has it. Without a secret the two that take one are the same.
    pub fn client_auth(self) -> ClientAuth {
        match self {
            AuthMethod::Basic => ClientAuth::Basic,
            AuthMethod::None | AuthMethod::Post => ClientAuth::Post,
            AuthMethod::PrivateKeyJwt => ClientAuth::PrivateKeyJwt,
        }
    }

    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthMethod::None => "none",
            AuthMethod::Basic => "client_secret_basic",
            AuthMethod::Post => "client_secret_post",
            AuthMethod::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// What we have to authenticate with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing but the client id.
    None,
    /// A client secret.
    Secret,
    /// A private key.
    PrivateKey,
}

/// The method to use with a credential; `None` when the authorization server says that it takes none of those that it is good
/// for. One that says nothing takes Basic (RFC 8414 §2), and clients without a secret or with a key as it may.
pub fn choose_auth_method(offered: Option<&[AuthMethod]>, credential: Credential) -> Option<AuthMethod> {
    let fitting: &[AuthMethod] = match credential {
        Credential::None => &[AuthMethod::None],
        // RFC 6749 §2.3.1: in the body only where the header cannot be used.
        Credential::Secret => &[AuthMethod::Basic, AuthMethod::Post],
        Credential::PrivateKey => &[AuthMethod::PrivateKeyJwt],
    };
    match offered {
        Some(offered) => fitting.iter().find(|method| offered.contains(method)).copied(),
        None => fitting.first().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_has_its_endpoints_under_its_issuer_or_the_one_that_is_given() {
        let value = |setting: &Option<Setting<String>>| setting.clone().map(|setting| (setting.value, setting.origin));
        let own = Settings::preset(Preset::SalesforceSandbox, None);
        assert_eq!(value(&own.issuer), Some(("https://test.salesforce.com".to_owned(), Origin::Preset)));
        let token_url = "https://test.salesforce.com/services/oauth2/token".to_owned();
        assert_eq!(value(&own.token_url), Some((token_url, Origin::Preset)));
        assert_eq!(own.scopes.unwrap().value, ["mcp_api", "refresh_token"]);

        let moved = Settings::preset(Preset::Salesforce, Some("https://acme.my.salesforce.com"));
        assert_eq!(value(&moved.issuer), Some(("https://acme.my.salesforce.com".to_owned(), Origin::Given)));
        let authorize_url = "https://acme.my.salesforce.com/services/oauth2/authorize".to_owned();
        assert_eq!(value(&moved.authorize_url), Some((authorize_url, Origin::Preset)));
    }

    #[test]
    fn a_method_fits_the_credential_and_is_one_that_is_offered() {
        use AuthMethod::{Basic, None as Public, Post, PrivateKeyJwt};
        for (offered, credential, expected) in [
            (Some(&[Basic, Post][..]), Credential::Secret, Some(Basic)),
            (Some(&[Public, Post][..]), Credential::Secret, Some(Post)),
            (Some(&[Public][..]), Credential::Secret, None),
            (Some(&[Public][..]), Credential::None, Some(Public)),
            (Some(&[Basic][..]), Credential::None, None),
            (Some(&[Basic, PrivateKeyJwt][..]), Credential::PrivateKey, Some(PrivateKeyJwt)),
            (Some(&[][..]), Credential::Secret, None),
            (None, Credential::Secret, Some(Basic)),
            (None, Credential::None, Some(Public)),
            (None, Credential::PrivateKey, Some(PrivateKeyJwt)),
        ] {
            assert_eq!(choose_auth_method(offered, credential), expected, "{offered:?} {credential:?}");
        }
    }
}
