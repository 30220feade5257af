// One stack with Northstar in it. Context: -c stack=NAME, -c architecture=x86_64, -c domainName=HOST -c hostedZoneId=Z…;
// lists, such as lookupTables, are separated by commas.
import { App, Stack } from 'aws-cdk-lib';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { Northstar } from '../lib/northstar';

const app = new App({ analyticsReporting: false });
const context = (name: string): string | undefined => app.node.tryGetContext(name);
const list = (name: string): string[] | undefined => context(name)?.split(',');
const architectures: Record<string, Architecture> = { arm64: Architecture.ARM_64, x86_64: Architecture.X86_64 };

const stack = new Stack(app, 'Northstar', { stackName: context('stack') ?? 'northstar' });
new Northstar(stack, 'Northstar', {
  architecture: architectures[context('architecture') ?? ''],
  bootstraps: context('bootstraps'),
  domainName: context('domainName'),
  hostedZoneId: context('hostedZoneId'),
  certificateArn: context('certificateArn'),
  ordersTableName: context('ordersTableName'),
  loyaltyTableName: context('loyaltyTableName'),
  lookupPolicyArn: context('lookupPolicyArn'),
  lookupTables: list('lookupTables'),
  lookupIndexes: list('lookupIndexes'),
  alarmEmail: context('alarmEmail'),
});
