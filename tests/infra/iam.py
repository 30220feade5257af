"""Which calls a role allows, and what it allows beyond them.

Neither of the local stand-ins for IAM can tell: ministack's SimulateCustomPolicy takes no ContextEntries, so a condition
on `dynamodb:LeadingKeys` is never looked at, and moto has no SimulateCustomPolicy. This is the part of IAM's evaluation
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
    """A call as IAM sees it; `leading_key` is the partition key it names, if it names one."""

    action: str
    resource: str
    leading_key: str | None = None


def listed(value):
    return value if isinstance(value, list) else [value]


@functools.cache
def matches(pattern, text):
    """IAM knows `*` and `?`, and no brackets."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None


def condition_met(condition, call):
    for operator, keys in condition.items():
        for key, patterns in keys.items():
            if key != "dynamodb:LeadingKeys" or operator not in ("ForAllValues:StringEquals", "ForAllValues:StringLike"):
                raise ValueError(f"{operator} on {key}: write its evaluation before you use it")
            values = [] if call.leading_key is None else [call.leading_key]
            same = matches if operator.endswith("Like") else str.__eq__
            # ForAllValues is true of nothing at all, as IAM's is.
            if not all(any(same(pattern, value) for pattern in listed(patterns)) for value in values):
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
    """Every single permission: one action on one resource, with one pattern of leading keys if it has some."""
    for statement in listed(policy["Statement"]):
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                condition = statement.get("Condition")
                if condition is None:
                    yield {"Effect": "Allow", "Action": action, "Resource": resource}
                    continue
                (operator, keys), = condition.items()
                for pattern in listed(keys["dynamodb:LeadingKeys"]):
                    only = {operator: {"dynamodb:LeadingKeys": [pattern]}}
                    yield {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": only}


def described(atom):
    (keys,) = [None] if "Condition" not in atom else [list(atom["Condition"].values())[0]["dynamodb:LeadingKeys"][0]]
    return f"{atom['Action']} on {atom['Resource']}" + (f", {keys}" if keys else "")


def unneeded(policy, calls):
    """The permissions without which every call would still be allowed, and patterns that say more than the calls do."""
    every = list(atoms(policy))
    found = []
    for atom in every:
        if atom["Action"] in OF_THE_PLATFORM:
            continue
        others = {"Statement": [other for other in every if other is not atom]}
        if not [call for call in calls if allows({"Statement": [atom]}, call) and not allows(others, call)]:
            found.append(described(atom))
        elif "*" in atom["Action"]:
            found.append(f"{described(atom)}: a wildcard for an action")
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
