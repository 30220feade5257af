//! A call of every tool that ships, as its page in `docs/tools` shows it: over the demo data, or the demo org.

use serde_json::{Value, json};

/// An account of the demo org: Acme Energy.
pub const ACCOUNT: &str = "0015g0000000005AAA";
/// A contact of it: Ada Abbott.
pub const CONTACT: &str = "0035g000000000jAAA";
/// Another one, whom nothing refers to.
pub const OTHER_CONTACT: &str = "0035g0000000038AAA";
/// A lead.
pub const LEAD: &str = "00Q5g000000003xEAA";
/// An appointment.
pub const APPOINTMENT: &str = "00U5g000000004REAQ";
/// The report that lists contacts.
pub const REPORT: &str = "00O5g0000000003EAA";
/// A bulk job; the org has none before somebody makes one.
pub const JOB: &str = "750000000000001AAA";

/// The arguments of a call.
pub fn arguments(tool: &str) -> Value {
    match tool {
        "get_order_status" => json!({ "order_id": "1001" }),
        "check_loyalty_points" => json!({ "customer_id": "C-0001" }),
        "list_customer_orders" => json!({ "customer_id": "C-0001", "status": "SHIPPED" }),
        "createRecord" => json!({
            "object": "Lead",
            "fields": { "FirstName": "Mara", "LastName": "Rossi", "Company": "Rossi Impianti" },
            "idempotency_key": "lead-4711",
        }),
        "getRecord" => json!({ "object": "Account", "id": ACCOUNT, "fields": ["Name", "Industry", "Owner.Name"] }),
        "updateRecord" => json!({ "object": "Account", "id": ACCOUNT, "fields": { "Phone": "+1 555 0100" } }),
        "deleteRecord" => json!({ "object": "Lead", "id": LEAD }),
        "executeQuery" => json!({
            "query": "SELECT Id, Name, Account.Name FROM Contact WHERE Account.Industry = 'Energy' ORDER BY Name",
            "limit": 5,
        }),
        "executeQueryAll" => json!({ "query": "SELECT Id, Name, IsDeleted FROM Lead ORDER BY Name", "limit": 5 }),
        "executeSearch" => json!({ "search": "FIND {Acme} IN NAME FIELDS RETURNING Account(Id, Name)", "limit": 5 }),
        "executeComposite" => json!({ "operations": [
            { "operation": "create", "object": "Account", "fields": { "Name": "Rossi Impianti" }, "reference": "firm" },
            {
                "operation": "create",
                "object": "Contact",
                "fields": { "LastName": "Rossi", "AccountId": "@{firm.id}" },
                "reference": "person",
            },
        ] }),
        "executeBatch" => json!({ "operations": [
            { "operation": "get", "object": "Account", "id": ACCOUNT, "fields": ["Name"] },
            { "operation": "query", "query": "SELECT COUNT() FROM Lead" },
        ] }),
        "createBulkJob" => json!({
            "operation": "insert",
            "object": "Lead",
            "rows": [{ "LastName": "Rossi", "Company": "Rossi Impianti" }, { "LastName": "Verdi", "Company": "Verdi" }],
        }),
        "getBulkJob" | "abortBulkJob" => json!({ "job_id": JOB }),
        "getBulkJobResults" => json!({ "job_id": JOB, "kind": "failed", "limit": 50 }),
        "listAllObjects" => json!({ "query": "acc" }),
        "describeObject" => json!({ "object": "Contact", "limit": 20 }),
        "listReports" => json!({ "query": "contacts" }),
        "getReport" => json!({
            "report_id": REPORT,
            "filters": [{ "column": "LAST_NAME", "operator": "equals", "value": "Abbott" }],
            "limit": 10,
        }),
        "getOrganizationLimits" => json!({}),
        "salesforce_create_contact" => json!({
            "FirstName": "Mara",
            "LastName": "Rossi",
            "Phone": "+39 02 5550100",
            "Email": "mara.rossi@example.com",
        }),
        "salesforce_get_contact" => json!({ "id": CONTACT }),
        "salesforce_update_contact" => json!({ "id": CONTACT, "Title": "Head of Purchasing" }),
        "salesforce_delete_contact" => json!({ "id": OTHER_CONTACT }),
        "salesforce_list_contacts" => json!({ "limit": 3 }),
        "salesforce_create_appointment" => json!({
            "Subject": "Product demo",
            "StartDateTime": "2026-02-20T18:00:00Z",
            "EndDateTime": "2026-02-20T19:00:00Z",
            "WhoId": CONTACT,
        }),
        "salesforce_get_appointment" => json!({ "id": APPOINTMENT }),
        "salesforce_update_appointment" => json!({ "id": APPOINTMENT, "Location": "Oslo" }),
        "salesforce_delete_appointment" => json!({ "id": APPOINTMENT }),
        "salesforce_list_appointments" => {
            json!({ "from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z", "limit": 5 })
        }
        _ => panic!("{tool} has no example in tests/support/examples.rs"),
    }
}
