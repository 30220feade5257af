//! `salesforce diff`: what an org has, as it is retrieved, against what the server says.

use black_box::shared;
use serde_json::{Value, json};

use crate::{DEFAULT, Packed, diff, text};

const EC: &str = "NorthstarMCP.externalCredential-meta.xml";
const NC: &str = "NorthstarMCP.namedCredential-meta.xml";
const REGISTRATION: &str = "NorthstarMCP.externalServiceRegistration-meta.xml";
const ACCESS: &str = "NorthstarMCP_Credential_Access.permissionset-meta.xml";
const PERMISSIONS: &str = "Agentforce_Agent_AWS_Permissions.permissionset-meta.xml";

/// A project as an org gives it back after it has connected: the registration is complete and knows tools, texts have
/// HTML entities.
fn retrieved(tools: &Value) -> Packed {
    let packed = Packed::new(&DEFAULT);
    let kept = tools.to_string().replace('\'', "&#39;");
    let escaped = kept.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    packed.replace(REGISTRATION, "&quot;tools&quot;:[]", &format!("&quot;tools&quot;:{escaped}"));
    packed.replace(REGISTRATION, "<status>Incomplete<", "<status>Complete<");
    packed.replace(NC, "<allowMergeFieldsInBody>false<", "<allowMergeFieldsInBody>true<");
    packed
}

async fn live_tools() -> Value {
    let token = shared().token().await;
    let answer = shared().legacy(&token, "2025-06-18", "tools/list", json!({})).await;
    answer["result"]["tools"].clone()
}

#[tokio::test]
async fn an_org_that_knows_what_the_server_says_has_no_differences() {
    let packed = Packed::new(&DEFAULT);
    let (code, report) = packed.diff(&[]);
    assert_eq!((code, &report["differences"]), (Some(0), &json!([])));
    assert!(report["notes"][0].as_str().unwrap().contains("has not connected yet"), "{report}");

    let mut tools = live_tools().await;
    let (code, report) = retrieved(&tools).diff(&[]);
    assert_eq!((code, report), (Some(0), json!({ "differences": [], "notes": [] })));

    // The org may keep less than the server says, and schemas as text.
    for tool in tools.as_array_mut().unwrap() {
        tool["inputSchema"] = Value::String(tool["inputSchema"].to_string());
        tool.as_object_mut()
            .unwrap()
            .retain(|field, _| ["name", "description", "inputSchema"].contains(&field.as_str()));
    }
    assert_eq!(retrieved(&tools).diff(&["--agent", "AWS", "--name", "NorthstarMCP", "--url", DEFAULT[1]]).0, Some(0));
}

#[test]
fn every_difference_names_the_page_and_the_field() {
    let credentials = "Setup → Named Credentials → External Credentials → NorthstarMCP";
    for (file, from, to, what, fix) in [
        (
            NC,
            "https://mcp.example.com/mcp",
            "https://mcp.example.com/mcp/",
            "Named Credential NorthstarMCP: URL",
            "Setup → Named Credentials → NorthstarMCP → Edit → URL",
        ),
        (
            NC,
            "https://mcp.example.com/mcp",
            "http://mcp.example.com/mcp",
            "Named Credential NorthstarMCP: URL",
            "Edit → URL",
        ),
        (NC, ">Enabled<", ">Disabled<", "Named Credential NorthstarMCP: Enabled for Callouts", "Enabled for Callouts"),
        (
            NC,
            "<generateAuthorizationHeader>true<",
            "<generateAuthorizationHeader>false<",
            "Named Credential NorthstarMCP: Generate Authorization Header",
            "Generate Authorization Header",
        ),
        (
            NC,
            "<externalCredential>NorthstarMCP</externalCredential>",
            "",
            "Named Credential NorthstarMCP: External Credential",
            "External Credential",
        ),
        (
            NC,
            "<externalCredential>NorthstarMCP<",
            "<externalCredential>Gone<",
            "External Credential Gone",
            "northstar salesforce pack",
        ),
        (
            EC,
            "https://mcp.example.com/token",
            "https://old.example.com/token",
            "External Credential NorthstarMCP: Identity Provider URL",
            "Identity Provider URL",
        ),
        (EC, ">mcp.read<", ">mcp.write<", "External Credential NorthstarMCP: Scope", "→ Scope"),
        (
            EC,
            "ClientCredentialsClientSecret",
            "ClientCredentialsJwtAssertion",
            "External Credential NorthstarMCP: Authentication Flow Type",
            "Client Credentials with Client Secret Flow",
        ),
        (
            EC,
            ">Oauth</authenticationProtocol>",
            ">Custom</authenticationProtocol>",
            "External Credential NorthstarMCP: Authentication Protocol",
            "OAuth 2.0",
        ),
        (EC, "NamedPrincipal", "PerUserPrincipal", "External Credential NorthstarMCP: principal", "Principals → New"),
        (
            EC,
            "<parameterGroup>MCPAuthentication<",
            "<parameterGroup>Other<",
            "Permission Set NorthstarMCP_Credential_Access: External Credential Principal Access",
            "External Credential Principal Access → Edit",
        ),
        (ACCESS, "<enabled>true<", "<enabled>false<", "Permission Set NorthstarMCP_Credential_Access", "deploy"),
        (
            ACCESS,
            "<allowRead>true<",
            "<allowRead>false<",
            "Permission Set NorthstarMCP_Credential_Access: User External Credentials",
            "Object Settings",
        ),
        (
            PERMISSIONS,
            "<agentName>AWS<",
            "<agentName>AWS2<",
            "Permission Set Agentforce_Agent_AWS_Permissions: Agent Access",
            "Agent Access",
        ),
        (
            "NorthstarMCP_Basic.externalAuthIdentityProvider-meta.xml",
            "https://mcp.example.com/token",
            "https://mcp.example.com/oauth",
            "External Auth Identity Provider NorthstarMCP_Basic: Token URL",
            "Token URL",
        ),
        (
            REGISTRATION,
            "<namedCredential>NorthstarMCP<",
            "<namedCredential>Gone<",
            "Named Credential Gone",
            "manifest/connect.xml",
        ),
        ("AWS.agent", "developer_name: \"AWS\"", "developer_name: \"Aws\"", "agent AWS: developer_name", "folder"),
    ] {
        let packed = Packed::new(&DEFAULT);
        packed.replace(file, from, to);
        let (code, report) = packed.diff(&[]);
        let found = report["differences"].as_array().unwrap().iter().find(|difference| difference["what"] == what);
        let found = found.unwrap_or_else(|| panic!("{file}: {from} -> {to}: {report:#}"));
        assert!(found["fix"].as_str().unwrap().contains(fix), "{found}");
        assert_eq!(code, Some(1), "{what}");
        if what.starts_with("External Credential NorthstarMCP: ") {
            assert!(found["fix"].as_str().unwrap().starts_with(credentials), "{found}");
        }
    }
}

#[test]
fn a_missing_component_is_named() {
    for (file, what) in [
        (NC, "Named Credential NorthstarMCP"),
        (EC, "External Credential NorthstarMCP"),
        (REGISTRATION, "External Service Registration NorthstarMCP"),
        (ACCESS, "Permission Set NorthstarMCP_Credential_Access"),
        (PERMISSIONS, "Permission Set Agentforce_Agent_AWS_Permissions: Agent Access"),
    ] {
        let packed = Packed::new(&DEFAULT);
        packed.remove(file);
        let (code, report) = packed.diff(&[]);
        let differences = report["differences"].as_array().unwrap();
        let named = differences.iter().any(|difference| difference["what"] == what && difference["kind"] == "missing");
        assert!(code == Some(1) && named, "{file}: {report:#}");
    }
}

#[tokio::test]
async fn tools_to_resync_are_named() {
    let live = live_tools().await;
    let mut old = live.clone();
    let tools = old.as_array_mut().unwrap();
    tools[0]["description"] = json!("Returns the status of one order.");
    tools[0]["outputSchema"]["properties"].as_object_mut().unwrap().remove("eta");
    tools[1]["name"] = json!("get_points");
    let (code, report) = retrieved(&old).diff(&[]);
    let differences = report["differences"].as_array().unwrap();
    let whats: Vec<&str> = differences.iter().map(|difference| difference["what"].as_str().unwrap()).collect();
    let expected = [
        "tool get_order_status: description, output schema changed on the server",
        "tool check_loyalty_points: new on the server",
        "tool get_points: gone from the server",
    ];
    assert_eq!((code, whats), (Some(1), expected.to_vec()));
    for difference in differences {
        assert_eq!(difference["kind"], "resync");
        assert!(difference["fix"].as_str().unwrap().contains("Setup → Agentforce Registry → NorthstarMCP → Tools"));
    }
}

#[test]
fn what_the_project_should_have_can_be_said() {
    let packed = Packed::new(&DEFAULT);
    for (options, what) in [
        (&["--url", "https://new.example.com"][..], "Named Credential NorthstarMCP: URL"),
        (&["--agent", "Order_Desk"], "Permission Set Agentforce_Agent_Order_Desk_Permissions: Agent Access"),
        (&["--name", "Other", "--url", DEFAULT[1]], "External Service Registration Other"),
        (&["--scope", "mcp.write"], "External Credential NorthstarMCP: Scope"),
    ] {
        let (code, report) = packed.diff(options);
        let named = report["differences"].as_array().unwrap().iter().any(|difference| difference["what"] == what);
        assert!(code == Some(1) && named, "{options:?}: {report:#}");
    }
}

#[test]
fn people_get_lines() {
    let packed = Packed::new(&DEFAULT);
    packed.replace(EC, ">mcp.read<", ">orders:read<");
    let output = shared().command(&["salesforce", "diff", packed.path().to_str().unwrap()]);
    let lines = text(&output.stdout);
    for line in [
        "differs  External Credential NorthstarMCP: Scope\n",
        "is         orders:read\n",
        "should be  mcp.read\n",
        "fix        Setup → Named Credentials → External Credentials → NorthstarMCP → Edit → Scope",
        "\n1 difference\n",
    ] {
        assert!(lines.contains(line), "{lines}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_cannot_be_compared_says_why() {
    let empty = tempfile::tempdir().unwrap();
    let none = shared().command(&["salesforce", "diff", empty.path().to_str().unwrap()]);
    assert!(none.status.code() == Some(2) && text(&none.stderr).contains("sf project retrieve start"));

    let packed = Packed::new(&DEFAULT);
    packed.replace(NC, "</NamedCredential>", "");
    let broken = shared().command(&["salesforce", "diff", packed.path().to_str().unwrap()]);
    assert!(broken.status.code() == Some(1) && text(&broken.stderr).contains("not well-formed XML"));

    // Two registrations: the first one is the second one's copy.
    let packed = Packed::new(&DEFAULT);
    let folder = packed.path().join("force-app/main/default/externalServiceRegistrations");
    let copy = folder.join("Other.externalServiceRegistration-meta.xml");
    std::fs::copy(folder.join(REGISTRATION), copy).unwrap();
    let two = shared().command(&["salesforce", "diff", packed.path().to_str().unwrap()]);
    assert!(two.status.code() == Some(2) && text(&two.stderr).contains("--name"), "{}", text(&two.stderr));
    assert_eq!(diff(packed.path(), &["--name", "Other"]).0, Some(0));
}
