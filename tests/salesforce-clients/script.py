"""The common script with simple-salesforce: prints what it got as one JSON document.

Arguments: URL, client id, client secret, refresh token. REQUESTS_CA_BUNDLE names the root to trust.
"""

import csv
import io
import json
import sys

import requests
from simple_salesforce import Salesforce, format_external_id, format_soql
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)


def refused(kind, call):
    """The code of the error that a call raises."""
    try:
        call()
    except kind as error:
        return error.content[0]["errorCode"] if "errorCode" in error.content[0] else error.status
    return None


def main(url, client_id, client_secret, refresh_token):
    """Login, then each part; what the client itself cannot do (the login) goes by requests."""
    out = {"client": "simple-salesforce"}
    form = {"grant_type": "refresh_token", "client_id": client_id, "client_secret": client_secret}
    login = requests.post(f"{url}/services/oauth2/token", data=form | {"refresh_token": refresh_token}, timeout=10).json()
    org = Salesforce(session_id=login["access_token"], instance_url=login["instance_url"], version="66.0")

    created = org.Contact.create({"FirstName": "Rosa", "LastName": "O'Quist", "Email": "rosa@quist.example"})
    contact = created["id"]
    out["created"] = created["success"] and len(contact) == 18
    out["updated"] = org.Contact.update(contact, {"Title": "Chief"})
    out["read"] = [org.Contact.get(contact)[name] for name in ("Name", "Title")]
    out["duplicate"] = refused(
        SalesforceMalformedRequest,
        lambda: org.Contact.create({"LastName": "O'Quist", "Email": "rosa@quist.example"}),
    )
    out["missing_field"] = refused(SalesforceMalformedRequest, lambda: org.Contact.create({"FirstName": "Rosa"}))

    path = format_external_id("External_Id__c", "Z/1 é")
    out["upserts"] = [org.Contact.upsert(path, {"LastName": name}) for name in ("First", "Second")]
    out["by_external_id"] = org.Contact.get_by_custom_id("External_Id__c", "C-0000")["Name"]
    out["upserted"] = org.query(format_soql("SELECT LastName FROM Contact WHERE External_Id__c = {}", "Z/1 é"))["records"][0]["LastName"]
    for _ in range(2):
        org.Contact.create({"LastName": "Twin", "External_Id__c": "twin"})
    out["several"] = refused_status(lambda: org.Contact.get_by_custom_id("External_Id__c", "twin"))

    query = format_soql("SELECT Id, Account.Name FROM Contact WHERE LastName = {}", "O'Quist")
    out["query"] = [record["Account"] for record in org.query(query)["records"]]
    first = org.query("SELECT Id, Name FROM Contact ORDER BY Name")
    rows = list(first["records"])
    page = first
    while not page["done"]:
        page = org.query_more(page["nextRecordsUrl"], identifier_is_url=True)
        rows += page["records"]
    out["query_more"] = [first["totalSize"] == len(rows), first["done"], len({row["Id"] for row in rows}) == len(rows)]
    out["query_all"] = org.query_all("SELECT Id FROM Contact")["totalSize"] == len(rows)
    out["malformed"] = refused(SalesforceMalformedRequest, lambda: org.query("SELECT FROM Contact"))
    out["grouped"] = org.query("SELECT Level__c, COUNT(Id) n FROM Contact WHERE Level__c != null GROUP BY Level__c")["totalSize"]

    found = org.search("FIND {Acme Energy} IN NAME FIELDS RETURNING Account(Id, Name)")
    out["search"] = [record["Name"] for record in found["searchRecords"]]
    out["quick_search"] = len(org.quick_search("Acme")["searchRecords"]) > 0

    fields = {field["name"]: field for field in org.Contact.describe()["fields"]}
    out["describe"] = [fields["LastName"]["nillable"], fields["LastName"]["length"], fields["Name"]["createable"]]
    out["objects"] = sorted(item["name"] for item in org.describe()["sobjects"])

    body = {
        "allOrNone": True,
        "compositeRequest": [
            {"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": "a", "body": {"Name": "Composed"}},
            {
                "method": "POST",
                "url": "/services/data/v66.0/sobjects/Contact",
                "referenceId": "c",
                "body": {"LastName": "Composed", "AccountId": "@{a.id}"},
            },
            {"method": "GET", "url": "/services/data/v66.0/sobjects/Contact/@{c.id}?fields=AccountId", "referenceId": "r"},
        ],
    }
    composed = org.restful("composite", method="POST", data=json.dumps(body))["compositeResponse"]
    out["composite"] = [item["httpStatusCode"] for item in composed]
    out["composite_reference"] = composed[2]["body"]["AccountId"] == composed[0]["body"]["id"]

    loaded = org.bulk2.Contact.insert(records=[{"LastName": f"Loaded {n}"} for n in range(30)] + [{"LastName": "x" * 81}], wait=0.05)[0]
    out["bulk"] = [loaded["numberRecordsProcessed"], loaded["numberRecordsFailed"]]
    done = list(csv.DictReader(io.StringIO(org.bulk2.Contact.get_successful_records(loaded["job_id"]))))
    failed = list(csv.DictReader(io.StringIO(org.bulk2.Contact.get_failed_records(loaded["job_id"]))))
    out["bulk_results"] = [len(done), done[0]["sf__Created"], failed[0]["sf__Error"].split(":")[0]]
    pages = list(org.bulk2.Contact.query("SELECT Id, LastName FROM Contact WHERE LastName LIKE 'Loaded%'", max_records=12, wait=0.05))
    out["bulk_query"] = [len(list(csv.DictReader(io.StringIO(page)))) for page in pages]
    ids = [{"Id": row["sf__Id"]} for row in done]
    out["bulk_delete"] = org.bulk2.Contact.delete(records=ids, wait=0.05)[0]["numberRecordsFailed"]

    out["limits"] = org.limits()["DailyApiRequests"]["Max"]
    out["api_usage"] = org.api_usage["api-usage"].total

    out["deleted"] = org.Contact.delete(contact)
    out["gone"] = refused(SalesforceResourceNotFound, lambda: org.Contact.get(contact))
    requests.post(f"{url}/__standin__/expire-sessions", timeout=10)
    out["expired"] = refused(SalesforceExpiredSession, lambda: org.Contact.get(contact))
    print(json.dumps(out))


def refused_status(call):
    """The status of several matches, and how many there are."""
    try:
        call()
    except SalesforceMoreThanOneRecord as error:
        return [error.status, len(error.content)]
    return None


main(*sys.argv[1:])
