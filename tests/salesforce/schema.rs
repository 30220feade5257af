//! The part of the Metadata API 66.0 that the project uses: elements in their order, and the values of the closed lists.

use roxmltree::Node;

/// A metadata type: folder and suffix of its files, and its elements.
pub struct Type {
    pub name: &'static str,
    pub folder: &'static str,
    pub suffix: &'static str,
    elements: &'static [Element],
}

/// An element, in the place that it has among its siblings.
struct Element {
    name: &'static str,
    times: Times,
    content: Content,
}

#[derive(Clone, Copy, PartialEq)]
enum Times {
    Once,
    AtMostOnce,
    Many,
}

enum Content {
    Text,
    Boolean,
    Number,
    OneOf(&'static [&'static str]),
    Elements(&'static [Element]),
}

use Content::{Boolean, Elements, Number, OneOf, Text};
use Times::{AtMostOnce, Many, Once};

const fn element(name: &'static str, times: Times, content: Content) -> Element {
    Element { name, times, content }
}

pub const TYPES: [Type; 6] = [
    Type {
        name: "ExternalCredential",
        folder: "externalCredentials",
        suffix: "externalCredential",
        elements: &[
            element(
                "authenticationProtocol",
                Once,
                OneOf(&["NoAuthentication", "Oauth", "Password", "AwsSv4", "Jwt", "JwtExchange", "Custom", "Basic"]),
            ),
            element("description", AtMostOnce, Text),
            element(
                "externalCredentialParameters",
                Many,
                Elements(&[
                    element("authProvider", AtMostOnce, Text),
                    element("certificate", AtMostOnce, Text),
                    element("description", AtMostOnce, Text),
                    element("externalAuthIdentityProvider", AtMostOnce, Text),
                    element("parameterGroup", AtMostOnce, Text),
                    element("parameterName", Once, Text),
                    element(
                        "parameterType",
                        Once,
                        OneOf(&[
                            "ExternalAuthIdentityProvider",
                            "AuthProvider",
                            "AuthProviderUrl",
                            "AuthProviderUrlQueryParameter",
                            "SigningCertificate",
                            "AuthParameter",
                            "NamedPrincipal",
                            "PerUserPrincipal",
                            "AwsStsPrincipal",
                            "AuthHeader",
                            "AuthProtocolVariant",
                            "JwtBodyClaim",
                            "JwtHeaderClaim",
                            "AdditionalRefreshStatusCode",
                        ]),
                    ),
                    element("parameterValue", AtMostOnce, Text),
                    element("sequenceNumber", AtMostOnce, Number),
                ]),
            ),
            element("label", Once, Text),
        ],
    },
    Type {
        name: "NamedCredential",
        folder: "namedCredentials",
        suffix: "namedCredential",
        elements: &[
            element("allowMergeFieldsInBody", AtMostOnce, Boolean),
            element("allowMergeFieldsInHeader", AtMostOnce, Boolean),
            element("calloutStatus", AtMostOnce, OneOf(&["Enabled", "Disabled"])),
            element("description", AtMostOnce, Text),
            element("generateAuthorizationHeader", AtMostOnce, Boolean),
            element("label", Once, Text),
            element(
                "namedCredentialParameters",
                Many,
                Elements(&[
                    element("certificate", AtMostOnce, Text),
                    element("description", AtMostOnce, Text),
                    element("externalCredential", AtMostOnce, Text),
                    element("parameterName", Once, Text),
                    element(
                        "parameterType",
                        Once,
                        OneOf(&[
                            "Url",
                            "HttpHeader",
                            "ClientCertificate",
                            "Authentication",
                            "OutboundNetworkConnection",
                        ]),
                    ),
                    element("parameterValue", AtMostOnce, Text),
                    element("sequenceNumber", AtMostOnce, Number),
                ]),
            ),
            element(
                "namedCredentialType",
                AtMostOnce,
                OneOf(&["Legacy", "SecuredEndpoint", "PrivateEndpoint", "Standard"]),
            ),
        ],
    },
    Type {
        name: "ExternalServiceRegistration",
        folder: "externalServiceRegistrations",
        suffix: "externalServiceRegistration",
        elements: &[
            element("description", AtMostOnce, Text),
            element("label", Once, Text),
            element("namedCredential", AtMostOnce, Text),
            element("namedCredentialReference", AtMostOnce, Text),
            element("registrationProviderType", AtMostOnce, OneOf(&["ModelContextProtocol"])),
            element("schema", AtMostOnce, Text),
            element("schemaType", AtMostOnce, OneOf(&["ModelContextProtocol"])),
            element("serviceBinding", AtMostOnce, Text),
            element("status", Once, OneOf(&["Incomplete", "Complete"])),
            element("systemVersion", AtMostOnce, Number),
        ],
    },
    Type {
        name: "ExternalAuthIdentityProvider",
        folder: "externalAuthIdentityProviders",
        suffix: "externalAuthIdentityProvider",
        elements: &[
            element("authenticationFlow", Once, OneOf(&["AuthorizationCode", "ClientCredentials"])),
            element("authenticationProtocol", Once, OneOf(&["OAuth"])),
            element("description", AtMostOnce, Text),
            element(
                "externalAuthIdentityProviderParameters",
                Many,
                Elements(&[
                    element("description", AtMostOnce, Text),
                    element("parameterName", Once, Text),
                    element(
                        "parameterType",
                        Once,
                        OneOf(&[
                            "AuthorizeUrl",
                            "TokenUrl",
                            "UserInfoUrl",
                            "ClientAuthentication",
                            "TokenRequestBodyParameter",
                        ]),
                    ),
                    element("parameterValue", AtMostOnce, Text),
                    element("sequenceNumber", AtMostOnce, Number),
                ]),
            ),
            element("label", Once, Text),
        ],
    },
    Type {
        name: "PermissionSet",
        folder: "permissionsets",
        suffix: "permissionset",
        elements: &[
            element(
                "agentAccesses",
                Many,
                Elements(&[element("agentName", Once, Text), element("enabled", Once, Boolean)]),
            ),
            element("description", AtMostOnce, Text),
            element(
                "externalCredentialPrincipalAccesses",
                Many,
                Elements(&[element("enabled", Once, Boolean), element("externalCredentialPrincipal", Once, Text)]),
            ),
            element("hasActivationRequired", AtMostOnce, Boolean),
            element("label", Once, Text),
            element(
                "objectPermissions",
                Many,
                Elements(&[
                    element("allowCreate", Once, Boolean),
                    element("allowDelete", Once, Boolean),
                    element("allowEdit", Once, Boolean),
                    element("allowRead", Once, Boolean),
                    element("modifyAllRecords", Once, Boolean),
                    element("object", Once, Text),
                    element("viewAllFields", AtMostOnce, Boolean),
                    element("viewAllRecords", Once, Boolean),
                ]),
            ),
        ],
    },
    Type {
        name: "AiAuthoringBundle",
        folder: "aiAuthoringBundles",
        suffix: "bundle",
        // A bundle with a `target` is locked to a published version: no draft.
        elements: &[element("bundleType", Once, OneOf(&["AGENT"]))],
    },
];

/// `package.xml`.
const PACKAGE: [Element; 2] = [
    element("types", Many, Elements(&[element("members", Many, Text), element("name", Once, Text)])),
    element("version", Once, Text),
];

/// What is wrong with a file by its schema.
pub fn problems(root: Node) -> Vec<String> {
    let name = root.tag_name().name();
    let mut problems = Vec::new();
    if root.tag_name().namespace() != Some("http://soap.sforce.com/2006/04/metadata") {
        problems.push(format!("{name} is in another namespace"));
    }
    match TYPES.iter().find(|kind| kind.name == name) {
        Some(kind) => check(root, kind.elements, &mut problems),
        None if name == "Package" => check(root, &PACKAGE, &mut problems),
        None => problems.push(format!("{name} is no type that the project uses")),
    }
    problems
}

fn check(parent: Node, elements: &[Element], problems: &mut Vec<String>) {
    let place = parent.tag_name().name();
    let mut at = 0;
    for child in parent.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let Some(found) = elements.iter().position(|element| element.name == name) else {
            problems.push(format!("{place}: unknown element {name}"));
            continue;
        };
        let repeated = parent.children().filter(|other| other.has_tag_name(child.tag_name())).count() > 1;
        if found < at {
            problems.push(format!("{place}: {name} is out of order"));
        } else if repeated && elements[found].times != Many {
            problems.push(format!("{place}: {name} is there twice"));
        }
        at = at.max(found);
        let text = child.text().unwrap_or_default();
        let right = match &elements[found].content {
            Text => !text.trim().is_empty() && child.children().all(|inner| inner.is_text()),
            Boolean => text == "true" || text == "false",
            Number => text.parse::<u32>().is_ok(),
            OneOf(values) => values.contains(&text),
            Elements(inside) => {
                check(child, inside, problems);
                true
            }
        };
        if !right {
            problems.push(format!("{place}: {name} may not be {text:?}"));
        }
    }
    for element in elements.iter().filter(|element| element.times == Once) {
        if !parent.children().any(|child| child.tag_name().name() == element.name) {
            problems.push(format!("{place}: {} is missing", element.name));
        }
    }
}
