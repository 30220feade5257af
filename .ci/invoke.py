"""What .ci/invoke does once the tools are there. Answers go to standard output, all else to standard error."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

TOOLS = Path(".tools/venv/bin").absolute()
EVENTS = Path("events")
# Those of Secrets Manager are no requests: tests/rotation sends them.
FUNCTIONS = "token", "mcp", "connect"

# The first request to a function compiles it.
FIRST_ANSWER, ANSWER, END = 1800, 60, 20

# Names as in crates/local/src/store.rs and home.rs.
NAMES = {
    "NORTHSTAR_CONFIG_TABLE": "northstar-config",
    "NORTHSTAR_STATE_TABLE": "northstar-state",
    "NORTHSTAR_ORDERS_TABLE": "northstar-orders",
    "NORTHSTAR_LOYALTY_TABLE": "northstar-loyalty",
    "NORTHSTAR_SIGNING_KEYS": "northstar/signing-keys",
    "NORTHSTAR_STATE_KEY": "northstar/state-key",
}


def main():
    events = os.environ.get("EVENT", "").split() or all_events()
    if unknown := [event for event in events if not (EVENTS / f"{event}.json").is_file()]:
        sys.exit(f"no such event: {' '.join(unknown)}; there are:\n" + "\n".join(all_events()))

    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = Path(os.environ.get("NORTHSTAR_HOME") or scratch / "home").absolute()
        stack.enter_context(server(home, scratch / "server.log"))
        demo = json.loads((home / "demo.json").read_text())
        port = int(os.environ.get("PORT") or free_port())
        stack.enter_context(functions(port, home, demo["public_url"]))

        warm = set()

        def answer(event):
            file = scratch / "event.json"
            file.write_text(json.dumps(rendered(event, demo)))
            function = event.split("/")[0]
            limit = ANSWER if function in warm else FIRST_ANSWER
            warm.add(function)
            return invoke(function, port, file, limit)

        demo["access_token"] = json.loads(answer("token/post_with_basic")["body"])["access_token"]
        for event in events:
            show(event, answer(event))


def all_events():
    return sorted(str(path.relative_to(EVENTS).with_suffix("")) for function in FUNCTIONS for path in EVENTS.glob(f"{function}/*.json"))


@contextlib.contextmanager
def server(home, log_file):
    """`northstar serve`: its tables and secrets are what the functions work with. It ends with its standard input."""
    command = ["target/debug/northstar", "serve", "--stop-with-stdin", "--port", "0", "--home", home]
    with open(log_file, "w") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        try:
            while "\nlistening on " not in (output := log_file.read_text()):
                if process.poll() is not None:
                    sys.exit(output.strip() or "northstar serve does not start")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
            yield
        finally:
            process.stdin.close()
            ended(process)


@contextlib.contextmanager
def functions(port, home, public_url):
    """`cargo lambda watch`, which compiles with flags of its own: into a folder of its own, so that no other build has
    to do its work again."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "NORTHSTAR_"))}
    environment |= NAMES | {
        "CARGO_TARGET_DIR": str(Path("target/lambda-watch").absolute()),
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_ENDPOINT_URL_DYNAMODB": (home / "endpoint").read_text().strip(),
        "NORTHSTAR_PUBLIC_URL": public_url,
        "NORTHSTAR_SECRETS_FILE": str(home / "secrets.json"),
    }
    command = [TOOLS / "cargo-lambda", "lambda", "watch", "--ignore-changes"]
    command += ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    try:
        while not listens(port):
            if process.poll() is not None:
                sys.exit("cargo lambda watch does not start")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield
    finally:
        # It ends the functions that it started, and cargo.
        process.send_signal(signal.SIGINT)
        ended(process)


def rendered(event, demo):
    """A file of events/, filled in as its README says."""
    text = (EVENTS / f"{event}.json").read_text()
    for name in ("client_id", "client_secret", "access_token"):
        text = text.replace(f"{{{{{name}}}}}", demo.get(name, ""))
    rendered = json.loads(text.replace("127.0.0.1:9000", demo["public_url"].removeprefix("http://")))
    headers = rendered.get("headers", {})
    authorization = headers.get("authorization")
    if isinstance(authorization, str) and authorization.startswith("Basic "):
        pair = authorization.removeprefix("Basic ")
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return rendered


def invoke(function, port, file, limit):
    command = [TOOLS / "cargo-lambda", "lambda", "invoke", function, "--data-file", file]
    command += ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    try:
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        sys.exit(f"no answer from {function} in {limit} s")
    if output.returncode != 0:
        sys.exit(f"{function} did not answer")
    return json.loads(output.stdout)


def show(event, answer):
    print(f"{event}: {answer['statusCode']}")
    body = answer.get("body")
    with contextlib.suppress(ValueError):
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    print(body, end="\n\n", flush=True)


def ended(process):
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    # As Ctrl-C: what was started is ended first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
