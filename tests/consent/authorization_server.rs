//! npm's `oidc-provider`, as `authorization_server.mjs` sets it up.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::script;

/// Our client id there.
pub const CLIENT_ID: &str = "northstar";

/// A running authorization server; it ends with this.
pub struct AuthorizationServer {
    /// Its issuer.
    pub issuer: String,
    /// Its public keys.
    pub jwks: Value,
    lines: Arc<Mutex<Vec<Value>>>,
    child: Child,
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AuthorizationServer {
    /// Starts it for one client and one MCP server.
    pub fn start(redirect_uri: &str, resource: &str) -> AuthorizationServer {
        let mut command = script("authorization_server.mjs");
        command.env("CLIENT_ID", CLIENT_ID).env("REDIRECT_URI", redirect_uri).env("RESOURCE", resource);
        command.env("ACCESS_TOKEN_SECONDS", "600").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("Node.js starts");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let started: Value = serde_json::from_str(&first).expect("the authorization server says where it is");
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            // The library has notes of its own between ours.
            let ours = output.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
            ours.for_each(|line| kept.lock().unwrap().push(line));
        });
        let issuer = started["issuer"].as_str().unwrap().to_owned();
        AuthorizationServer { issuer, jwks: started["jwks"].clone(), lines, child }
    }

    /// How many tokens were granted for a grant type.
    pub fn granted(&self, grant_type: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line["granted"] == grant_type).count()
    }

    /// What was secret in the grants, and what it is called: tokens, codes, verifiers.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let lines = self.lines.lock().unwrap();
        let of_line = |line: &Value| line["secrets"].as_object().cloned().unwrap_or_default();
        let secrets = lines.iter().flat_map(of_line);
        secrets.filter_map(|(name, secret)| Some((name, secret.as_str()?.to_owned()))).collect()
    }

    /// Everything it has refused.
    pub fn refused(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.get("granted").is_none()).cloned().collect()
    }
}
