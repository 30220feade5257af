//! Faults on request: which requests they hit, and what goes wrong.

use serde::{Deserialize, Serialize};

use crate::{Options, path};

/// A fault that the next matching requests meet. As JSON: `{"method": "POST", "path": "/services/data/sobjects",
/// "times": 1, "skip": 0, "kind": "status", "status": 503, "error_code": "SERVER_UNAVAILABLE"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `POST`…; any, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The start of the path, with its version and ids or as [`crate::Counts`] has it; any, if it is absent.
    #[serde(default)]
    pub path: String,
    /// How many requests it hits; 1, if it is absent.
    #[serde(default = "once")]
    pub times: u32,
    /// How many matching requests go well before.
    #[serde(default)]
    pub skip: u32,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
}

fn once() -> u32 {
    1
}

/// What goes wrong. Where nothing else is said, the request has its effect, and its answer is spoiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// A refusal, without an effect unless `after_effect`.
    Status {
        /// HTTP status.
        status: u16,
        /// `errorCode`, or `error` at the OAuth endpoints.
        error_code: String,
        /// For the reader.
        #[serde(default)]
        message: String,
        /// Whether the request is carried out first.
        #[serde(default)]
        after_effect: bool,
    },
    /// A delay before the request is carried out.
    Latency {
        /// In milliseconds.
        ms: u64,
    },
    /// The connection is closed without an answer, before the effect unless `after_effect`.
    Close {
        /// Whether the request is carried out first.
        #[serde(default)]
        after_effect: bool,
    },
    /// No answer at all, before the effect unless `after_effect`.
    Hang {
        /// Whether the request is carried out first.
        #[serde(default)]
        after_effect: bool,
    },
    /// The connection is closed in the middle of the body.
    HalfBody,
    /// The body comes byte by byte.
    SlowDrip {
        /// Between two bytes, in milliseconds.
        ms: u64,
    },
    /// The body is the first half of the JSON, of the right length.
    TruncatedJson,
    /// A page of HTML with status 200.
    Html,
    /// A JSON object of many bytes.
    HugeBody {
        /// How many.
        #[serde(default = "ten_megabytes")]
        bytes: usize,
    },
    /// Every key of the JSON twice, the second time with null.
    DuplicateKeys,
    /// Status 200 and no body.
    EmptyBody,
    /// Status 307, without an effect.
    Redirect {
        /// To where.
        location: String,
    },
    /// An answer of the token endpoint names another instance.
    WrongInstanceUrl {
        /// Which.
        url: String,
    },
    /// The request is answered as if Setup had a mistake.
    Setup {
        /// Which.
        mistake: Mistake,
    },
}

/// A mistake that people make with hosted MCP servers and their External Client App.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mistake {
    /// The callback URL is another one.
    OtherCallbackUrl,
    /// The scope `mcp_api` is not among the app's, `api` is.
    GenericScope,
    /// The MCP server is not activated.
    InactiveServer,
    /// Access tokens are opaque.
    OpaqueTokens,
    /// A secret is required.
    SecretRequired,
    /// The app was saved a moment ago.
    Propagating,
    /// The org is of the other kind: a sandbox, or not.
    OtherKindOfOrg,
    /// The metadata name another issuer.
    OtherIssuer,
    /// The user may not use the app.
    UserNotApproved,
    /// There are no metadata.
    NoDiscovery,
}

impl Mistake {
    /// Makes the mistake.
    pub fn make(self, options: &mut Options) {
        let app = &mut options.connected_app;
        match self {
            Mistake::OtherCallbackUrl => app.callback_urls = vec!["https://other.example/callback".to_owned()],
            Mistake::GenericScope => app.scopes.retain(|scope| scope != crate::hosted::SCOPE),
            Mistake::InactiveServer => options.hosted.active.clear(),
            Mistake::OpaqueTokens => app.issue_jwts = false,
            Mistake::SecretRequired => app.require_secret = true,
            Mistake::Propagating => app.is_propagating = true,
            Mistake::OtherKindOfOrg => options.hosted.sandbox = !options.hosted.sandbox,
            Mistake::OtherIssuer => options.issuer = Some("https://login.salesforce.com".to_owned()),
            Mistake::UserNotApproved => app.user_is_approved = false,
            Mistake::NoDiscovery => options.hosted.discovery = false,
        }
    }
}

fn ten_megabytes() -> usize {
    10 * 1024 * 1024
}

impl Fault {
    /// A fault that the next request meets that begins with `path`.
    pub fn once(method: &str, path: &str, kind: FaultKind) -> Fault {
        Fault { method: Some(method.to_owned()), path: path.to_owned(), times: 1, skip: 0, kind }
    }

    fn hits(&self, method: &str, path: &str) -> bool {
        let method_fits = self.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method));
        method_fits && (path.starts_with(&self.path) || path::template(path).starts_with(&self.path))
    }
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) pending: Vec<Fault>,
}

impl Faults {
    /// The fault that a request meets: the first that matches it and skips no more.
    pub(crate) fn take(&mut self, method: &str, path: &str) -> Option<FaultKind> {
        let mut taken = None;
        for fault in self.pending.iter_mut().filter(|fault| fault.times > 0 && fault.hits(method, path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else {
                fault.times -= 1;
                taken = Some(fault.kind.clone());
                break;
            }
        }
        self.pending.retain(|fault| fault.times > 0);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_hits_and_is_gone() {
        let text = r#"{"path": "/services/data/query", "times": 2, "skip": 1, "kind": "close", "after_effect": true}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let mut faults = Faults { pending: vec![fault] };
        let mut take = |path| faults.take("GET", path).is_some();
        assert!(!take("/services/data/v66.0/limits"));
        let taken = [(); 4].map(|()| take("/services/data/v66.0/query?q=x"));
        assert_eq!(taken, [false, true, true, false]);
        assert!(faults.pending.is_empty());
    }

    #[test]
    fn every_kind_is_read_from_json() {
        for kind in [
            r#""status", "status": 500, "error_code": "UNKNOWN_EXCEPTION""#,
            r#""latency", "ms": 5"#,
            r#""close""#,
            r#""hang""#,
            r#""half_body""#,
            r#""slow_drip", "ms": 5"#,
            r#""truncated_json""#,
            r#""html""#,
            r#""huge_body""#,
            r#""duplicate_keys""#,
            r#""empty_body""#,
            r#""redirect", "location": "/""#,
            r#""wrong_instance_url", "url": "https://evil.example""#,
            r#""setup", "mistake": "inactive_server""#,
        ] {
            let fault: Fault = serde_json::from_str(&format!(r#"{{"kind": {kind}}}"#)).unwrap();
            assert_eq!(fault.times, 1);
        }
        assert!(serde_json::from_str::<Fault>(r#"{"kind": "sabotage"}"#).is_err());
    }
}
