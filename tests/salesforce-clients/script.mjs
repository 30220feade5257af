// The common script with jsforce: prints what it got as one JSON document.
//
// Arguments: URL, client id, client secret, refresh token. It is run in the folder of the package.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const jsforce = createRequire(join(process.cwd(), 'script.cjs'))('jsforce');
const [url, clientId, clientSecret, refreshToken] = process.argv.slice(2);
const out = { client: 'jsforce' };

// The code of the error that a call throws.
async function refused(call) {
  try {
    await call();
  } catch (error) {
    return error.errorCode ?? error.name;
  }
  return null;
}

let refreshes = 0;
const org = new jsforce.Connection({
  version: '66.0',
  instanceUrl: url,
  oauth2: { loginUrl: url, clientId, clientSecret },
  refreshToken,
  accessToken: 'expired',
});
org.on('refresh', () => (refreshes += 1));
// The first request is refused, refreshes, and is sent again.
out.userinfo = (await org.query('SELECT Username FROM User')).totalSize;

const created = await org.sobject('Contact').create({ FirstName: 'Rosa', LastName: "O'Quist", Email: 'rosa@quist.example' });
const contact = created.id;
out.created = created.success && contact.length === 18;
out.updated = (await org.sobject('Contact').update({ Id: contact, Title: 'Chief' })).success ? 204 : 0;
const read = await org.sobject('Contact').retrieve(contact);
out.read = [read.Name, read.Title];
out.duplicate = await refused(() => org.sobject('Contact').create({ LastName: "O'Quist", Email: 'rosa@quist.example' }));
out.missing_field = await refused(() => org.sobject('Contact').create({ FirstName: 'Rosa' }));

out.upserts = [];
for (const LastName of ['First', 'Second']) {
  const result = await org.sobject('Contact').upsert({ LastName, External_Id__c: 'Z-1 é' }, 'External_Id__c');
  out.upserts.push(result.created);
}
out.upserted = (await org.query("SELECT LastName FROM Contact WHERE External_Id__c = 'Z-1 é'")).records[0].LastName;

const many = await org.sobject('Contact').create([{ LastName: 'One' }, { FirstName: 'Two' }, { LastName: 'Three' }]);
out.collection = many.map((result) => (result.success ? true : result.errors[0].statusCode));
const some = await org.sobject('Contact').retrieve([many[0].id, many[2].id]);
out.retrieved = some.map((record) => record.LastName);
out.collection_deleted = (await org.sobject('Contact').destroy([many[0].id, many[2].id])).map((result) => result.success);

out.query = (await org.query("SELECT Id, Account.Name FROM Contact WHERE LastName = 'O\\'Quist'")).records.map((r) => r.Account);
const first = await org.query('SELECT Id, Name FROM Contact ORDER BY Name');
let rows = first.records;
for (let page = first; !page.done; rows = rows.concat(page.records)) page = await org.queryMore(page.nextRecordsUrl);
out.query_more = [first.totalSize === rows.length, first.done, new Set(rows.map((row) => row.Id)).size === rows.length];
const fetched = await org.query('SELECT Id FROM Contact', { autoFetch: true, maxFetch: 10000 });
out.query_all = fetched.records.length === rows.length;
out.malformed = await refused(() => org.query('SELECT FROM Contact'));
out.grouped = (await org.query('SELECT Level__c, COUNT(Id) n FROM Contact WHERE Level__c != null GROUP BY Level__c')).totalSize;
const found = await org.sobject('Account').find({ Name: { $like: 'Acme%' } }, ['Id', 'Name']).sort({ Name: -1 }).limit(2);
out.find = found.map((record) => record.Name);
const parents = await org.query("SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'Acme Energy'");
out.children = parents.records[0].Contacts.totalSize;

const hits = await org.search('FIND {Acme Energy} IN NAME FIELDS RETURNING Account(Id, Name)');
out.search = hits.searchRecords.map((record) => record.Name);

const described = await org.sobject('Contact').describe();
const field = (name) => described.fields.find((own) => own.name === name);
out.describe = [field('LastName').nillable, field('LastName').length, field('Name').createable];
out.objects = (await org.describeGlobal()).sobjects.map((object) => object.name).sort();

const composed = await org.requestPost('/composite', {
  allOrNone: true,
  compositeRequest: [
    { method: 'POST', url: '/services/data/v66.0/sobjects/Account', referenceId: 'a', body: { Name: 'Composed' } },
    { method: 'POST', url: '/services/data/v66.0/sobjects/Contact', referenceId: 'c', body: { LastName: 'Composed', AccountId: '@{a.id}' } },
    { method: 'GET', url: '/services/data/v66.0/sobjects/Contact/@{c.id}?fields=AccountId', referenceId: 'r' },
  ],
});
out.composite = composed.compositeResponse.map((item) => item.httpStatusCode);
out.composite_reference = composed.compositeResponse[2].body.AccountId === composed.compositeResponse[0].body.id;

org.bulk2.pollInterval = 20;
org.bulk2.pollTimeout = 20000;
const input = [...Array(30).keys()].map((n) => ({ LastName: `Loaded ${n}` })).concat([{ LastName: 'x'.repeat(81) }]);
const loaded = await org.bulk2.loadAndWaitForResults({ object: 'Contact', operation: 'insert', input });
out.bulk = [loaded.successfulResults.length + loaded.failedResults.length, loaded.failedResults.length];
out.bulk_results = [
  loaded.successfulResults.length,
  loaded.successfulResults[0].sf__Created,
  loaded.failedResults[0].sf__Error.split(':')[0],
];
const stream = await org.bulk2.query("SELECT Id, LastName FROM Contact WHERE LastName LIKE 'Loaded%'");
out.bulk_query = (await stream.toArray()).length;
const gone = await org.bulk2.loadAndWaitForResults({
  object: 'Contact',
  operation: 'delete',
  input: loaded.successfulResults.map((row) => ({ Id: row.sf__Id })),
});
out.bulk_delete = gone.failedResults.length;

const reports = await org.analytics.reports();
out.reports = reports.map((report) => report.name);
const report = await org.analytics.report(reports[0].id).execute({ details: true });
out.report = report.factMap['T!T'].rows.length === report.factMap['T!T'].aggregates[0].value;

out.limits = (await org.limits()).DailyApiRequests.Max;
out.api_usage = org.limitInfo.apiUsage.limit;
out.identity = (await org.identity()).username;

out.deleted = (await org.sobject('Contact').destroy(contact)).success ? 204 : 0;
out.gone = await refused(() => org.sobject('Contact').retrieve(contact));
out.refreshes = refreshes;
console.log(JSON.stringify(out));
