//! The files: right by the schema, right among each other, read by Salesforce's own library, the same every time.

use std::fs;

use black_box::shared;
use serde_json::{Value, json};

use crate::{DEFAULT, OTHER, Packed, committed, convert, project, text};

#[test]
fn the_committed_project_is_what_pack_writes() {
    let packed = Packed::new(&DEFAULT);
    let (made, kept) = (project::read(packed.path()), project::read(&committed()));
    let differing: Vec<&String> =
        made.keys().chain(kept.keys()).filter(|path| made.get(*path) != kept.get(*path)).collect();
    assert!(
        differing.is_empty(),
        "{differing:?} differ: with a local run, `northstar salesforce pack --out salesforce --url https://mcp.example.com --force`"
    );
}

#[test]
fn every_file_is_right_and_every_name_leads_somewhere() {
    for options in [&DEFAULT[..], &OTHER, &["--url", "https://a.example", "--name", &"N".repeat(40), "--agent", "a1_B"]]
    {
        let packed = Packed::new(options);
        assert_eq!(project::problems(packed.path()), Vec::<String>::new(), "{options:?}");
    }
}

#[test]
fn the_names_host_and_scope_that_were_asked_for_are_in_the_files() {
    let packed = Packed::new(&OTHER);
    let files = project::read(packed.path());
    let has = |file: &str, text: &str| {
        let (_, content) = files.iter().find(|(path, _)| path.ends_with(file)).unwrap_or_else(|| panic!("no {file}"));
        assert!(content.contains(text), "{file}: {text}");
    };
    has("Acme_Orders.namedCredential-meta.xml", ">https://agents.acme-orders.example:8443/mcp<");
    has("Acme_Orders.externalCredential-meta.xml", ">https://agents.acme-orders.example:8443/token<");
    has("Acme_Orders.externalCredential-meta.xml", ">mcp.write<");
    has("Acme_Orders_Credential_Access.permissionset-meta.xml", ">Acme_Orders-MCPAuthentication<");
    has("Agentforce_Agent_Order_Desk_Permissions.permissionset-meta.xml", "<agentName>Order_Desk</agentName>");
    has("Acme_Orders_Basic.externalAuthIdentityProvider-meta.xml", ">ClientSecretBasic<");
    has("SETUP.md", "northstar salesforce diff . --name Acme_Orders --agent Order_Desk --scope mcp.write\n");
    has("SETUP.md", "sf agent mcp create --name AcmeOrders ");
    has("mcp-assets.json", "McpTool__get_order_status");
    let strange =
        files.iter().filter(|(path, content)| content.contains("Northstar-") || path.contains("NorthstarMCP"));
    assert_eq!(strange.count(), 0);
}

#[test]
fn no_file_holds_a_secret() {
    for (path, content) in project::read(Packed::new(&DEFAULT).path()) {
        assert!(!content.contains(&shared().client_secret), "{path}");
        assert!(!content.contains(&shared().url), "{path} names the server that was asked");
    }
}

#[test]
fn planted_errors_are_caught() {
    let ec = "NorthstarMCP.externalCredential-meta.xml";
    let nc = "NorthstarMCP.namedCredential-meta.xml";
    let registration = "NorthstarMCP.externalServiceRegistration-meta.xml";
    let provider = "NorthstarMCP_Basic.externalAuthIdentityProvider-meta.xml";
    let access = "NorthstarMCP_Credential_Access.permissionset-meta.xml";
    let permissions = "Agentforce_Agent_AWS_Permissions.permissionset-meta.xml";
    for (file, from, to, expected) in [
        (ec, ">Oauth</authenticationProtocol>", ">OAuth</authenticationProtocol>", "authenticationProtocol may not be"),
        (ec, ">NamedPrincipal<", ">NamedPrinciple<", "parameterType may not be"),
        (ec, "<label>NorthstarMCP</label>", "", "label is missing"),
        (
            ec,
            "<parameterGroup>MCPAuthentication</parameterGroup>",
            "<parameterGroup>Other</parameterGroup>",
            "no principal NorthstarMCP-MCPAuthentication",
        ),
        (ec, "https://mcp.example.com/token", "https://mcp.example.com/mcp/token", "do not belong together"),
        (ec, "</ExternalCredential>", "", "ExternalCredential-meta.xml"),
        (ec, "xmlns=\"http://soap.sforce.com/2006/04/metadata\"", "", "another namespace"),
        (nc, "<externalCredential>NorthstarMCP<", "<externalCredential>Northstar<", "no ExternalCredential Northstar"),
        (nc, "https://mcp.example.com/mcp", "http://mcp.example.com/mcp", "do not belong together"),
        (
            nc,
            "<calloutStatus>Enabled</calloutStatus>",
            "<calloutStatus>enabled</calloutStatus>",
            "calloutStatus may not be",
        ),
        (nc, "<allowMergeFieldsInBody>false</allowMergeFieldsInBody>\n", "", ""),
        (
            nc,
            "<generateAuthorizationHeader>true</generateAuthorizationHeader>",
            "<label>NorthstarMCP</label>",
            "label is there twice",
        ),
        (registration, "<namedCredential>NorthstarMCP<", "<namedCredential>Other<", "no NamedCredential Other"),
        (
            registration,
            "<namedCredentialReference>NorthstarMCP<",
            "<namedCredentialReference>Other<",
            "no NamedCredential Other",
        ),
        (registration, "&quot;tools&quot;:[]", "&quot;tools&quot;:[", "schema is not JSON"),
        (registration, "<status>Incomplete</status>", "", "status is missing"),
        (
            provider,
            "externalAuthIdentityProviderParameters>",
            "externalAuthIdentityProviderParameter>",
            "unknown element",
        ),
        (provider, "https://mcp.example.com/token", "https://old.example.com/token", "do not belong together"),
        (access, "NorthstarMCP-MCPAuthentication", "NorthstarMCP_MCPAuthentication", "no principal"),
        (access, "<allowCreate>false</allowCreate>", "", "allowCreate is missing"),
        (permissions, "<agentName>AWS<", "<agentName>Aws<", "no AiAuthoringBundle Aws"),
        (
            permissions,
            "<label>",
            "<hasActivationRequired>false</hasActivationRequired><label>",
            "hasActivationRequired is there twice",
        ),
        ("AWS.agent", "developer_name: \"AWS\"", "developer_name: \"Aws\"", "developer_name differ"),
        ("AWS.agent", "\nsubagent northstar:", "\nsubagent orders:", "no subagent northstar"),
        ("AWS.agent", "    label: \"Northstar\"", "    target: \"mcpTool://x\"", "the draft has actions"),
        ("manifest/package.xml", "<members>NorthstarMCP_Basic</members>", "", "differ in ExternalAuthIdentityProvider"),
        ("manifest/package.xml", "<version>66.0<", "<version>58.0<", "API versions differ"),
        (
            "manifest/connect.xml",
            "<members>NorthstarMCP_Credential_Access</members>",
            "<members>Agentforce_Agent_AWS_Permissions</members>",
            "needs the agent",
        ),
        ("sfdx-project.json", "66.0", "65.0", "API versions differ"),
        ("SETUP.md", "PermissionSet:Agentforce_Agent_AWS", "PermissionSet:Agentforce_Agent_Aws", "SETUP.md deploys"),
        (
            "SETUP.md",
            "permset --name NorthstarMCP_Credential_Access",
            "permset --name NorthstarMCP_Access",
            "SETUP.md assigns",
        ),
    ] {
        let packed = Packed::new(&DEFAULT);
        packed.replace(file, from, to);
        let problems = project::problems(packed.path());
        if expected.is_empty() {
            // An element that may be missing: the checker does not cry about everything.
            assert_eq!(problems, Vec::<String>::new(), "{file}: {from}");
        } else {
            let caught = problems.iter().any(|problem| problem.to_lowercase().contains(&expected.to_lowercase()));
            assert!(caught, "{file}: {from} -> {to}: {problems:?}");
        }
    }
}

#[test]
fn salesforces_own_reader_finds_what_the_manifest_lists() {
    for options in [&DEFAULT[..], &OTHER] {
        let packed = Packed::new(options);
        let metadata = tempfile::tempdir().unwrap();
        let output = convert(packed.path(), metadata.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let manifest = fs::read_to_string(packed.path().join("manifest/package.xml")).unwrap();
        assert_eq!(found["manifest"], manifest.as_str());
        assert_eq!((found["components"].as_array().unwrap().len(), found["files"].as_array().unwrap().len()), (7, 9));

        // In metadata format the files are the same, without `-meta.xml`.
        for (path, content) in project::read(&packed.path().join("force-app/main/default")) {
            let bundle = path.starts_with("aiAuthoringBundles");
            let path = if bundle { path } else { path.replace("-meta.xml", "") };
            assert_eq!(fs::read_to_string(metadata.path().join(&path)).unwrap().trim(), content.trim(), "{path}");
        }
        assert_eq!(crate::diff(metadata.path(), &options[if options.len() > 2 { 6 } else { 2 }..]).0, Some(0));
    }
}

#[test]
fn salesforces_own_reader_refuses_or_misses_a_misplaced_file() {
    let packed = Packed::new(&DEFAULT);
    let folder = packed.path().join("force-app/main/default/namedCredentials");
    let file = folder.join("NorthstarMCP.namedCredential-meta.xml");
    fs::rename(file, folder.join("NorthstarMCP.namedCredentials-meta.xml")).unwrap();
    let metadata = tempfile::tempdir().unwrap();
    let output = convert(packed.path(), metadata.path());
    let found = text(&output.stdout);
    assert!(!output.status.success() || !found.contains("NamedCredential:NorthstarMCP"), "{found}");
}

#[test]
fn a_second_run_changes_nothing_and_what_differs_is_kept_unless_forced() {
    let packed = Packed::new(&DEFAULT);
    let first = project::read(packed.path());
    let again: Value = serde_json::from_slice(&packed.again(&[&DEFAULT[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(again["name"], "NorthstarMCP");
    assert!(again["files"].as_array().unwrap().iter().all(|file| file["outcome"] == "unchanged"), "{again}");
    assert_eq!(again["warnings"], json!([]));

    packed.replace("SETUP.md", "# Connecting", "# Our notes on connecting");
    let mine = project::read(packed.path());
    let refused = packed.again(&["--url", "https://new.example.com"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("SETUP.md") && text(&refused.stderr).contains("--force"));
    assert_eq!(project::read(packed.path()), mine, "nothing was touched");

    assert!(packed.again(&[&DEFAULT[..], &["--force"]].concat()).status.success());
    assert_eq!(project::read(packed.path()), first);

    let other = packed.again(&[&OTHER[..], &["--force"]].concat());
    let warnings = text(&other.stderr);
    assert!(
        other.status.success() && warnings.contains("NorthstarMCP.namedCredential-meta.xml is not of this project")
    );
}

#[test]
fn what_salesforce_would_refuse_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (options, expected) in [
        (&["--url", "http://127.0.0.1:9000"][..], "https URLs alone"),
        (&["--url", "mcp.example.com"], "https://host"),
        (&["--url", "https://mcp.example.com/mcp"], "without a path"),
        (&["--url", "https://mcp.example.com:80"], "does not call port 80"),
        (&["--url", "https://a.example", "--name", "Order Status"], "another character"),
        (&["--url", "https://a.example", "--name", "a__b"], "two underscores"),
        (&["--url", "https://a.example", "--name", "../../x"], "begin with a letter"),
        (&["--url", "https://a.example", "--agent", "1AWS"], "begin with a letter"),
        (&["--url", "https://a.example", "--agent", &"a".repeat(52)], "too long"),
        (&["--url", "https://a.example", "--server", "Not_A_Server"], "no MCP server"),
        (&["--url", "https://a.example", "--scope", "orders:read"], "invalid value"),
    ] {
        let output = shared().command(&[&["salesforce", "pack", "--out", out.to_str().unwrap()], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(text(&output.stderr).contains(expected), "{options:?}: {}", text(&output.stderr));
    }
    assert!(!out.exists());
}

#[test]
fn a_server_that_does_not_answer_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = black_box::command(
        folder.path(),
        &["salesforce", "pack", "--out", out.to_str().unwrap(), DEFAULT[0], DEFAULT[1]],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("NORTHSTAR_CLIENT_ID") && !out.exists(), "{}", text(&output.stderr));
}
