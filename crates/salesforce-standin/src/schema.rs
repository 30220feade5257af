//! The objects of the org and their fields, as `describe` tells them.

use std::sync::OnceLock;

use serde_json::{Value, json};

/// An object.
#[derive(Debug)]
pub struct Object {
    /// API name.
    pub name: &'static str,
    /// For people; `plural` is the label of many.
    pub label: &'static str,
    /// Label of many.
    pub plural: &'static str,
    /// First three characters of its ids.
    pub prefix: &'static str,
    /// Whether records are made, changed and deleted through the API.
    pub writable: bool,
    /// Whether SOSL finds it.
    pub searchable: bool,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Its child relationships: name, child object, the child's field.
    pub children: &'static [(&'static str, &'static str, &'static str)],
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// API name.
    pub name: &'static str,
    /// For people.
    pub label: String,
    /// What it holds.
    pub kind: Kind,
    /// In characters; 0 where there is no limit.
    pub length: usize,
    /// Whether it may be empty.
    pub nillable: bool,
    /// Whether a create may set it.
    pub createable: bool,
    /// Whether an update may set it.
    pub updateable: bool,
    /// Whether a create without it gets a value.
    pub defaulted: bool,
    /// The values of a picklist; the default is the first, if it is defaulted.
    pub values: &'static [&'static str],
    /// Whether a picklist takes no other value.
    pub restricted: bool,
    /// The objects that a reference may lead to.
    pub reference_to: &'static [&'static str],
    /// How a query names what the reference leads to.
    pub relationship: Option<&'static str>,
    /// Whether an upsert may find the record by it.
    pub external_id: bool,
    /// Whether `…/{field}/{value}` finds the record by it.
    pub id_lookup: bool,
    /// Whether two records must not share a value.
    pub unique: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Id,
    Text,
    TextArea,
    Email,
    Phone,
    Url,
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
    Picklist,
    MultiPicklist,
    Reference,
}

impl Kind {
    /// `type` of a describe.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Id => "id",
            Kind::Text => "string",
            Kind::TextArea => "textarea",
            Kind::Email => "email",
            Kind::Phone => "phone",
            Kind::Url => "url",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::Currency => "currency",
            Kind::Percent => "percent",
            Kind::Date => "date",
            Kind::DateTime => "datetime",
            Kind::Picklist => "picklist",
            Kind::MultiPicklist => "multipicklist",
            Kind::Reference => "reference",
        }
    }

    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Double | Kind::Currency | Kind::Percent)
    }

    fn soap_type(self) -> &'static str {
        match self {
            Kind::Id | Kind::Reference => "tns:ID",
            Kind::Boolean => "xsd:boolean",
            Kind::Int => "xsd:int",
            Kind::Double | Kind::Currency | Kind::Percent => "xsd:double",
            Kind::Date => "xsd:date",
            Kind::DateTime => "xsd:dateTime",
            _ => "xsd:string",
        }
    }
}

impl Field {
    /// Whether a long text: neither filtered, nor sorted, nor grouped.
    pub fn is_long(&self) -> bool {
        self.kind == Kind::TextArea && self.length > 255
    }

    /// Whether a create must set it.
    pub fn is_required(&self) -> bool {
        self.createable && !self.nillable && !self.defaulted
    }

    /// Whether it is not one of Salesforce's own.
    pub fn is_custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    fn describe(&self) -> Value {
        let values: Vec<Value> = self
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let default = self.defaulted && index == 0;
                json!({ "active": true, "defaultValue": default, "label": value, "validFor": null, "value": value })
            })
            .collect();
        json!({
            "aggregatable": !self.is_long() && self.kind != Kind::Boolean,
            "aiPredictionField": false,
            "autoNumber": false,
            "byteLength": self.length * 3,
            "calculated": false,
            "calculatedFormula": null,
            "caseSensitive": false,
            "controllerName": null,
            "createable": self.createable,
            "custom": self.is_custom(),
            "defaultValue": if self.kind == Kind::Boolean { json!(false) } else { Value::Null },
            "defaultedOnCreate": self.defaulted,
            "deprecatedAndHidden": false,
            "digits": if self.kind == Kind::Int { 8 } else { 0 },
            "encrypted": false,
            "externalId": self.external_id,
            "extraTypeInfo": if self.kind == Kind::TextArea { json!("plaintextarea") } else { Value::Null },
            "filterable": !self.is_long(),
            "groupable": !self.is_long() && !matches!(self.kind, Kind::DateTime | Kind::Double | Kind::Currency),
            "htmlFormatted": false,
            "idLookup": self.id_lookup,
            "label": self.label,
            "length": self.length,
            "name": self.name,
            "nameField": self.name == "Name" || (self.name == "Subject"),
            "namePointing": self.reference_to.len() > 1,
            "nillable": self.nillable,
            "permissionable": self.nillable && self.createable,
            "picklistValues": values,
            "polymorphicForeignKey": self.reference_to.len() > 1,
            "precision": if self.kind.is_number() { 18 } else { 0 },
            "referenceTo": self.reference_to,
            "relationshipName": self.relationship,
            "restrictedPicklist": self.restricted,
            "scale": if self.kind == Kind::Currency { 2 } else { 0 },
            "soapType": self.kind.soap_type(),
            "sortable": !self.is_long(),
            "type": self.kind.name(),
            "unique": self.unique,
            "updateable": self.updateable,
            "writeRequiresMasterRead": false,
        })
    }
}

impl Object {
    /// A field by its API name, whatever the case of the letters.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The reference field that a query names by this relationship.
    pub fn relationship(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.relationship.is_some_and(|own| own.eq_ignore_ascii_case(name)))
    }

    /// What `GET /sobjects` tells of it.
    pub fn summary(&self, base: &str) -> Value {
        let url = format!("{base}/sobjects/{}", self.name);
        json!({
            "activateable": false,
            "createable": self.writable,
            "custom": false,
            "customSetting": false,
            "deletable": self.writable,
            "deprecatedAndHidden": false,
            "feedEnabled": self.writable,
            "keyPrefix": self.prefix,
            "label": self.label,
            "labelPlural": self.plural,
            "layoutable": self.writable,
            "mergeable": matches!(self.name, "Account" | "Contact" | "Lead"),
            "name": self.name,
            "queryable": true,
            "replicateable": self.writable,
            "retrieveable": true,
            "searchable": self.searchable,
            "triggerable": self.writable,
            "undeletable": self.writable,
            "updateable": self.writable,
            "urls": {
                "describe": format!("{url}/describe"),
                "rowTemplate": format!("{url}/{{ID}}"),
                "sobject": url,
            },
        })
    }

    /// What `GET /sobjects/{object}/describe` tells.
    pub fn describe(&self, base: &str) -> Value {
        let mut description = self.summary(base);
        let children: Vec<Value> = self
            .children
            .iter()
            .map(|(name, child, field)| {
                json!({
                    "cascadeDelete": self.name == "Account" && *child != "Event",
                    "childSObject": child,
                    "deprecatedAndHidden": false,
                    "field": field,
                    "junctionIdListNames": [],
                    "junctionReferenceTo": [],
                    "relationshipName": name,
                    "restrictedDelete": false,
                })
            })
            .collect();
        let master = json!({
            "active": true,
            "available": true,
            "defaultRecordTypeMapping": true,
            "developerName": "Master",
            "master": true,
            "name": "Master",
            "recordTypeId": "012000000000000AAA",
            "urls": {},
        });
        description["childRelationships"] = Value::Array(children);
        description["recordTypeInfos"] = json!([master]);
        description["fields"] = self.fields.iter().map(Field::describe).collect();
        description
    }
}

/// All objects, by name.
pub fn objects() -> &'static [Object] {
    static OBJECTS: OnceLock<Vec<Object>> = OnceLock::new();
    OBJECTS.get_or_init(|| vec![account(), contact(), event(), lead(), opportunity(), organization(), report(), user()])
}

/// An object by its API name, whatever the case of the letters.
pub fn object(name: &str) -> Option<&'static Object> {
    objects().iter().find(|object| object.name.eq_ignore_ascii_case(name))
}

/// The object whose ids begin so.
pub fn object_of_id(id: &str) -> Option<&'static Object> {
    objects().iter().find(|object| object.prefix == crate::ids::prefix(id))
}

fn account() -> Object {
    Object {
        name: "Account",
        label: "Account",
        plural: "Accounts",
        prefix: "001",
        writable: true,
        searchable: true,
        fields: with_system_fields(
            vec![
                text("Name", 255).required(),
                picklist(
                    "Type",
                    &["Prospect", "Customer - Direct", "Customer - Channel", "Technology Partner", "Other"],
                ),
                reference("ParentId", &["Account"], "Parent"),
                text("BillingStreet", 255),
                text("BillingCity", 40),
                text("BillingState", 80),
                text("BillingPostalCode", 20),
                text("BillingCountry", 80),
                field("Phone", Kind::Phone, 40),
                field("Website", Kind::Url, 255),
                picklist(
                    "Industry",
                    &["Agriculture", "Banking", "Biotechnology", "Energy", "Manufacturing", "Retail", "Technology"],
                ),
                field("AnnualRevenue", Kind::Currency, 0),
                field("NumberOfEmployees", Kind::Int, 0),
                text("AccountNumber", 40),
                field("Description", Kind::TextArea, 32_000),
                external_id("External_Id__c"),
                Field { unique: true, ..external_id("Erp_Number__c") },
            ],
            true,
        ),
        children: &[
            ("ChildAccounts", "Account", "ParentId"),
            ("Contacts", "Contact", "AccountId"),
            ("Events", "Event", "WhatId"),
            ("Opportunities", "Opportunity", "AccountId"),
        ],
    }
}

fn contact() -> Object {
    Object {
        name: "Contact",
        label: "Contact",
        plural: "Contacts",
        prefix: "003",
        writable: true,
        searchable: true,
        fields: with_system_fields(
            vec![
                reference("AccountId", &["Account"], "Account"),
                text("LastName", 80).required(),
                text("FirstName", 40),
                picklist("Salutation", &["Mr.", "Ms.", "Mx.", "Dr.", "Prof."]),
                text("Name", 121).read_only().filled(),
                text("MailingStreet", 255),
                text("MailingCity", 40),
                text("MailingState", 80),
                text("MailingPostalCode", 20),
                text("MailingCountry", 80),
                field("Phone", Kind::Phone, 40),
                field("MobilePhone", Kind::Phone, 40),
                reference("ReportsToId", &["Contact"], "ReportsTo"),
                Field { id_lookup: true, ..field("Email", Kind::Email, 80) },
                text("Title", 128),
                text("Department", 80),
                field("Birthdate", Kind::Date, 0),
                picklist("LeadSource", LEAD_SOURCES),
                field("Description", Kind::TextArea, 32_000),
                flag("DoNotCall"),
                external_id("External_Id__c"),
                Field { restricted: true, ..picklist("Level__c", &["Primary", "Secondary", "Tertiary"]) },
                Field {
                    kind: Kind::MultiPicklist,
                    length: 4099,
                    ..picklist("Interests__c", &["Analytics", "Commerce", "Marketing", "Sales", "Service"])
                },
            ],
            true,
        ),
        children: &[("Contacts", "Contact", "ReportsToId"), ("Events", "Event", "WhoId")],
    }
}

fn event() -> Object {
    Object {
        name: "Event",
        label: "Event",
        plural: "Events",
        prefix: "00U",
        writable: true,
        searchable: true,
        fields: with_system_fields(
            vec![
                reference("WhoId", &["Contact", "Lead"], "Who"),
                reference("WhatId", &["Account", "Opportunity"], "What"),
                reference("AccountId", &["Account"], "Account").read_only(),
                text("Subject", 255),
                text("Location", 255),
                flag("IsAllDayEvent"),
                field("ActivityDateTime", Kind::DateTime, 0),
                field("ActivityDate", Kind::Date, 0),
                field("DurationInMinutes", Kind::Int, 0),
                field("StartDateTime", Kind::DateTime, 0),
                field("EndDateTime", Kind::DateTime, 0),
                field("EndDate", Kind::Date, 0).read_only(),
                field("Description", Kind::TextArea, 32_000),
                flag("IsPrivate"),
                Field { restricted: true, defaulted: true, ..picklist("ShowAs", &["Busy", "OutOfOffice", "Free"]) },
                picklist("Type", &["Call", "Email", "Meeting", "Other"]),
                flag("IsReminderSet"),
                field("ReminderDateTime", Kind::DateTime, 0),
            ],
            true,
        ),
        children: &[],
    }
}

fn lead() -> Object {
    Object {
        name: "Lead",
        label: "Lead",
        plural: "Leads",
        prefix: "00Q",
        writable: true,
        searchable: true,
        fields: with_system_fields(
            vec![
                text("LastName", 80).required(),
                text("FirstName", 40),
                text("Name", 121).read_only().filled(),
                text("Title", 128),
                text("Company", 255).required(),
                field("Phone", Kind::Phone, 40),
                Field { id_lookup: true, ..field("Email", Kind::Email, 80) },
                field("Website", Kind::Url, 255),
                picklist("LeadSource", LEAD_SOURCES),
                Field {
                    defaulted: true,
                    nillable: false,
                    ..picklist("Status", &["Open - Not Contacted", "Working - Contacted", "Closed - Converted"])
                },
                picklist("Rating", &["Hot", "Warm", "Cold"]),
                field("AnnualRevenue", Kind::Currency, 0),
                field("Description", Kind::TextArea, 32_000),
                Field { updateable: false, createable: false, ..flag("IsConverted") },
            ],
            true,
        ),
        children: &[("Events", "Event", "WhoId")],
    }
}

fn opportunity() -> Object {
    Object {
        name: "Opportunity",
        label: "Opportunity",
        plural: "Opportunities",
        prefix: "006",
        writable: true,
        searchable: true,
        fields: with_system_fields(
            vec![
                reference("AccountId", &["Account"], "Account"),
                text("Name", 120).required(),
                field("Description", Kind::TextArea, 32_000),
                Field { nillable: false, ..picklist("StageName", STAGES) },
                field("Amount", Kind::Currency, 0),
                field("Probability", Kind::Percent, 0),
                field("CloseDate", Kind::Date, 0).required(),
                picklist("Type", &["Existing Business", "New Business"]),
                text("NextStep", 255),
                picklist("LeadSource", LEAD_SOURCES),
                flag("IsClosed").read_only(),
                flag("IsWon").read_only(),
            ],
            true,
        ),
        children: &[("Events", "Event", "WhatId")],
    }
}

fn organization() -> Object {
    Object {
        name: "Organization",
        label: "Organization",
        plural: "Organizations",
        prefix: "00D",
        writable: false,
        searchable: false,
        fields: with_system_fields(
            [
                "Name",
                "Country",
                "InstanceName",
                "OrganizationType",
                "LanguageLocaleKey",
                "TimeZoneSidKey",
                "NamespacePrefix",
            ]
            .map(|name| text(name, 80).read_only())
            .into_iter()
            .chain([flag("IsSandbox").read_only()])
            .collect(),
            false,
        ),
        children: &[],
    }
}

fn report() -> Object {
    Object {
        name: "Report",
        label: "Report",
        plural: "Reports",
        prefix: "00O",
        writable: false,
        searchable: false,
        fields: with_system_fields(
            ["Name", "DeveloperName", "FolderName", "Format", "Description"]
                .map(|name| text(name, 255).read_only())
                .into(),
            false,
        ),
        children: &[],
    }
}

fn user() -> Object {
    Object {
        name: "User",
        label: "User",
        plural: "Users",
        prefix: "005",
        writable: false,
        searchable: false,
        fields: with_system_fields(
            ["Username", "LastName", "FirstName", "Name", "Email", "TimeZoneSidKey", "LocaleSidKey", "UserType"]
                .map(|name| text(name, 121).read_only())
                .into_iter()
                .chain([flag("IsActive").read_only()])
                .collect(),
            false,
        ),
        children: &[],
    }
}

const LEAD_SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];

/// The stages of an opportunity; the last two are closed.
pub const STAGES: &[&str] = &[
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
];

/// What every object has; the owner only where records are made through the API.
fn with_system_fields(own: Vec<Field>, owned: bool) -> Vec<Field> {
    let mut fields = vec![field("Id", Kind::Id, 18).read_only().filled(), flag("IsDeleted").read_only()];
    fields[0].id_lookup = true;
    fields.extend(own);
    if owned {
        let owner = reference("OwnerId", &["User"], "Owner");
        fields.push(Field { nillable: false, defaulted: true, ..owner });
    }
    for (name, kind) in [("CreatedDate", Kind::DateTime), ("CreatedById", Kind::Reference)]
        .into_iter()
        .chain([("LastModifiedDate", Kind::DateTime), ("LastModifiedById", Kind::Reference)])
        .chain([("SystemModstamp", Kind::DateTime)])
    {
        let by = match name {
            "CreatedById" => Some("CreatedBy"),
            "LastModifiedById" => Some("LastModifiedBy"),
            _ => None,
        };
        let stamp = match by {
            Some(relationship) => reference(name, &["User"], relationship),
            None => field(name, kind, 0),
        };
        fields.push(stamp.read_only().filled());
    }
    fields
}

fn field(name: &'static str, kind: Kind, length: usize) -> Field {
    Field {
        name,
        label: label(name, kind),
        kind,
        length,
        nillable: true,
        createable: true,
        updateable: true,
        defaulted: false,
        values: &[],
        restricted: false,
        reference_to: &[],
        relationship: None,
        external_id: false,
        id_lookup: false,
        unique: false,
    }
}

fn text(name: &'static str, length: usize) -> Field {
    field(name, Kind::Text, length)
}

fn picklist(name: &'static str, values: &'static [&'static str]) -> Field {
    Field { values, ..field(name, Kind::Picklist, 255) }
}

fn flag(name: &'static str) -> Field {
    Field { nillable: false, defaulted: true, ..field(name, Kind::Boolean, 0) }
}

fn external_id(name: &'static str) -> Field {
    Field { external_id: true, id_lookup: true, ..text(name, 64) }
}

fn reference(name: &'static str, to: &'static [&'static str], relationship: &'static str) -> Field {
    Field { reference_to: to, relationship: Some(relationship), ..field(name, Kind::Reference, 18) }
}

impl Field {
    fn required(self) -> Field {
        Field { nillable: false, ..self }
    }

    fn read_only(self) -> Field {
        Field { createable: false, updateable: false, ..self }
    }

    fn filled(self) -> Field {
        Field { nillable: false, defaulted: true, ..self }
    }
}

/// `AccountId` is labelled `Account ID`, `External_Id__c` is `External Id`.
fn label(name: &str, kind: Kind) -> String {
    let name = name.strip_suffix("__c").unwrap_or(name);
    let mut label = String::new();
    for (index, character) in name.char_indices() {
        if character == '_' {
            label.push(' ');
            continue;
        }
        let after_lower = name[..index].ends_with(|previous: char| previous.is_ascii_lowercase());
        if character.is_ascii_uppercase() && after_lower {
            label.push(' ');
        }
        label.push(character);
    }
    match kind {
        Kind::Reference if label.ends_with(" Id") => label.replace(" Id", " ID"),
        _ => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_where(object: &Object, holds: impl Fn(&Field) -> bool) -> Vec<&str> {
        object.fields.iter().filter(|field| holds(field)).map(|field| field.name).collect()
    }

    #[test]
    fn only_these_fields_must_be_set() {
        let required = |name| names_where(object(name).unwrap(), Field::is_required);
        assert_eq!(required("contact"), ["LastName"]);
        assert_eq!(required("Account"), ["Name"]);
        assert_eq!(required("Lead"), ["LastName", "Company"]);
        assert_eq!(required("Opportunity"), ["Name", "StageName", "CloseDate"]);
        assert_eq!(required("Event"), [""; 0]);
    }

    #[test]
    fn labels_are_words() {
        let contact = object("Contact").unwrap();
        let label = |name| contact.field(name).unwrap().label.as_str();
        let labels = ["FirstName", "AccountId", "External_Id__c"].map(label);
        assert_eq!(labels, ["First Name", "Account ID", "External Id"]);
    }

    #[test]
    fn every_relationship_leads_to_an_object_of_the_org() {
        for parent in objects() {
            for (_, child, field) in parent.children {
                assert!(object(child).unwrap().field(field).unwrap().reference_to.contains(&parent.name));
            }
            for target in parent.fields.iter().flat_map(|field| field.reference_to) {
                assert!(object(target).is_some(), "{target}");
            }
        }
    }
}
