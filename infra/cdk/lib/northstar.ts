// The stack of infra/sam/template.yaml as a construct: the same resources under the same logical ids, with typed
// properties for its parameters. There is one template; nothing is described twice.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Token } from 'aws-cdk-lib';
import { CfnAlarm, CfnDashboard } from 'aws-cdk-lib/aws-cloudwatch';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { CfnFunction } from 'aws-cdk-lib/aws-sam';
import { ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';
import { Construct } from 'constructs';

const TEMPLATE = 'infra/sam/template.yaml';
const REPOSITORY = repository(__dirname);

/** The folder above that has the template, whether this file runs as it is written or as it is compiled. */
function repository(folder: string): string {
  if (existsSync(join(folder, TEMPLATE))) return folder;
  if (dirname(folder) === folder) throw new Error(`there is no ${TEMPLATE} above ${__dirname}`);
  return repository(dirname(folder));
}

// `TokenFunction.Alias` is an alias that SAM makes, which CfnInclude cannot know: these are taken as they are.
const REFERRING_TO_ALIASES = [
  'TokenIntegration', 'McpIntegration', 'ConnectIntegration',
  'TokenPermission', 'McpPermission', 'ConnectPermission',
];

/** How a new version takes over. All but `AllAtOnce` wait, watch the alarms and roll back. */
export type DeploymentType =
  | 'Canary10Percent5Minutes'
  | 'Canary10Percent10Minutes'
  | 'Canary10Percent15Minutes'
  | 'Canary10Percent30Minutes'
  | 'Linear10PercentEvery1Minute'
  | 'Linear10PercentEvery2Minutes'
  | 'Linear10PercentEvery3Minutes'
  | 'Linear10PercentEvery10Minutes'
  | 'AllAtOnce';

/**
 * Properties of {@link Northstar}. Conditions of the template depend on them, so each value must be known when the
 * stack is synthesised: give a table a `tableName` before you pass that name here.
 */
export interface NorthstarProps {
  /** Host name that clients use; the API's own address without it. */
  readonly domainName?: string;
  /** Route 53 hosted zone of the domain, for the alias record and the certificate. */
  readonly hostedZoneId?: string;
  /** Certificate of the domain in this region; the stack makes one without it. */
  readonly certificateArn?: string;
  /** Existing table of orders: partition key `order_id`, index `by_customer`. */
  readonly ordersTableName?: string;
  /** Existing table of loyalty points: partition key `customer_id`. */
  readonly loyaltyTableName?: string;
  /** Table of clients, servers and public keys that an earlier stack left. */
  readonly configTableName?: string;
  /** Table of revocations that an earlier stack left. */
  readonly stateTableName?: string;
  /** Secret of the signing keys that an earlier stack left. */
  readonly signingKeysSecretName?: string;
  /** Secret of the key that signs cursors, left by an earlier stack. */
  readonly stateKeySecretName?: string;
  /** KMS key that an earlier stack sealed the grants of Salesforce orgs and upstreams under. */
  readonly grantKeyArn?: string;
  /** Managed policy with the statements that `northstar server iam` prints, for lookups over tables of your own. */
  readonly lookupPolicyArn?: string;
  /** Instead of that policy, ARNs of tables whose items lookups read (GetItem). */
  readonly lookupTables?: string[];
  /** Instead of that policy, ARNs of indexes and tables that lookups query. */
  readonly lookupIndexes?: string[];
  /** Processor of the functions; arm64 without it. */
  readonly architecture?: Architecture;
  /** Folder with `token/bootstrap` and the same of `mcp`, `connect` and `rotate`; `target/lambda-<architecture>` without it. */
  readonly bootstraps?: string;
  /** How a new version takes over; `Canary10Percent5Minutes` without it. */
  readonly deploymentType?: DeploymentType;
  /** Reserved concurrency of token; none without it. */
  readonly tokenConcurrency?: number;
  /** Reserved concurrency of mcp; none without it. */
  readonly mcpConcurrency?: number;
  /** Reserved concurrency of connect; none without it. */
  readonly connectConcurrency?: number;
  /** Days between two rotations of the signing keys. */
  readonly keyRotationDays?: number;
  /** Requests a second that each route takes. */
  readonly rateLimit?: number;
  /** Requests that a route takes at once. */
  readonly burstLimit?: number;
  /** Requests a second that each of /token, /revoke, /introspect and /connect/{upstream} takes. */
  readonly tokenRateLimit?: number;
  /** Requests that each of them takes at once. */
  readonly tokenBurstLimit?: number;
  /** Address that alarms go to. */
  readonly alarmEmail?: string;
  /** Days that log lines are kept. */
  readonly logRetentionDays?: number;
  /** The 99th percentile of a function's duration that raises an alarm, in milliseconds. */
  readonly latencyAlarmMilliseconds?: number;
  /** Refused authentications within five minutes that raise an alarm. */
  readonly wrongSecretsAlarmCount?: number;
  /** Whether the API sets WWW-Authenticate from the functions' own header; it does without it. */
  readonly mapChallengeHeader?: boolean;
}

/** MCP endpoints for Salesforce Agentforce and other MCP clients. One a stack: logical ids are the template's. */
export class Northstar extends Construct {
  /** Topic that alarms go to. */
  readonly alarmTopic: ITopic;
  /** Every alarm, by its logical id. */
  readonly alarms: ReadonlyMap<string, CfnAlarm>;
  /** The dashboard. */
  readonly dashboard: CfnDashboard;
  private readonly template: CfnInclude;

  constructor(scope: Construct, id: string, props: NorthstarProps = {}) {
    super(scope, id);
    this.template = new CfnInclude(this, 'Template', {
      templateFile: join(REPOSITORY, TEMPLATE),
      // A function names the alarms that roll it back, and they name the function; SAM takes that apart.
      allowCyclicalReferences: true,
      dehydratedResources: REFERRING_TO_ALIASES,
    });
    for (const name of REFERRING_TO_ALIASES) this.template.getResource(name).overrideLogicalId(name);

    const { bootstraps, architecture, mapChallengeHeader, ...others } = props;
    for (const [name, value] of Object.entries(others)) this.setParameter(name, value);
    this.setParameter('architecture', architecture?.name);
    this.setParameter('mapChallengeHeader', mapChallengeHeader === undefined ? undefined : mapChallengeHeader ? 'yes' : 'no');

    const folder = bootstraps ?? join(REPOSITORY, `target/lambda-${(architecture ?? Architecture.ARM_64).name}`);
    for (const name of ['token', 'mcp', 'connect', 'rotate']) this.setCode(name, join(folder, name));

    this.alarmTopic = Topic.fromTopicArn(this, 'AlarmTopic', this.template.getResource('AlarmTopic').ref);
    this.dashboard = this.template.getResource('Dashboard') as CfnDashboard;
    const resources = this.template.node.findAll().filter((child) => child instanceof CfnAlarm);
    this.alarms = new Map(resources.map((alarm) => [alarm.node.id, alarm]));
  }

  /** The value of an output of the template, such as `PublicUrl` or `ConfigTableName`. */
  output(name: string): string {
    return Token.asString(this.template.getOutput(name).value);
  }

  private setParameter(property: string, value: string | number | string[] | undefined): void {
    if (value === undefined) return;
    if ([value].flat().some((each) => Token.isUnresolved(each))) {
      throw new Error(`${property} is known only at deployment, but conditions of the template need it: pass a literal value`);
    }
    const parameter = this.template.getParameter(property[0].toUpperCase() + property.slice(1));
    parameter.default = Array.isArray(value) ? value.join(',') : value;
  }

  private setCode(name: string, path: string): void {
    if (!existsSync(join(path, 'bootstrap'))) {
      throw new Error(`there is no ${join(path, 'bootstrap')}: run \`make build\`, or name the folder of the bootstraps`);
    }
    const asset = new Asset(this, `${name}-code`, { path });
    const logicalId = `${name[0].toUpperCase()}${name.slice(1)}Function`;
    const resource = this.template.getResource(logicalId) as CfnFunction;
    resource.codeUri = { bucket: asset.s3BucketName, key: asset.s3ObjectKey };
  }
}
