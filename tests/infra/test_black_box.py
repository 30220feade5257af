"""The black-box tests of token and mcp, through the API of a stack: HTTP, API Gateway, Lambda, and what ships.

The tests make their clients with commands, so the functions have the tables and secrets of a local run; all else is the
stack's own. `through_the_api.txt` lists the tests that are left out, each with its reason.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from home import Home
from ministack import Ministack, Stack
from template import REPOSITORY, load, translate

# token comes last: a test of it makes secrets of one letter, which a test of mcp would find in every page.
PROGRAMS = ("flow", "mcp", "token")
LIST = Path(__file__).with_name("through_the_api.txt")
DOMAIN = "northstar.example.com"


class Front:
    """Passes requests on to ministack as they are, but for the host that they name; one request a connection."""

    def __init__(self, port):
        self.port, self.host, self.requests = port, None, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.requests += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as gateway:
            received = b""
            while b"\r\n\r\n" not in received:
                part = client.recv(65536)
                if not part:
                    return
                received += part
            head, body = received.split(b"\r\n\r\n", 1)
            head = re.sub(rb"(?mi)^host:.*?(?=\r?$)", f"Host: {self.host}".encode(), head)
            head = re.sub(rb"(?mi)\r\nconnection:[^\r]*", b"", head) + b"\r\nConnection: close"
            try:
                gateway.sendall(head + b"\r\n\r\n" + body)
                threading.Thread(target=self.pass_on, args=(client, gateway), daemon=True).start()
                self.pass_on(gateway, client)
                # Whoever still sends is told at once.
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def pass_on(source, target):
        try:
            while part := source.recv(65536):
                target.sendall(part)
        except OSError:
            pass

    def close(self):
        self.listener.close()


class Deployed:
    """A stack over the tables and secrets of a home."""

    def __init__(self, ministack, name, template, parameters, cleanup):
        self.home = Home()
        cleanup(self.home.close)
        self.front = Front(ministack.port)
        cleanup(self.front.close)
        existing = {f"{table.capitalize()}TableName": f"northstar-{table}" for table in ("orders", "loyalty", "config", "state")}
        existing |= {"SigningKeysSecretName": "northstar/signing-keys", "StateKeySecretName": "northstar/state-key"}
        self.stack = Stack(ministack, name, template, {"Architecture": "x86_64", **existing, **parameters}, overrides={
            "AWS_ENDPOINT_URL_DYNAMODB": self.home.file("endpoint").strip(),
            "NORTHSTAR_SECRETS_FILE": f"{self.home.folder.name}/secrets.json",
        })
        self.front.host = self.stack.host
        self.url = self.stack.outputs["PublicUrl"]

    def run(self, program, skipped):
        """Runs a test program; the outcome of each test, those that sent a request, and all that was written."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            given = {"url": self.url, "front": self.front.url, "home": self.home.folder.name}
            json.dump({**given, **{name: self.home.demo[name] for name in ("client_id", "client_secret")}}, file)
            file.flush()
            # Never one thread: it would be the main one, and requests are told apart by the threads' names.
            arguments = ["--exact", "--test-threads=4", *(f"--skip={name}" for name in skipped)]
            done = subprocess.run(
                [program, *arguments], cwd=REPOSITORY / "tests", capture_output=True, text=True, timeout=300,
                env={**os.environ, "NORTHSTAR_TEST_THROUGH": file.name, "INSTA_UPDATE": "no"},
            )
        outcomes = dict(re.findall(r"^test (\S+) (?:- should panic )?\.\.\. (\w+)", done.stdout, re.M))
        reached = set(re.findall(r"^through: (\S+)$", done.stderr, re.M))
        return outcomes, reached, done.stdout + re.sub(r"(?m)^through: .*\n", "", done.stderr)


def built():
    """The test programs, as `make test` builds them."""
    flags = ["--workspace", "--locked", *(f"--test={name}" for name in PROGRAMS)]
    command = ["cargo", "test", *flags, "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    programs = {
        each["target"]["name"]: each["executable"] for each in messages
        if each.get("executable") and each["target"]["kind"] == ["test"]
    }
    return {name: programs[name] for name in PROGRAMS}


def listed():
    """What is left out: program, test or module (`name::`), reason."""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(None, 2)) for line in lines]


def left_out(entries, program, tests):
    """The tests of a program that entries name; an entry that names none is an error."""
    names = set()
    for of, name, _reason in entries:
        if of == program:
            found = {test for test in tests if test == name or name.endswith("::") and test.startswith(name)}
            if not found:
                raise LookupError(f"{LIST.name} names {program} {name}, which does not exist")
            names |= found
    return names


def tests_of(program):
    listing = subprocess.run([program, "--list", "--format=terse"], capture_output=True, text=True, check=True).stdout
    return [line.removesuffix(": test") for line in listing.splitlines() if line.endswith(": test")]


class ThroughTheApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.programs = built()
        cls.tests = {name: tests_of(path) for name, path in cls.programs.items()}
        cls.entries = listed()
        cls.skipped = {name: left_out(cls.entries, name, tests) for name, tests in cls.tests.items()}
        cls.template = translate(load())
        cls.ministack = Ministack()
        cls.addClassCleanup(cls.ministack.close)

    def through(self, kind, parameters):
        start = time.monotonic()
        deployed = Deployed(self.ministack, f"through-{len(kind)}", self.template, parameters, self.addCleanup)
        passed = 0
        for name in PROGRAMS:
            outcomes, reached, output = deployed.run(self.programs[name], self.skipped[name])
            with self.subTest(kind, program=name):
                expected = set(self.tests[name]) - self.skipped[name]
                self.assertEqual({test for test, outcome in outcomes.items() if outcome != "ok"}, set(), output[-20000:])
                self.assertEqual(expected - outcomes.keys(), set(), "did not run")
                self.assertEqual(expected - reached, set(), "sent the stack no request")
                passed += len(expected)
        seconds = time.monotonic() - start
        print(f"\n{kind}: {passed} tests, {deployed.front.requests} requests, {seconds:.0f} s", file=sys.stderr)
        return deployed

    def test_by_the_execute_api_host(self):
        deployed = self.through("execute-api host", {})
        self.assertEqual(deployed.front.host, deployed.stack.execute_api_host)

    def test_by_the_custom_domain(self):
        zone = self.ministack.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        zone = zone["HostedZone"]["Id"].rsplit("/", 1)[1]
        deployed = self.through("custom-domain host", {"DomainName": DOMAIN, "HostedZoneId": zone})
        self.assertEqual(deployed.front.host, DOMAIN)

    def test_a_reason_is_given_for_every_test_that_is_left_out(self):
        for entry in self.entries:
            self.assertEqual(len(entry), 3, entry)
            self.assertIn(entry[0], PROGRAMS)

    def test_a_listed_test_that_does_not_exist_is_found(self):
        for name in ("errors::nothing", "nothing::"):
            with self.assertRaises(LookupError):
                left_out([("token", name, "planted")], "token", self.tests["token"])


if __name__ == "__main__":
    unittest.main()
