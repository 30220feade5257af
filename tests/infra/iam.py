"""Which calls a role allows, and what it allows beyond them.

Neither of the local stand-ins for IAM can tell: ministack's SimulateCustomPolicy takes no ContextEntries, so a condition
on DynamoDB's keys is never looked at, and moto has no SimulateCustomPolicy. This is the part of IAM's evaluation
that our policies use, and an error for whatever they do not use. test_stack.py asks ministack's as well, about actions
and resources.
"""

import copy
import fnmatch
import functools
import re
from dataclasses import dataclass

# What Lambda itself does in a function's name: no program of ours makes these calls.
OF_THE_PLATFORM = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
}


@dataclass(frozen=True)
class Call:
    """A call as IAM sees it; `leading_key` is the partition key it names, if it names one.

    `attributes` are all that a read names, with the key attributes of the table and of the index that is asked (developer
    guide of DynamoDB, "Using IAM policy conditions for fine-grained access control"). `select` says whether it names what it
    wants; None of another call. `connection` is what the encryption context of a call to KMS names.
    """

    action: str
    resource: str
    leading_key: str | None = None
    attributes: frozenset = frozenset()
    select: str | None = None
    connection: str | None = None


def listed(value):
    return value if isinstance(value, list) else [value]


@functools.cache
def matches(pattern, text):
    """IAM knows `*` and `?`, and no brackets."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None


# The condition keys that are known, with the values that a call has for each.
VALUES = {
    "dynamodb:LeadingKeys": lambda call: [] if call.leading_key is None else [call.leading_key],
    "dynamodb:Attributes": lambda call: call.attributes,
    "dynamodb:Select": lambda call: [] if call.select is None else [call.select],
    "kms:EncryptionContext:connection": lambda call: [] if call.connection is None else [call.connection],
}
# How each operator compares one value with one pattern. All but StringLike are true of no value at all, as IAM's are. A key
# of one value that may be missing has the operators with IfExists, one of many values those with ForAllValues.
OPERATORS = {
    "ForAllValues:StringEquals": ({"dynamodb:LeadingKeys", "dynamodb:Attributes"}, str.__eq__),
    "ForAllValues:StringLike": ({"dynamodb:LeadingKeys"}, matches),
    "StringEqualsIfExists": ({"dynamodb:Select"}, str.__eq__),
    "StringLike": ({"kms:EncryptionContext:connection"}, matches),
}


def condition_met(condition, call):
    for operator, keys in condition.items():
        known, same = OPERATORS.get(operator, (set(), None))
        for key, patterns in keys.items():
            if key not in known or (key == "dynamodb:Attributes" and call.select is None):
                raise ValueError(f"{operator} on {key}: write its evaluation before you use it")
            if operator == "StringLike" and not VALUES[key](call):
                return False
            if not all(any(same(pattern, value) for pattern in listed(patterns)) for value in VALUES[key](call)):
                return False
    return True


def statement_allows(statement, call):
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown or statement["Effect"] != "Allow":
        raise ValueError(f"{statement}: write its evaluation before you use it")
    return (
        any(matches(action.lower(), call.action.lower()) for action in listed(statement["Action"]))
        and any(matches(resource, call.resource) for resource in listed(statement["Resource"]))
        and condition_met(statement.get("Condition", {}), call)
    )


def allows(policy, call):
    return any(statement_allows(statement, call) for statement in listed(policy["Statement"]))


def refused(policy, calls):
    """The calls that a policy does not allow."""
    return sorted((call for call in set(calls) if not allows(policy, call)), key=str)


def atoms(policy):
    """Every single permission: one action on one resource, with one pattern of leading keys if it has some, and with all
    attributes that a call may name, for they are granted together."""
    for statement in listed(policy["Statement"]):
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                atom = {"Effect": "Allow", "Action": action, "Resource": resource}
                if "Condition" not in statement:
                    yield atom
                    continue
                for condition in by_leading_key(statement["Condition"]):
                    yield {**atom, "Condition": condition}


def by_leading_key(condition):
    """The same condition with one pattern of leading keys at a time; as it is if it says nothing of them."""
    for operator, keys in condition.items():
        if "dynamodb:LeadingKeys" in keys:
            for pattern in listed(keys["dynamodb:LeadingKeys"]):
                yield {**condition, operator: {**keys, "dynamodb:LeadingKeys": [pattern]}}
            return
    yield condition


def granted_attributes(atom):
    """The attributes that a permission lets a call name, if it names them."""
    return atom.get("Condition", {}).get("ForAllValues:StringEquals", {}).get("dynamodb:Attributes", [])


def without_attribute(atom, attribute):
    """The same permission for calls that do not name an attribute."""
    atom = copy.deepcopy(atom)
    granted_attributes(atom).remove(attribute)
    return atom


def described(atom):
    keys = [pattern for operator in atom.get("Condition", {}).values() for pattern in operator.get("dynamodb:LeadingKeys", [])]
    return ", ".join([f"{atom['Action']} on {atom['Resource']}", *keys])


def unneeded(policy, calls):
    """The permissions and attributes without which every call would still be allowed, and patterns that say more than the
    calls do."""
    every = list(atoms(policy))
    found = []
    for atom in every:
        if atom["Action"] in OF_THE_PLATFORM:
            continue
        others = [other for other in every if other is not atom]
        needing = [call for call in calls if allows({"Statement": [atom]}, call) and not allows({"Statement": others}, call)]
        if not needing:
            found.append(described(atom))
            continue
        if "*" in atom["Action"]:
            found.append(f"{described(atom)}: a wildcard for an action")
        for attribute in granted_attributes(atom):
            if not refused({"Statement": [*others, without_attribute(atom, attribute)]}, needing):
                found.append(f"{described(atom)}, the attribute {attribute}")
    return found


def platform_findings(policy, log_group_arn):
    """Lambda writes the function's own log and its traces, and no more."""
    granted = {(atom["Action"], atom["Resource"]) for atom in atoms(policy) if atom["Action"] in OF_THE_PLATFORM}
    wanted = {(action, log_group_arn if action.startswith("logs:") else "*") for action in OF_THE_PLATFORM}
    return sorted(f"{action} on {resource}" for action, resource in granted ^ wanted)


def without_conditions(policy):
    policy = copy.deepcopy(policy)
    for statement in policy["Statement"]:
        statement.pop("Condition", None)
    return policy
