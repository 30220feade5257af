"""The template: as it is written, and as plain CloudFormation."""

import copy
import json
import logging
import os
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# It warns of features of its own.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "infra/sam/template.yaml"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
FUNCTIONS = ["token", "mcp", "connect", "rotate"]
REGION = "us-east-1"


def logical_id(function, suffix="Function"):
    return function.capitalize() + suffix


def load(path=TEMPLATE):
    """Intrinsic functions in their long form."""
    return json.loads(json.dumps(yaml_parse(path.read_text())))


def translate(template, bucket="code"):
    """What AWS makes of it when it is deployed; the code of each function is <function>.zip in a bucket."""
    template = copy.deepcopy(template)
    for function in FUNCTIONS:
        properties = template["Resources"][logical_id(function)]["Properties"]
        properties["CodeUri"] = {"Bucket": bucket, "Key": f"{function}.zip"}
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    return json.loads(json.dumps(translator.translate(template, {})))


def of_type(template, kind):
    """The resources of a type, by logical id."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def differences(left, right, path=""):
    """Where two documents differ: a line each."""
    if isinstance(left, dict) and isinstance(right, dict):
        lines = []
        for key in sorted(left.keys() | right.keys()):
            inner = f"{path}/{key}"
            if key not in right:
                lines.append(f"{inner}: only in the first")
            elif key not in left:
                lines.append(f"{inner}: only in the second")
            else:
                lines += differences(left[key], right[key], inner)
        return lines
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [line for i, (a, b) in enumerate(zip(left, right)) for line in differences(a, b, f"{path}/{i}")]
    return [] if left == right and type(left) is type(right) else [f"{path}: {left!r} and {right!r}"]
