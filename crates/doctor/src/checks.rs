//! Every check and every problem it can find, with cause and fix: what the doctor says, in one place. `docs/doctor.md` is
//! this table (a test compares).
//!
//! `{base}`, `{token_url}`, `{mcp_url}`, `{host}`, `{scope}` and `{client_id}` are filled in when a finding is made.

#![expect(missing_docs, reason = "each entry says what it is: id, cause and fix")]

use crate::finding::Status;

/// One thing that is looked at.
#[derive(Debug)]
pub struct Check {
    /// Id of its finding when all is well; problems append theirs: `token_body.redirected`.
    pub id: &'static str,
    /// What is looked at.
    pub what: &'static str,
    /// What can be wrong, beside [`ANY_REQUEST`].
    pub problems: &'static [Problem],
}

/// One thing that can be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its id within its check.
    pub id: &'static str,
    /// How bad it is.
    pub status: Status,
    /// The likely cause.
    pub cause: &'static str,
    /// What to do: in Salesforce Setup (page → field), or in the stack (parameter, command).
    pub fix: &'static str,
}

const fn fail(id: &'static str, cause: &'static str, fix: &'static str) -> Problem {
    Problem { id, status: Status::Fail, cause, fix }
}

const fn warn(id: &'static str, cause: &'static str, fix: &'static str) -> Problem {
    Problem { id, status: Status::Warn, cause, fix }
}

// Any request.

pub const NO_ANSWER: Problem = fail(
    "no_answer",
    "the answer takes longer than Salesforce waits: 10 s for a token, 60 s for a tool",
    "look at `total_ms` and `table_ms` in the log (`make logs`), at the alarm for p99, and at throttled tables",
);
pub const BROKEN: Problem = fail(
    "broken",
    "the connection ended before the answer: something in between closes it, or a client certificate is demanded",
    "ask without what is in between; mutual TLS on the API's domain has to be off, for Agentforce presents no certificate",
);
pub const REDIRECTED: Problem = fail(
    "redirected",
    "the URL is not the final one (http instead of https, another host, a slash too many): Salesforce does not follow a redirected POST",
    "enter the URL that the redirect names. Setup → Named Credentials → (name) → Edit → URL; Setup → Named Credentials → External Credentials → (name) → Edit → Identity Provider URL",
);
pub const BLOCKED: Problem = fail(
    "blocked",
    "a firewall (WAF, CDN) refuses the request before it reaches the functions, or the custom domain has no API mapping",
    "let Salesforce's published address ranges and the user agent SFDC-Callout through; with a custom domain, deploy with the parameter DomainName, which makes the mapping",
);
pub const HTML: Problem = fail(
    "html",
    "a web page answers where JSON belongs: the URL is that of a web site, a login wall or a CDN's error page",
    "the host of the API itself: parameter DomainName of the stack, or its output with the API's address; then Setup → Named Credentials → (name) → Edit → URL",
);
pub const NOT_FOUND: Problem = fail(
    "not_found",
    "the path is wrong (a slash at the end, a stage name, a server that is not registered), or the API has no such route",
    "token endpoint: {token_url}, MCP server: {mcp_url}, for another server with its name after it. Setup → Named Credentials → (name) → Edit → URL; Setup → Named Credentials → External Credentials → (name) → Edit → Identity Provider URL",
);
pub const THROTTLED: Problem = fail(
    "throttled",
    "more requests than the route takes, or no concurrency left for the function",
    "parameters RateLimit and BurstLimit (TokenRateLimit and TokenBurstLimit for the token endpoint); parameters TokenConcurrency and McpConcurrency, or the account's quota",
);
pub const GATEWAY_TIMEOUT: Problem = fail(
    "gateway_timeout",
    "the function did not answer within the 30 s that API Gateway waits",
    "look for the request in the log (`make logs`); tools should answer within 20 s",
);
pub const SERVER_ERROR: Problem = fail(
    "server_error",
    "the function fails, or API Gateway may not call it",
    "`make logs`: a line of level ERROR names the reason; without any line, deploy again (`make deploy`)",
);
pub const WRONG_HOST: Problem = fail(
    "wrong_host",
    "the stack serves another host: NORTHSTAR_PUBLIC_URL is not {base}, or a proxy changes the Host header",
    "use the stack's own public URL, or deploy with the parameter DomainName={host}",
);
pub const NOT_JSON: Problem = fail(
    "not_json",
    "what answers is not the functions, or something in between rewrites or compresses the body",
    "ask the API's own address, without what is in between",
);

/// What can be wrong with any request. Found again after it was found once, it is told once.
pub const ANY_REQUEST: &[Problem] = &[
    NO_ANSWER,
    BROKEN,
    REDIRECTED,
    BLOCKED,
    HTML,
    NOT_FOUND,
    THROTTLED,
    GATEWAY_TIMEOUT,
    SERVER_ERROR,
    WRONG_HOST,
    NOT_JSON,
];

// The way there.

pub const PLAIN_HTTP: Problem = fail(
    "plain_http",
    "Salesforce calls https alone, and over http a secret could be read on the way: nothing was sent",
    "give the https URL; Setup → Named Credentials → (name) → Edit → URL starts with https://",
);
pub const PORT: Problem = fail(
    "port",
    "Salesforce calls the ports 443 and 1024 to 65535 alone",
    "serve at port 443: API Gateway does, with or without the parameter DomainName",
);
pub const URL: Check =
    Check { id: "url", what: "the URL is one that Salesforce can call", problems: &[PLAIN_HTTP, PORT] };

pub const NO_ADDRESS: Problem = fail(
    "no_address",
    "the host name is wrong, or its DNS record is missing or not yet everywhere",
    "check the name; the stack makes the record with the parameters DomainName and HostedZoneId. Otherwise make an alias record to the API's regional domain name",
);
pub const PRIVATE: Problem = fail(
    "private",
    "the name leads to an address inside a private network, which Salesforce cannot reach",
    "make the name resolve to the public API: its alias record belongs into the public hosted zone (parameter HostedZoneId)",
);
pub const DNS: Check =
    Check { id: "dns", what: "the host name has a public address", problems: &[NO_ADDRESS, PRIVATE] };

pub const REFUSED: Problem = fail(
    "refused",
    "nothing listens at this address and port",
    "check host and port; a local run has to be started (`make run`)",
);
pub const SILENT: Problem = fail(
    "silent",
    "a firewall drops the packets, or the address is out of date",
    "check the DNS record and the firewall; Salesforce's published address ranges have to be let through",
);
pub const CONNECT: Check = Check { id: "connect", what: "the port is open", problems: &[REFUSED, SILENT] };

pub const NOT_TLS: Problem = fail(
    "not_tls",
    "what listens there does not speak TLS: the port is one for plain http",
    "use the port that serves https",
);
pub const OLD_VERSION: Problem = fail(
    "old_version",
    "the server offers TLS 1.1 or older; Salesforce wants 1.2 or 1.3",
    "security policy TLS_1_2 of the custom domain (the stack sets it), or of whatever ends TLS before it",
);
pub const CERTIFICATE_NAME: Problem = fail(
    "name",
    "the certificate is for other host names",
    "an ACM certificate for {host}: parameters DomainName and HostedZoneId make one, or CertificateArn names one",
);
pub const CERTIFICATE_EXPIRED: Problem = fail(
    "expired",
    "the certificate is out of date",
    "renew it. ACM renews by itself as long as its DNS validation record exists (parameter HostedZoneId)",
);
pub const CERTIFICATE_NOT_YET_VALID: Problem = fail(
    "not_yet_valid",
    "the certificate is valid from a later time on, or this machine's clock is wrong",
    "wait, or set the clock",
);
pub const MISSING_INTERMEDIATE: Problem = fail(
    "missing_intermediate",
    "the server sends its own certificate without the intermediate one; browsers fetch that by themselves, Salesforce does not",
    "install the full chain where TLS ends (the file often called fullchain.pem). With ACM and API Gateway (parameter CertificateArn) an imported certificate needs its chain imported too",
);
pub const SELF_SIGNED: Problem = fail(
    "self_signed",
    "the certificate is signed by itself; Salesforce takes none of those",
    "a certificate of a public authority: parameters DomainName and HostedZoneId make one by ACM",
);
pub const UNTRUSTED: Problem = fail(
    "untrusted",
    "the chain ends at an authority that this machine does not know: a private one, or a further intermediate is missing",
    "a certificate of a public authority (ACM: parameters DomainName and HostedZoneId); to go on with a private one, --ca FILE",
);
pub const HANDSHAKE: Problem = fail(
    "handshake",
    "the server ends the handshake: it has no certificate for this name, or wants one from the client",
    "check that {host} is a custom domain of the API (parameter DomainName), without mutual TLS",
);
pub const EXPIRES_SOON: Problem = warn(
    "expires_soon",
    "nobody has renewed the certificate yet",
    "renew it within 14 days. ACM renews by itself as long as its DNS validation record exists",
);
pub const TLS: Check = Check {
    id: "tls",
    what: "TLS 1.2 or 1.3 with a whole chain of certificates",
    problems: &[
        NOT_TLS,
        OLD_VERSION,
        CERTIFICATE_NAME,
        CERTIFICATE_EXPIRED,
        CERTIFICATE_NOT_YET_VALID,
        MISSING_INTERMEDIATE,
        SELF_SIGNED,
        UNTRUSTED,
        HANDSHAKE,
        EXPIRES_SOON,
    ],
};

// The token.

pub const NO_CREDENTIALS: Problem = fail(
    "missing",
    "no client is named, and the demo client belongs to the local run alone",
    "set NORTHSTAR_CLIENT_ID and NORTHSTAR_CLIENT_SECRET to those of a client of this stack (`northstar client create`)",
);
pub const CREDENTIALS: Check =
    Check { id: "credentials", what: "there is a client to ask as", problems: &[NO_CREDENTIALS] };

pub const INVALID_CLIENT: Problem = fail(
    "invalid_client",
    "unknown client id, wrong secret, or a client that is disabled, has expired or has no secret: the server tells them alike",
    "`northstar client show {client_id}` says more. Paste both values again: Setup → Named Credentials → External Credentials → (name) → Principals → Edit → Client ID, Client Secret",
);
pub const BASIC_ONLY: Problem = fail(
    "basic_only",
    "the client may send its secret in the Authorization header alone; the form of the Agentforce Registry sends it in the body",
    "`northstar client update {client_id} --auth-method client_secret_post --auth-method client_secret_basic`; or use an External Auth Identity Provider and leave \"Pass client credentials in request body\" off",
);
pub const INVALID_SCOPE: Problem = fail(
    "invalid_scope",
    "the scope is misspelt, or the client does not have it",
    "Setup → Named Credentials → External Credentials → (name) → Edit → Scope: mcp.read; or give the client the scope {scope}: `northstar client update {client_id} --scope …`",
);
pub const INVALID_TARGET: Problem = fail(
    "invalid_target",
    "the client may not call any server that the request is for",
    "`northstar client show {client_id}` lists its servers; make one client for each server (`northstar client create NAME --server SERVER`)",
);
pub const GRANT: Problem = fail(
    "grant",
    "the token endpoint does not offer the client credentials grant to this client",
    "allow the grant client_credentials for this client; Agentforce's registration form uses no other",
);
pub const INVALID_REQUEST: Problem = fail(
    "invalid_request",
    "something between here and the function changes the form, or this is not a token endpoint for forms",
    "ask the API's own address; Identity Provider URL is {token_url}, without a query",
);
pub const TOO_MANY: Problem = fail(
    "too_many",
    "too many wrong secrets in a row came from this address for this client: wrong ones have to wait",
    "wait a minute, then ask with the right secret, which never waits: `northstar client show {client_id}`, `northstar client rotate {client_id}`",
);
pub const NO_SIGNING_KEY: Problem = fail(
    "no_signing_key",
    "no signing key is valid at the moment: none was made, or all have expired and rotation does not run",
    "`northstar init` makes the first one; `northstar key list` shows them, `northstar key rotate` makes the next; look at the alarm for refused rotations",
);
pub const UNAVAILABLE: Problem = fail(
    "unavailable",
    "the function cannot read its table or its secrets",
    "`make logs`: the line with `stale_value` or `temporarily_unavailable` names the table; check the role's policy and the parameters with names of tables and secrets",
);
pub const NO_TOKEN: Problem = fail(
    "no_token",
    "the answer is JSON, but not that of a token endpoint (RFC 6749 §5.1)",
    "Setup → Named Credentials → External Credentials → (name) → Edit → Identity Provider URL is the token endpoint itself: {token_url}",
);
pub const TOKEN_TYPE: Problem = fail(
    "token_type",
    "the token is not a bearer token, and Salesforce can send no other",
    "the token endpoint has to answer \"token_type\":\"Bearer\"",
);
pub const NO_EXPIRES_IN: Problem = warn(
    "no_expires_in",
    "the answer does not say how long the token lives, as a number of seconds: Salesforce finds out only by a call that is refused",
    "the token endpoint should answer \"expires_in\" as a number",
);
pub const NARROWED: Problem = fail(
    "narrowed",
    "the client does not have every scope that was asked for, and the endpoint gave less",
    "`northstar client update {client_id} --scope …` gives the client {scope}; or ask for less: Setup → Named Credentials → External Credentials → (name) → Edit → Scope",
);
pub const CONTENT_TYPE: Problem = warn(
    "content_type",
    "the answer is JSON under another content type: some clients refuse it",
    "let nothing between the function and the client change Content-Type: it is application/json",
);
pub const CACHEABLE: Problem = warn(
    "cacheable",
    "the answer with the token lacks Cache-Control: no-store, so that what is in between might keep it (RFC 6749 §5.1)",
    "let nothing in between change Cache-Control; switch caching off for the path",
);
pub const REFUSED_OTHERWISE: Problem = fail(
    "refused",
    "this is no answer of a token endpoint: an authorizer before it, or another service",
    "the routes of the API need no authorizer: deploy the stack as it is; Identity Provider URL is {token_url}",
);
pub const TOKEN_BODY: Check = Check {
    id: "token_body",
    what: "a token, the secret in the body (Agentforce Registry)",
    problems: &[
        INVALID_CLIENT,
        BASIC_ONLY,
        INVALID_SCOPE,
        INVALID_TARGET,
        GRANT,
        INVALID_REQUEST,
        TOO_MANY,
        NO_SIGNING_KEY,
        UNAVAILABLE,
        NO_TOKEN,
        TOKEN_TYPE,
        NO_EXPIRES_IN,
        NARROWED,
        CONTENT_TYPE,
        CACHEABLE,
        REFUSED_OTHERWISE,
    ],
};

pub const BASIC_REFUSED: Problem = warn(
    "refused",
    "the client may not authenticate by the Authorization header, or something in between removes the header",
    "only an External Auth Identity Provider needs it. Switch \"Pass client credentials in request body\" on there, or `northstar client update {client_id} --auth-method client_secret_post --auth-method client_secret_basic`",
);
pub const TOKEN_BASIC: Check = Check {
    id: "token_basic",
    what: "a token, the secret in the Authorization header (External Auth Identity Provider)",
    problems: &[BASIC_REFUSED],
};

pub const COMMA_REFUSED: Problem = warn(
    "refused",
    "the token endpoint splits scopes at blanks alone, and the help text of Salesforce's form asks for commas",
    "Setup → Named Credentials → External Credentials → (name) → Edit → Scope: a single scope, or several separated by blanks",
);
pub const TOKEN_COMMA: Check =
    Check { id: "token_comma", what: "a token for scopes separated by a comma", problems: &[COMMA_REFUSED] };

pub const WRONG_SECRET_ACCEPTED: Problem = fail(
    "accepted",
    "the token endpoint gives tokens to anybody who knows a client id",
    "take the endpoint out of service; it has to compare the secret",
);
pub const WRONG_SECRET_STATUS: Problem = warn(
    "status",
    "a wrong secret is not answered with 401 and \"error\":\"invalid_client\" (RFC 6749 §5.2): nobody will see why it fails",
    "let nothing between the function and the client change the answer",
);
pub const WRONG_SECRET: Check = Check {
    id: "wrong_secret",
    what: "a wrong secret is refused, and told so",
    problems: &[WRONG_SECRET_ACCEPTED, WRONG_SECRET_STATUS],
};

pub const ISSUER: Problem = fail(
    "issuer",
    "the token names another issuer than {base}: the stack's public URL is another one, or this token endpoint is not the stack's",
    "use the stack's own public URL everywhere, or deploy with the parameter DomainName={host}; Identity Provider URL is {token_url}",
);
pub const OTHER_SERVER: Problem = fail(
    "other_server",
    "Agentforce names no server when it asks for a token, so it gets one for the first server of its client, and that is another one",
    "one client for each server: `northstar client create NAME --server SERVER`, then Setup → Named Credentials → External Credentials → (name) → Principals → Edit → Client ID, Client Secret",
);
pub const AUDIENCE: Problem = warn(
    "audience",
    "the token's audience is not the URL of the server (RFC 8707, RFC 9728): a strict server refuses it",
    "the token endpoint should put {mcp_url} into `aud`",
);
pub const TOKEN_CLAIMS: Check = Check {
    id: "token_claims",
    what: "the token is from this issuer and for this server",
    problems: &[ISSUER, OTHER_SERVER, AUDIENCE],
};

pub const UNPUBLISHED: Problem = fail(
    "unpublished",
    "the token is signed with a key that is not among the public ones: the key has expired or was deleted, or the secret and the table are of different stacks",
    "`northstar key list`, then `northstar key rotate`; check the parameters SigningKeysSecretName and ConfigTableName",
);
pub const NO_KEYS: Problem = fail(
    "no_keys",
    "the public keys cannot be read, or there are none",
    "`northstar init` makes the first key; `northstar key list` shows them",
);
pub const SIGNING_KEY: Check = Check {
    id: "signing_key",
    what: "the key that signed the token is among the public keys",
    problems: &[UNPUBLISHED, NO_KEYS],
};

pub const CLOCK_OFF: Problem = fail(
    "off",
    "the server's clock and this machine's are 5 minutes or more apart: tokens and assertions seem expired, or not valid yet",
    "set the clock that is wrong (NTP). In AWS the clock is right: then it is this machine's, or something in between answers from a cache",
);
pub const CLOCK_DRIFTS: Problem = warn(
    "drifts",
    "the server's clock and this machine's are a minute or more apart",
    "set the clock that is wrong (NTP)",
);
pub const NO_DATE: Problem = warn(
    "no_date",
    "no answer has a Date header: something in between removes it",
    "nothing, if the time is right otherwise",
);
pub const CLOCK: Check = Check {
    id: "clock",
    what: "the server's clock agrees with this machine's",
    problems: &[CLOCK_OFF, CLOCK_DRIFTS, NO_DATE],
};

// The conversation of Agentforce.

pub const TOKEN_REFUSED: Problem = fail(
    "token_refused",
    "the server refuses the token that its own token endpoint has just given: another audience, issuer or key, or a proxy removes the Authorization header",
    "look at the findings token_claims and signing_key; `make logs` has the line with `invalid_token` or `token_required`. `northstar key list` shows the keys",
);
pub const FORBIDDEN: Problem = fail(
    "forbidden",
    "the token is good, and the server does not let it do this",
    "`northstar client update {client_id} --server … --scope …`, then Setup → Named Credentials → External Credentials → (name) → Edit → Scope",
);
pub const RPC_ERROR: Problem = fail(
    "error",
    "the server understands the request and refuses it, or this URL is no MCP server",
    "MCP server URL is {mcp_url}; the code is explained in docs/errors.md",
);
pub const REVISION: Problem = fail(
    "revision",
    "the server answers with a protocol revision that Agentforce does not speak (2024-11-05, 2025-03-26, 2025-06-18)",
    "the server has to answer the revision that it is asked for; update it, or what is in between",
);
pub const INITIALIZE: Check = Check {
    id: "initialize",
    what: "the first request of Agentforce, at revision 2025-06-18",
    problems: &[TOKEN_REFUSED, FORBIDDEN, RPC_ERROR, REVISION],
};

pub const NOT_ACCEPTED: Problem = fail(
    "refused",
    "the server refuses the notification that completes the handshake",
    "answer notifications/initialized with 202 and no body",
);
pub const NOT_202: Problem = warn(
    "status",
    "the notification is answered, and not with 202 and an empty body: strict clients end here",
    "let nothing in between change status or body of the answer",
);
pub const INITIALIZED: Check = Check {
    id: "initialized",
    what: "notifications/initialized is answered with 202",
    problems: &[NOT_ACCEPTED, NOT_202],
};

pub const SESSION_DEMANDED_UNASKED: Problem = fail(
    "session_demanded",
    "the server wants a session id that it has not given: it keeps sessions in a process, and another one answered",
    "run the server without sessions (\"stateless\"): on Lambda no request may need an earlier one",
);
pub const EMPTY: Problem = fail(
    "empty",
    "the server lists no tools: there will be nothing to choose in Setup → Agentforce Registry → (name) → Tools",
    "give the server tools: its definition names them (ARCHITECTURE.md, \"Where do I add …\")",
);
pub const PAGED: Problem = warn(
    "paged",
    "the list has a second page, and nothing says that Agentforce asks for one: tools may be missing in Setup → Agentforce Registry → (name) → Tools",
    "answer tools/list in one page; fewer tools a server, and one registration for each server",
);
pub const TOOLS_LIST: Check = Check {
    id: "tools_list",
    what: "all tools in one page",
    problems: &[TOKEN_REFUSED, FORBIDDEN, RPC_ERROR, SESSION_DEMANDED_UNASKED, EMPTY, PAGED],
};

pub const SESSION_DEMANDED: Problem = warn(
    "demanded",
    "requests need the session of an earlier one: where instances come and go, as on Lambda, calls fail now and then (\"Server not initialized\")",
    "run the server without sessions (\"stateless\")",
);
pub const SESSION: Check =
    Check { id: "session", what: "a request stands alone, without a session", problems: &[SESSION_DEMANDED] };

pub const HEADER_DEMANDED: Problem = warn(
    "demanded",
    "the server wants MCP-Protocol-Version in every request; nothing says that Agentforce sends it",
    "take a request without the header as one of revision 2025-03-26, as MCP says",
);
pub const NO_REVISION_HEADER: Check = Check {
    id: "no_revision_header",
    what: "a request without MCP-Protocol-Version is answered",
    problems: &[HEADER_DEMANDED],
};

pub const NAME_CHARACTERS: Problem = fail(
    "characters",
    "Agentforce takes tool names of 1 to 128 letters, digits and _ . / - alone",
    "rename the tool: small letters, digits and _, up to 64",
);
pub const NAME_TWICE: Problem =
    fail("twice", "two tools have one name: only one of them can be called", "rename one of them");
pub const TOOL_NAMES: Check =
    Check { id: "tool_names", what: "tool names that Agentforce takes", problems: &[NAME_CHARACTERS, NAME_TWICE] };

pub const NO_TITLE: Problem = warn(
    "no_title",
    "the input has no `title`: Agentforce labels it \"string\"",
    "give the property a title in the tool's input schema, then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const NO_INPUT_DESCRIPTION: Problem = warn(
    "no_description",
    "the input has no `description`: the agent has to guess what belongs there",
    "give the property a description in the tool's input schema, then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const INPUT_NESTED: Problem = warn(
    "nested",
    "the input is an object, a list of objects, or may be of several types: Agentforce maps text, numbers, truth values and lists of text",
    "make it a property of its own for each value",
);
pub const INPUT_NOT_OBJECT: Problem = fail(
    "not_object",
    "the input schema is not one of type object, which MCP demands",
    "\"inputSchema\":{\"type\":\"object\",…} in the tool's definition",
);
pub const INPUT_SCHEMAS: Check = Check {
    id: "input_schemas",
    what: "inputs with titles and descriptions",
    problems: &[NO_TITLE, NO_INPUT_DESCRIPTION, INPUT_NESTED, INPUT_NOT_OBJECT],
};

pub const NO_DESCRIPTION: Problem = warn(
    "missing",
    "the tool has no description: the agent cannot tell when to use it",
    "describe the tool in one line of up to 1,000 characters, then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const DESCRIPTION_CUT: Problem = fail(
    "cut",
    "the description is longer than 1,300 characters: Agentforce has cut or refused those",
    "one line of up to 1,000 characters, then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const DESCRIPTION_LONG: Problem = warn(
    "long",
    "the description is longer than 1,000 characters, near to what Agentforce cuts",
    "one line of up to 1,000 characters, then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const DESCRIPTION_LINES: Problem = warn(
    "lines",
    "the description has several lines; Agentforce wants one",
    "put it on one line, then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const DESCRIPTIONS: Check = Check {
    id: "descriptions",
    what: "descriptions of one line, up to 1,000 characters",
    problems: &[NO_DESCRIPTION, DESCRIPTION_CUT, DESCRIPTION_LONG, DESCRIPTION_LINES],
};

pub const NO_OUTPUT_SCHEMA: Problem = warn(
    "missing",
    "the tool has no output schema: the agent gets text alone, and the Builder has no outputs to show",
    "give the tool an output schema: a flat object of texts, numbers and truth values",
);
pub const OUTPUT_NOT_OBJECT: Problem = fail(
    "not_object",
    "the output schema is not one of type object, which MCP demands up to revision 2025-11-25",
    "\"outputSchema\":{\"type\":\"object\",…} in the tool's definition",
);
pub const OUTPUT_NESTED: Problem = fail(
    "nested",
    "the output is nested: the Builder of Agentforce shows it empty",
    "flatten it: properties at the top level, or one list of flat objects; then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const OUTPUT_NULLABLE: Problem = fail(
    "nullable",
    "the output may be null or of several types: the Builder of Agentforce shows it empty",
    "one type for each property; leave a missing value out instead of sending null; then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const OUTPUT_SCHEMAS: Check = Check {
    id: "output_schemas",
    what: "flat outputs that are never null",
    problems: &[NO_OUTPUT_SCHEMA, OUTPUT_NOT_OBJECT, OUTPUT_NESTED, OUTPUT_NULLABLE],
};

pub const GET_ANSWERED: Problem = fail(
    "answered",
    "a GET of the MCP server is answered with something that is no MCP: a web page, or a health check on the same path. Agentforce asks GET between its calls",
    "answer GET with 405 and Allow: POST",
);
pub const GET_STREAM: Problem = warn(
    "stream",
    "the server opens an event stream: behind API Gateway it is cut after 30 s, and it occupies an instance until then",
    "answer GET with 405 and Allow: POST",
);
pub const GET_STATUS: Problem = warn(
    "status",
    "GET is refused in another way than by 405, which clients take for \"there is no stream\"",
    "answer GET with 405 before anything else is checked; let nothing in between answer for the server",
);
pub const GET_NO_ALLOW: Problem = warn(
    "no_allow",
    "the 405 does not say which method is allowed (RFC 9110 §15.5.6)",
    "answer GET with 405 and Allow: POST",
);
pub const GET: Check = Check {
    id: "get",
    what: "GET is answered with 405",
    problems: &[GET_ANSWERED, GET_STREAM, GET_STATUS, GET_NO_ALLOW],
};

pub const DELETE_STATUS: Problem = warn(
    "status",
    "Agentforce ends a conversation with DELETE, and the server answers neither 200, 204 nor 405",
    "answer DELETE with 405 and Allow: POST; let nothing in between answer for the server",
);
pub const DELETE: Check =
    Check { id: "delete", what: "DELETE is answered with 200, 204 or 405", problems: &[DELETE_STATUS] };

pub const NO_SUCH_TOOL: Problem = fail(
    "no_such_tool",
    "the server does not list a tool of this name",
    "use one of its names; a tool that was renamed has to be synced: Setup → Agentforce Registry → (name) → Tools",
);
pub const TOOL_ERROR: Problem = fail(
    "tool_error",
    "the tool was called, and has no answer",
    "its sentence says why: an argument, or data that is not there (`northstar import`). For `table_unavailable`: the role's policy and the names of tables",
);
pub const UNSTRUCTURED: Problem = fail(
    "unstructured",
    "the tool declares an output schema and answers without structuredContent: the outputs stay empty in Agentforce",
    "answer `structuredContent` beside `content`",
);
pub const NO_MIRROR: Problem = warn(
    "no_mirror",
    "the text is not the JSON of structuredContent: clients that read the text alone see another answer",
    "put the same JSON into `content[0].text`",
);
pub const SCHEMA_MISMATCH: Problem = fail(
    "schema_mismatch",
    "the answer does not fit the tool's own output schema: strict clients refuse it, Agentforce shows what fits",
    "correct the answer or the schema; then sync: Setup → Agentforce Registry → (name) → Tools",
);
pub const LARGE: Problem = warn(
    "large",
    "the answer has more than 50 kB: too much for a model to read",
    "let the tool answer less, with a cursor to go on",
);
pub const CALL: Check = Check {
    id: "call",
    what: "a call of the tool that was named",
    problems: &[
        TOKEN_REFUSED,
        FORBIDDEN,
        RPC_ERROR,
        NO_SUCH_TOOL,
        TOOL_ERROR,
        UNSTRUCTURED,
        NO_MIRROR,
        SCHEMA_MISMATCH,
        LARGE,
    ],
};

// Refusals.

pub const ACCEPTED: Problem = fail(
    "accepted",
    "the server answers without a good token: anybody can call its tools",
    "check that the route leads to the function mcp; what is in between must not add an Authorization header or answer from a cache",
);
pub const FORBIDDEN_INSTEAD: Problem = fail(
    "forbidden",
    "the token is refused with 403 instead of 401: Salesforce fetches a new token after a 401 alone, so that the agent fails as soon as its token has expired",
    "answer 401; let nothing in between change it. As a stopgap, the External Credential takes 403 as a parameter of type AdditionalRefreshStatusCode",
);
pub const NOT_401: Problem = fail(
    "status",
    "the token is refused in another way than by 401: Salesforce fetches a new token after a 401 alone",
    "answer 401 with a challenge; let nothing in between answer for the server",
);
pub const NO_TOKEN_REFUSED: Check = Check {
    id: "no_token",
    what: "a request without a token is answered with 401",
    problems: &[ACCEPTED, FORBIDDEN_INSTEAD, NOT_401],
};
pub const BAD_TOKEN: Check = Check {
    id: "bad_token",
    what: "a token that is none is answered with 401",
    problems: &[ACCEPTED, FORBIDDEN_INSTEAD, NOT_401],
};
pub const ALTERED_TOKEN: Check = Check {
    id: "altered_token",
    what: "a token with a changed signature is answered with 401",
    problems: &[ACCEPTED, FORBIDDEN_INSTEAD, NOT_401],
};
pub const EXPIRED_TOKEN: Check = Check {
    id: "expired_token",
    what: "an expired token is answered with 401",
    problems: &[ACCEPTED, FORBIDDEN_INSTEAD, NOT_401],
};

pub const RENAMED: Problem = warn(
    "renamed",
    "API Gateway has renamed the header WWW-Authenticate, and the stack does not set it again. Agentforce does not need it; other clients find the token endpoint by it",
    "parameter MapChallengeHeader=yes, then `make deploy`",
);
pub const NO_CHALLENGE: Problem = warn(
    "missing",
    "the 401 carries no WWW-Authenticate: Bearer (RFC 6750 §3). Agentforce does not need it; other clients find the token endpoint by it",
    "let nothing in between remove the header",
);
pub const NO_METADATA: Problem = warn(
    "no_metadata",
    "the challenge does not name the metadata of this server (RFC 9728 §5.1): clients that look there do not find the token endpoint",
    "resource_metadata should be the URL of /.well-known/oauth-protected-resource for {mcp_url}",
);
pub const CHALLENGE: Check = Check {
    id: "challenge",
    what: "the 401 says where a token is to be had",
    problems: &[RENAMED, NO_CHALLENGE, NO_METADATA],
};

// Other clients.

pub const REVISION_REFUSED: Problem = fail(
    "refused",
    "the server does not agree on a revision that Agentforce may ask for",
    "the server has to answer initialize with a revision that both speak; update it",
);
pub const NEWER_REFUSED: Problem = warn(
    "newer_refused",
    "the server refuses a newer client instead of naming a revision that it speaks",
    "answer initialize with a revision of the server's own; answer 2026-07-28 in a request's metadata with error -32022",
);
pub const REVISIONS: Check = Check {
    id: "revisions",
    what: "every revision of the protocol from 2024-11-05 to 2026-07-28 finds an answer",
    problems: &[REVISION_REFUSED, NEWER_REFUSED],
};

pub const METADATA_MISSING: Problem = warn(
    "missing",
    "there is no such document. Agentforce does not need it; other clients find the token endpoint by it",
    "deploy the routes under /.well-known, and let them through what is in between",
);
pub const RESOURCE: Problem = fail(
    "resource",
    "the document is about another server: clients compare the text, and refuse (RFC 9728 §3.3)",
    "use the stack's own public URL everywhere, or deploy with the parameter DomainName={host}",
);
pub const AUTHORIZATION_SERVER: Problem = fail(
    "authorization_server",
    "the document names no authorization server, or a foreign one",
    "`authorization_servers` should be [\"{base}\"]; use the stack's own public URL everywhere",
);
pub const RESOURCE_METADATA: Check = Check {
    id: "resource_metadata",
    what: "the server's metadata (RFC 9728)",
    problems: &[METADATA_MISSING, RESOURCE, AUTHORIZATION_SERVER],
};

pub const METADATA_ISSUER: Problem = fail(
    "issuer",
    "the document is that of another issuer: clients compare the text, and refuse (RFC 8414 §3.3)",
    "use the stack's own public URL everywhere, or deploy with the parameter DomainName={host}",
);
pub const METADATA_TOKEN_ENDPOINT: Problem = fail(
    "token_endpoint",
    "the document sends clients to another token endpoint",
    "token_endpoint should be {token_url}",
);
pub const METADATA_METHODS: Problem = warn(
    "methods",
    "the document does not offer client_credentials with client_secret_post and client_secret_basic: clients that read it will not try",
    "publish grant_types_supported and token_endpoint_auth_methods_supported as they are",
);
pub const SERVER_METADATA: Check = Check {
    id: "server_metadata",
    what: "the authorization server's metadata (RFC 8414)",
    problems: &[METADATA_MISSING, METADATA_ISSUER, METADATA_TOKEN_ENDPOINT, METADATA_METHODS],
};

// Times.

pub const TOKEN_SLOW: Problem = warn(
    "slow",
    "a token took more than half of the 10 s that Salesforce waits",
    "look at `total_ms` and `cold` in the log (`make logs`); more memory, or a table and secrets in the same region",
);
pub const TOKEN_TIME: Check =
    Check { id: "token_time", what: "tokens within half of Salesforce's 10 s", problems: &[TOKEN_SLOW] };
pub const MCP_SLOW: Problem = warn(
    "slow",
    "an answer took more than 20 s: API Gateway ends at 30 s, Salesforce at 60 s",
    "look at `table_ms` and `total_ms` in the log (`make logs`); long work belongs into two tools, one that starts it and one that asks",
);
pub const MCP_TIME: Check = Check { id: "mcp_time", what: "answers of the server within 20 s", problems: &[MCP_SLOW] };

pub const SKIPPED: Problem =
    warn("skipped", "they need what failed before", "repair that, then run `northstar doctor` again");
pub const NOT_CHECKED: Check = Check { id: "not_checked", what: "checks that could not run", problems: &[SKIPPED] };

/// Every check, in the order in which they run.
pub const ALL: &[&Check] = &[
    &URL,
    &DNS,
    &CONNECT,
    &TLS,
    &CREDENTIALS,
    &TOKEN_BODY,
    &TOKEN_BASIC,
    &TOKEN_COMMA,
    &WRONG_SECRET,
    &TOKEN_CLAIMS,
    &CLOCK,
    &INITIALIZE,
    &INITIALIZED,
    &TOOLS_LIST,
    &TOOL_NAMES,
    &INPUT_SCHEMAS,
    &DESCRIPTIONS,
    &OUTPUT_SCHEMAS,
    &GET,
    &DELETE,
    &CALL,
    &SESSION,
    &NO_REVISION_HEADER,
    &NO_TOKEN_REFUSED,
    &BAD_TOKEN,
    &ALTERED_TOKEN,
    &EXPIRED_TOKEN,
    &CHALLENGE,
    &REVISIONS,
    &RESOURCE_METADATA,
    &SERVER_METADATA,
    &SIGNING_KEY,
    &TOKEN_TIME,
    &MCP_TIME,
    &NOT_CHECKED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_in_the_list_once() {
        let defined = include_str!("checks.rs").split("#[cfg(test)]").next().unwrap().matches(": Check =").count();
        let ids: std::collections::BTreeSet<&str> = ALL.iter().map(|check| check.id).collect();
        assert_eq!((ALL.len(), ids.len()), (defined, defined));
    }

    #[test]
    fn no_id_of_a_check_means_two_things() {
        for check in ALL {
            let mut ids: Vec<&str> = check.problems.iter().chain(ANY_REQUEST).map(|problem| problem.id).collect();
            ids.sort_unstable();
            let before = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), before, "{}", check.id);
        }
    }

    #[test]
    fn every_problem_has_a_cause_and_a_fix_with_known_places_to_fill_in() {
        for problem in ALL.iter().flat_map(|check| check.problems).chain(ANY_REQUEST) {
            assert!(problem.status != Status::Pass && !problem.cause.is_empty() && !problem.fix.is_empty());
            for text in [problem.cause, problem.fix] {
                let places = text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
                for place in places.filter(|place| !place.contains('"')) {
                    let known = ["base", "token_url", "mcp_url", "host", "scope", "client_id"];
                    assert!(known.contains(&place), "{}: {place}", problem.id);
                }
            }
        }
    }
}
