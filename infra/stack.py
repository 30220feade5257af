"""What the targets of the Makefile do with a deployed stack: deploy, deploy-cdk, destroy, logs, smoke.

STACK names the stack (northstar). Its answers to the questions of the first deployment are in infra/sam/samconfig.toml,
under the stack's name; a stack that CDK deployed has its settings in the CDK app.
"""

import json
import os
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

REPOSITORY = Path(__file__).resolve().parents[1]
TEMPLATE = REPOSITORY / "infra/sam/template.yaml"
SETTINGS = REPOSITORY / "infra/sam/samconfig.toml"
FUNCTIONS = ["token", "mcp", "connect", "rotate"]
# What a stack leaves behind, and the parameter that takes it up again.
TABLES = {"ConfigTableName": "config", "StateTableName": "state", "OrdersTableName": "orders", "LoyaltyTableName": "loyalty"}
SECRETS = {"SigningKeysSecretName": "signing-keys", "StateKeySecretName": "state-key"}


# The alias of the KMS key that a stack leaves behind, and its parameter.
GRANT_KEY = "GrantKeyArn"


def grant_alias(stack):
    return f"alias/{stack}-grants"


class Refused(Exception):
    """What is wrong, and what to do."""


# --- Settings of a stack ---


# What SAM wants on top of the file.
HEAD = "version = 0.1\n"


def all_settings():
    """By the name of the stack."""
    known = tomllib.loads(SETTINGS.read_text()) if SETTINGS.exists() else {}
    return {name: each for name, each in known.items() if isinstance(each, dict)}


def settings_of(stack):
    """Region and template parameters as the first deployment was told, or None."""
    known = all_settings().get(stack)
    if known is None:
        return None
    known = known["deploy"]["parameters"]
    parameters = dict(each.split("=", 1) for each in known["parameter_overrides"])
    return {"region": known["region"], "parameters": parameters}


def samconfig(stack, region, parameters):
    """The part of samconfig.toml that keeps the settings of a stack."""
    overrides = ", ".join(json.dumps(f"{name}={value}") for name, value in parameters.items() if value != "")
    return (
        f"[{stack}.deploy.parameters]\n"
        f"stack_name = {json.dumps(stack)}\n"
        f"region = {json.dumps(region)}\n"
        f'capabilities = "CAPABILITY_IAM"\n'
        f"resolve_s3 = true\n"
        f"s3_prefix = {json.dumps(stack)}\n"
        f"confirm_changeset = true\n"
        f"fail_on_empty_changeset = false\n"
        f"parameter_overrides = [{overrides}]\n"
    )


def ask(question, default=""):
    answer = input(f"{question} [{default}]: " if default else f"{question}: ").strip()
    return answer or default


def first_settings(stack):
    """Asks what the first deployment has to know, and keeps it."""
    print(f"The first deployment of {stack}. Enter takes what is in brackets, or nothing.\n")
    region = ask("Region", boto3.Session().region_name or "us-east-1")
    built = [name for name in ("arm64", "x86_64") if built_for(name)]
    if not built:
        raise Refused("there are no bootstraps of token, mcp, connect and rotate in target/: make build says why")
    parameters = {
        "Architecture": ask(f"Processor of the functions ({' or '.join(built)})", built[0]),
        "DomainName": ask("Host name that clients use, or nothing for the API's own"),
    }
    if parameters["DomainName"]:
        parameters["HostedZoneId"] = ask("Its hosted zone in Route 53 (Z…), or nothing to make the DNS record yourself")
        parameters["CertificateArn"] = ask("ARN of its ACM certificate, or nothing to have one made")
    parameters["OrdersTableName"] = ask("Existing table of orders, or nothing to make one")
    parameters["LoyaltyTableName"] = ask("Existing table of loyalty points, or nothing to make one")
    parameters["AlarmEmail"] = ask("Address that alarms go to")
    for name, value in kept(stack, client_in(region)).items():
        if not parameters.get(name):
            print(f"{value} is there already and will be used.")
            parameters[name] = value
    before = SETTINGS.read_text() if SETTINGS.exists() else HEAD
    SETTINGS.write_text(f"{before}\n{samconfig(stack, region, parameters)}")
    print(f"\nKept in {SETTINGS.relative_to(REPOSITORY)}; change it there.\n")


def client_in(region):
    return lambda service: boto3.client(service, region_name=region)


def client_for(stack):
    settings = settings_of(stack)
    return client_in(settings["region"] if settings else None)


def kept(stack, client):
    """Tables, secrets and the key by the names that the stack gives them: parameter and name of what there is."""
    found = {}
    for parameter, name in TABLES.items():
        try:
            client("dynamodb").describe_table(TableName=f"{stack}-{name}")
            found[parameter] = f"{stack}-{name}"
        except client("dynamodb").exceptions.ResourceNotFoundException:
            pass
    for parameter, name in SECRETS.items():
        try:
            if "DeletedDate" not in client("secretsmanager").describe_secret(SecretId=f"{stack}/{name}"):
                found[parameter] = f"{stack}/{name}"
        except client("secretsmanager").exceptions.ResourceNotFoundException:
            pass
    try:
        key = client("kms").describe_key(KeyId=grant_alias(stack))["KeyMetadata"]
        if key["KeyState"] != "PendingDeletion":
            found[GRANT_KEY] = key["Arn"]
    except client("kms").exceptions.NotFoundException:
        pass
    return found


# --- The stack as it is deployed ---


def outputs(stack, client):
    try:
        known, = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            raise Refused(f"there is no stack {stack} here: make deploy, or name another one with STACK=") from error
        raise
    return {each["OutputKey"]: each["OutputValue"] for each in known.get("Outputs", [])}


def built_for(architecture):
    return all((REPOSITORY / f"target/lambda-{architecture}" / name / "bootstrap").exists() for name in FUNCTIONS)


def run(*command, cwd=REPOSITORY, region=None):
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "CDK_DISABLE_CLI_TELEMETRY": "1"}
    if region:
        environment |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    status = subprocess.run([str(each) for each in command], cwd=cwd, env=environment).returncode
    if status != 0:
        raise Refused(f"{Path(command[0]).name} ended with status {status}")


def initialise(stack, region=None):
    """The first keys and the default server; what there is stays."""
    run("cargo", "build", "--workspace", "--locked")
    run(REPOSITORY / "target/debug/northstar", "init", "--stack", stack, region=region)


def deploy(stack):
    run(REPOSITORY / ".ci/build")
    if settings_of(stack) is None:
        first_settings(stack)
    settings = settings_of(stack)
    architecture = settings["parameters"].get("Architecture", "arm64")
    if not built_for(architecture):
        raise Refused(
            f"there are no bootstraps of token, mcp, connect and rotate for {architecture} in target/lambda-{architecture}: "
            f"make build says why, and Architecture in {SETTINGS.name} chooses another"
        )
    # Where the template looks for code.
    link = REPOSITORY / "target/lambda"
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise Refused("target/lambda is in the way, an older build left it: delete it")
    link.symlink_to(f"lambda-{architecture}")
    run(REPOSITORY / ".tools/sam/bin/sam", "deploy", "--template", TEMPLATE, "--config-file", SETTINGS, "--config-env", stack)
    initialise(stack, settings["region"])
    show(stack, client_for(stack))


def deploy_cdk(stack):
    run(REPOSITORY / ".ci/build")
    folder = REPOSITORY / "infra/cdk"
    context = [f"--context=stack={stack}"]
    context += [f"--context=architecture={os.environ['ARCHITECTURE']}"] if os.environ.get("ARCHITECTURE") else []
    run(folder / "node_modules/.bin/tsc", cwd=folder)
    run(folder / "node_modules/.bin/cdk", "deploy", *context, cwd=folder)
    initialise(stack)
    show(stack, client_for(stack))


def show(stack, client):
    known = outputs(stack, client)
    print(f"\nMCP server      {known['PublicUrl']}/mcp\ntoken endpoint  {known['PublicUrl']}/token\ndashboard       {known['DashboardUrl']}")
    if "DomainTarget" in known:
        print(f"DNS             the host name leads to {known['DomainTarget']}")
    print(f"\nNext: make smoke, then northstar client create NAME --stack {stack}")


def destroy(stack, client, delete_data, confirmed):
    """Deletes the stack, and what it leaves when that is said and confirmed."""
    outputs(stack, client)
    if delete_data and confirmed() != stack:
        raise Refused("nothing was deleted")
    cloudformation = client("cloudformation")
    cloudformation.delete_stack(StackName=stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack)
    print(f"The stack {stack} is deleted.")
    left = data_of(stack, client)
    if not delete_data:
        for kind, name in left:
            print(f"kept: {kind} {name}")
        print("make deploy takes them up again; DELETE_DATA=1 deletes them.")
        return
    for kind, name in left:
        if kind == "table":
            client("dynamodb").update_table(TableName=name, DeletionProtectionEnabled=False)
            client("dynamodb").get_waiter("table_exists").wait(TableName=name)
            client("dynamodb").delete_table(TableName=name)
        elif kind == "key":
            client("kms").delete_alias(AliasName=grant_alias(stack))
            client("kms").schedule_key_deletion(KeyId=name, PendingWindowInDays=30)
        else:
            client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        print(f"deleted: {kind} {name}{' (in 30 days; until then it can be kept)' if kind == 'key' else ''}")


def data_of(stack, client):
    """Tables, secrets and the key that carry the stack's name; a table of your own does not."""
    left = kept(stack, client)
    found = [("table", name) for parameter, name in left.items() if parameter in TABLES]
    found += [("key", left[GRANT_KEY])] if GRANT_KEY in left else []
    pages = client("secretsmanager").get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [f"{stack}/"]}])
    names = [each["Name"] for page in pages for each in page["SecretList"]]
    own = [f"{stack}/{name}" for name in SECRETS.values()]
    made = (f"{stack}/clients/", f"{stack}/connections/")
    return found + [("secret", name) for name in sorted(names) if name in own or name.startswith(made)]


def forget_settings(stack):
    """Settings of a stack that is gone: the next deployment asks again, and finds what was kept."""
    parts = [samconfig(name, s["region"], s["parameters"]) for name in all_settings() if name != stack and (s := settings_of(name))]
    if SETTINGS.exists():
        SETTINGS.write_text("\n".join([HEAD, *parts]))


def logs(stack):
    known = settings_of(stack)
    region = ["--region", known["region"]] if known else []
    run(REPOSITORY / ".tools/sam/bin/sam", "logs", "--stack-name", stack, "--tail", *region)


# --- Smoke test: what a stack of any account has to answer ---


def fetch(url, body=None):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def smoke(url, public_url):
    """Lines of PASS, NOTE or FAIL: what was asked, and what was seen."""
    try:
        yield from smoke_of(url, public_url)
    except OSError as error:
        yield "FAIL", url, f"{error}: is the DNS record there, and the certificate valid?"
    except (ValueError, KeyError) as error:
        yield "FAIL", url, f"an answer is not what Northstar sends ({error!r}): does the address lead to the stack?"


def smoke_of(url, public_url):
    status, _, content = fetch(f"{url}/readyz")
    ready = status == 200 and json.loads(content)["status"] == "ok"
    yield ("PASS" if ready else "FAIL"), "GET /readyz", f"{status} {content.decode(errors='replace')[:200]}"
    status, _, content = fetch(f"{url}/.well-known/oauth-authorization-server")
    issuer = json.loads(content)["issuer"]
    yield ("PASS" if issuer == public_url else "FAIL"), "the issuer is the public URL", issuer
    status, _, content = fetch(f"{url}/.well-known/jwks.json")
    keys = json.loads(content)["keys"]
    yield ("PASS" if keys else "FAIL"), "there is a public key", f"{len(keys)}" if keys else "none: northstar init --stack NAME"
    status, headers, _ = fetch(f"{url}/mcp", b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    yield ("PASS" if status == 401 else "FAIL"), "POST /mcp without a token is refused", f"{status}"
    yield challenge(headers)


def challenge(headers):
    """Whether a client sees the challenge. Clients that look for the metadata themselves, Agentforce among them, need none."""
    question = "the challenge arrives as WWW-Authenticate"
    if headers.get("WWW-Authenticate", "").startswith("Bearer "):
        return "PASS", question, headers["WWW-Authenticate"]
    others = [name for name in headers if name.lower() in ("x-amzn-remapped-www-authenticate", "northstar-challenge")]
    return "NOTE", question, f"it arrives as {', '.join(others) or 'nothing'}; clients have to find the metadata themselves"


def main(arguments):
    stack = os.environ.get("STACK") or "northstar"
    try:
        match arguments:
            case ["deploy"]:
                deploy(stack)
            case ["deploy-cdk"]:
                deploy_cdk(stack)
            case ["destroy"]:
                confirmed = lambda: input(f"This deletes the data of {stack} for good. Type its name: ").strip()
                destroy(stack, client_for(stack), os.environ.get("DELETE_DATA") == "1", confirmed)
                forget_settings(stack)
            case ["logs"]:
                logs(stack)
            case ["smoke"]:
                url = outputs(stack, client_for(stack))["PublicUrl"]
                results = list(smoke(url, url))
                for result, what, seen in results:
                    print(f"{result}  {what}: {seen}")
                return 1 if any(result == "FAIL" for result, *_ in results) else 0
            case _:
                print("usage: stack.py deploy|deploy-cdk|destroy|logs|smoke", file=sys.stderr)
                return 2
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"AWS: {error}", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\nstopped", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
