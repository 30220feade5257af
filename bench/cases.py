"""What is measured: which bootstrap answers which events. The events are those of events/."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from bootstrap import Bootstrap
from home import PUBLIC_URL

EVENTS = Path(__file__).parent.parent / "events"
COUNTED, COUNTED_GRANTS = 200, 40  # calls whose instructions are counted: valgrind is slow, a signature takes millions
TOKENS = 2_000  # more than mcp remembers: taken in turn, every one is new to it again

MINIMAL = "minimal"
REMEMBERED = "mcp: get_order_status, token remembered"
NEW = "mcp: get_order_status, token new"
LIST = "mcp: tools/list"
INITIALIZE = "mcp: initialize"
GRANT = "token: POST /token"


@dataclass
class Case:
    name: str
    program: Path
    settings: dict[str, str]
    events: list[bytes]
    expected: bytes
    counted: int = COUNTED
    starts: bool = True  # whether its first call differs from that of every other case

    def start(self, tables, wrapper=()):
        return Bootstrap(self.program, self.settings, tables, wrapper)

    def event(self, index):
        return self.events[index % len(self.events)]


def cases(home, tables, bootstraps, minimal):
    """Every case, the one that the others are compared with first."""
    token, mcp = (bootstraps / name / "bootstrap" for name in ("token", "mcp"))
    settings = home.settings()
    form = event("token/post_with_secret_in_body", home)
    form["body"] = base64.b64encode(form["body"].encode()).decode()  # as API Gateway sends forms
    form["isBase64Encoded"] = True
    grant = Case(GRANT, token, settings, [encoded(form)], b"access_token", COUNTED_GRANTS)
    tokens = issue(grant, tables)

    order = event("mcp/tools_call_get_order_status", home)
    orders = [with_token(order, issued) for issued in tokens]
    listed, initialized = (with_token(event(f"mcp/{name}", home), tokens[0]) for name in ("tools_list", "initialize"))
    return [
        Case(MINIMAL, minimal, {}, orders[:1], b"SHIPPED"),
        Case(REMEMBERED, mcp, settings, orders[:1], b"SHIPPED"),
        Case(NEW, mcp, settings, orders, b"SHIPPED", starts=False),
        Case(LIST, mcp, settings, [listed], b"inputSchema"),
        Case(INITIALIZE, mcp, settings, [initialized], b"protocolVersion"),
        grant,
    ]


def event(scenario, home):
    text = (EVENTS / f"{scenario}.json").read_text()
    for name in ("client_id", "client_secret"):
        text = text.replace("{{%s}}" % name, home.demo[name])
    return json.loads(text.replace("127.0.0.1:9000", PUBLIC_URL.removeprefix("https://")))


def with_token(event, token):
    return encoded(event).replace(b"{{access_token}}", token.encode())


def encoded(event):
    # API Gateway sends no space that is not needed.
    return json.dumps(event, separators=(",", ":")).encode()


def issue(grant, tables):
    tokens = []
    with grant.start(tables) as bootstrap:
        bootstrap.init_ns()
        for _ in range(TOKENS):
            bootstrap.invoke(grant.event(0), grant.expected)
            tokens.append(json.loads(json.loads(bootstrap.answer.body)["body"])["access_token"])
    return tokens
