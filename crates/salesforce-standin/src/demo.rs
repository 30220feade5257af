//! The data of the demo org: always the same, so that tests and demos can name it.

use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::dates::{format_date, format_datetime};
use crate::org::Org;
use crate::schema::STAGES;

/// When the data was made.
const MADE: OffsetDateTime = datetime!(2026-01-12 09:00 UTC);

/// The day of the first event; one follows every day.
const FIRST_EVENT: OffsetDateTime = datetime!(2026-03-02 09:00 UTC);

/// The user that everything is done by.
pub const USERNAME: &str = "integration@northstar.example";

/// DeveloperName of the report that lists contacts.
pub const CONTACTS_REPORT: &str = "Contacts_by_Account";

/// DeveloperName of the report that groups opportunities.
pub const OPPORTUNITIES_REPORT: &str = "Opportunities_by_Stage";

const FIRST_NAMES: [&str; 15] = [
    "Ada", "Ben", "Clara", "David", "Elena", "Femi", "Grace", "Hugo", "Ingrid", "Jonas", "Kira", "Liam", "Mei", "Noah",
    "Olga",
];
const LAST_NAMES: [&str; 10] =
    ["Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fischer", "Gupta", "Haddad", "Ivanova", "Jensen"];
const COMPANIES: [&str; 10] =
    ["Acme", "Borealis", "Cascade", "Delta", "Evergreen", "Foxglove", "Granite", "Harbor", "Ironwood", "Juniper"];
const BRANCHES: [&str; 4] = ["Energy", "Retail", "Logistics", "Laboratories"];
const INDUSTRIES: [&str; 4] = ["Energy", "Retail", "Manufacturing", "Biotechnology"];
const CITIES: [(&str, &str); 4] = [("Oslo", "Norway"), ("Lyon", "France"), ("Austin", "USA"), ("Osaka", "Japan")];
const SOURCES: [&str; 4] = ["Web", "Phone Inquiry", "Partner Referral", "Other"];
const SUBJECTS: [&str; 4] = ["Call", "Meeting", "Product demo", "Contract review"];

impl Org {
    /// 40 accounts, 150 contacts, 60 events, 30 leads, 50 opportunities, two reports, a user and the organization: the
    /// same records with the same ids each time.
    pub fn demo() -> Org {
        let mut org = Org::empty();
        let accounts: Vec<String> = (0..40).map(|index| org.seed("Account", MADE, account(index))).collect();
        let contacts: Vec<String> =
            (0..150).map(|index| org.seed("Contact", MADE, contact(index, Some(&accounts[index % 40])))).collect();
        let opportunities: Vec<String> =
            (0..50).map(|index| org.seed("Opportunity", MADE, opportunity(index, &accounts[index % 40]))).collect();
        for index in 0..30 {
            org.seed("Lead", MADE, lead(index));
        }
        for index in 0..60 {
            let what = if index % 2 == 0 { &accounts[index % 40] } else { &opportunities[index % 50] };
            org.seed("Event", MADE, event(index, &contacts[index], what));
        }
        org
    }

    /// Adds contacts without an account, named `Bulk 000000` and on.
    pub fn add_contacts(&mut self, count: usize) {
        for index in 0..count {
            let (name, email) = (format!("{index:06}"), format!("bulk{index:06}@bulk.example"));
            let fields = json!({
                "FirstName": "Bulk",
                "LastName": name,
                "Name": format!("Bulk {name}"),
                "Email": email,
                "External_Id__c": format!("B-{name}"),
            });
            self.seed("Contact", MADE, fields);
        }
    }

    /// Adds a contact named `Large Record` with a description of so many bytes, more than any write may set, and gives
    /// its id.
    pub fn add_large_contact(&mut self, bytes: usize) -> String {
        let description = "0123456789 lorem ipsum dolor sit amet, ".chars().cycle().take(bytes).collect::<String>();
        let fields =
            json!({ "FirstName": "Large", "LastName": "Record", "Name": "Large Record", "Description": description });
        self.seed("Contact", MADE, fields)
    }
}

/// What no API can make: the user, the organization, the reports.
pub(crate) fn fill_in_setup(org: &mut Org) {
    let user = json!({
        "Username": USERNAME,
        "FirstName": "Integration",
        "LastName": "User",
        "Name": "Integration User",
        "Email": USERNAME,
        "TimeZoneSidKey": "GMT",
        "LocaleSidKey": "en_US",
        "UserType": "Standard",
        "IsActive": true,
    });
    org.user_id = org.seed("User", MADE, user);
    let organization = json!({
        "Name": "Northstar Demo",
        "Country": "US",
        "InstanceName": "LOCAL",
        "OrganizationType": "Developer Edition",
        "LanguageLocaleKey": "en_US",
        "TimeZoneSidKey": "GMT",
        "IsSandbox": false,
    });
    org.org_id = org.seed("Organization", MADE, organization);
    for (name, developer_name, format) in [
        ("Contacts by Account", CONTACTS_REPORT, "Tabular"),
        ("Opportunities by Stage", OPPORTUNITIES_REPORT, "Summary"),
    ] {
        let report = json!({
            "Name": name,
            "DeveloperName": developer_name,
            "FolderName": "Public Reports",
            "Format": format,
        });
        org.seed("Report", MADE, report);
    }
}

fn account(index: usize) -> Value {
    let (company, branch) = (COMPANIES[index % 10], BRANCHES[index / 10]);
    let (city, country) = CITIES[index % 4];
    json!({
        "Name": format!("{company} {branch}"),
        "Type": if index.is_multiple_of(3) { "Prospect" } else { "Customer - Direct" },
        "BillingStreet": format!("{} Main Street", index + 1),
        "BillingCity": city,
        "BillingCountry": country,
        "Phone": format!("+1 555 01{index:02}"),
        "Website": format!("https://{}.example", company.to_lowercase()),
        "Industry": INDUSTRIES[index / 10],
        "AnnualRevenue": 1_000_000 + 250_000 * index,
        "NumberOfEmployees": 20 + 15 * index,
        "AccountNumber": format!("AC-{index:04}"),
        "External_Id__c": format!("A-{index:04}"),
        "Erp_Number__c": format!("ERP-{index:04}"),
    })
}

fn contact(index: usize, account: Option<&str>) -> Value {
    let (first, last) = (FIRST_NAMES[index % 15], LAST_NAMES[(index / 15) % 10]);
    json!({
        "FirstName": first,
        "LastName": last,
        "Name": format!("{first} {last}"),
        "AccountId": account,
        // Some have none.
        "Email": (index % 10 != 9).then(|| format!("{}.{}@example.com", first.to_lowercase(), last.to_lowercase())),
        "Phone": format!("+1 555 1{index:03}"),
        "MailingCity": CITIES[index % 4].0,
        "MailingCountry": CITIES[index % 4].1,
        "Title": if index.is_multiple_of(2) { "Buyer" } else { "Engineer" },
        "LeadSource": SOURCES[index % 4],
        "External_Id__c": format!("C-{index:04}"),
        "Level__c": (["Primary", "Secondary", "Tertiary"][index % 3]),
        "Interests__c": if index.is_multiple_of(2) { "Sales;Service" } else { "Marketing" },
    })
}

fn opportunity(index: usize, account: &str) -> Value {
    let stage = STAGES[index % 7];
    json!({
        "AccountId": account,
        "Name": format!("{} {}", COMPANIES[index % 10], ["Renewal", "Expansion", "Pilot"][index % 3]),
        "StageName": stage,
        "Amount": 5_000 * (index + 1),
        "Probability": ([10, 20, 35, 75, 90, 100, 0][index % 7]),
        "CloseDate": format_date(FIRST_EVENT.date() + Duration::days(3 * index as i64)),
        "LeadSource": SOURCES[index % 4],
        "IsClosed": index % 7 >= 5,
        "IsWon": index % 7 == 5,
    })
}

fn lead(index: usize) -> Value {
    let (first, last) = (FIRST_NAMES[(index + 5) % 15], LAST_NAMES[(index + 3) % 10]);
    json!({
        "FirstName": first,
        "LastName": last,
        "Name": format!("{first} {last}"),
        "Company": format!("{} Trading", COMPANIES[index % 10]),
        "Email": format!("{}.{}@trading.example", first.to_lowercase(), last.to_lowercase()),
        "Phone": format!("+1 555 2{index:03}"),
        "Status": (["Open - Not Contacted", "Working - Contacted"][index % 2]),
        "LeadSource": SOURCES[index % 4],
        "Rating": (["Hot", "Warm", "Cold"][index % 3]),
    })
}

fn event(index: usize, who: &str, what: &str) -> Value {
    let start = FIRST_EVENT + Duration::days(index as i64);
    let minutes = 30 * (1 + index % 3);
    let end = start + Duration::minutes(minutes as i64);
    json!({
        "Subject": SUBJECTS[index % 4],
        "WhoId": who,
        "WhatId": what,
        "Location": CITIES[index % 4].0,
        "StartDateTime": format_datetime(start),
        "ActivityDateTime": format_datetime(start),
        "ActivityDate": format_date(start.date()),
        "EndDateTime": format_datetime(end),
        "EndDate": format_date(end.date()),
        "DurationInMinutes": minutes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_org_is_the_same_each_time() {
        let org = Org::demo();
        let counts = ["Account", "Contact", "Event", "Lead", "Opportunity", "Report", "User", "Organization"]
            .map(|object| org.count(object));
        assert_eq!(counts, [40, 150, 60, 30, 50, 2, 1, 1]);
        assert_eq!(format!("{org:?}"), format!("{:?}", Org::demo()));
    }

    #[test]
    fn no_two_contacts_share_name_and_email() {
        let mut org = Org::demo();
        let contact = crate::schema::object("Contact").unwrap();
        let mut seen: Vec<_> = org.living(contact).map(|record| record["Name"].to_string()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 150);
        org.add_contacts(3);
        let large = org.add_large_contact(5_000_000);
        assert_eq!(org.count("Contact"), 154);
        assert_eq!(org.get(contact, &large).unwrap()["Description"].as_str().unwrap().len(), 5_000_000);
    }
}
