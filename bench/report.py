"""The results as a page: bench/RESULTS.md."""

import os
import platform
import subprocess
import time
import zlib
from pathlib import Path

import cases as names
from measure import BLOCK, WARM_UP

# What follows this heading is written by hand and stays.
BY_HAND = "## Where the instructions go\n"
REPOSITORY = Path(__file__).parent

MAX_INIT = 1.8
MAX_REMEMBERED = 5.0
MAX_NEW = 7.0
MAX_MEMORY = 2.6
MAX_STEP_MS = 5.0
MIN_GRANTS = 800
MAX_TOKEN_MB = 4.0
MAX_MCP_MB = 4.6


def text(cases, starts, calls, instructions, rounds, load, outdated):
    sizes = {case.program.parent.name: size(case.program) for case in cases}
    parts = [
        "# Measurements\n",
        "Made by `make bench`; the ratios mean something elsewhere, the absolute figures only here.\n",
        machine(load, outdated),
        "## Goals\n",
        goals(starts, calls, instructions, sizes),
        "## Starts\n",
        start_table(starts, instructions),
        "## Calls\n",
        call_table(cases, calls, instructions),
        "## Sizes\n",
        table(
            ["bootstrap", "MB", "gzip -9, MB"],
            [[name, f"{plain:.2f}", f"{zipped:.2f}"] for name, (plain, zipped) in sizes.items()],
        ),
        "## Method\n",
        method(rounds),
    ]
    return "\n".join(parts)


def write(text, path):
    by_hand = ""
    if path.exists():
        _, heading, rest = path.read_text().partition(BY_HAND)
        by_hand = heading and f"\n{heading}{rest}"
    path.write_text(text + by_hand)


def machine(load, outdated):
    commit = git("rev-parse", "--short", "HEAD")
    if git("status", "--porcelain", "--", "../functions", "../crates", "../Cargo.toml", "../Cargo.lock"):
        commit += ", with changes that are not committed"
    if outdated:
        commit += "; sources have changed since the bootstraps were built"
    rows = [
        ["date", time.strftime("%Y-%m-%d", time.gmtime())],
        ["commit", commit],
        ["processor", f"{os.cpu_count()} cores, {processor()}, {platform.machine()}"],
        ["kernel", platform.release()],
        ["load before", f"{load:.1f}"],
    ]
    return table(["", ""], rows)


def goals(starts, calls, instructions, sizes):
    per_call = instructions["call"].values
    remembered, new = (per_call[name][0] / per_call[names.MINIMAL][0] for name in (names.REMEMBERED, names.NEW))
    step = max(first_use(starts, calls, name) for name in starts["init"].values if name != names.MINIMAL)
    grants = 1e6 / calls["cpu"].median(names.GRANT)
    at_most = []
    for name, label in ((names.REMEMBERED, "mcp"), (names.GRANT, "token")):
        at_most.append([f"cold init of {label}", starts["init"].ratio(name, names.MINIMAL), MAX_INIT, "x minimal"])
    at_most += [
        ["instructions of a tool call, token remembered", (remembered,), MAX_REMEMBERED, "x minimal"],
        ["instructions of a tool call, token new", (new,), MAX_NEW, "x minimal"],
    ]
    for name, label in ((names.REMEMBERED, "mcp"), (names.NEW, "mcp, as many tokens remembered as it may"), (names.GRANT, "token")):
        at_most.append([f"memory of {label}", calls["peak"].ratio(name, names.MINIMAL)[:1], MAX_MEMORY, "x minimal"])
    at_most += [
        ["CPU of a first call beyond a later one, the greatest", (step,), MAX_STEP_MS, "ms"],
        ["size of token, gzip -9", (sizes["token"][1],), MAX_TOKEN_MB, "MB"],
        ["size of mcp, gzip -9", (sizes["mcp"][1],), MAX_MCP_MB, "MB"],
    ]
    rows = [
        [what, f"≤ {goal} {unit}", spread(value), "met" if value[0] <= goal else "**missed**"]
        for what, value, goal, unit in at_most
    ]
    met = "met" if grants >= MIN_GRANTS else "**missed**"
    rows.append(["grants a second and core", f"≥ {MIN_GRANTS}", f"{grants:,.0f}", met])
    return table(["", "goal", "measured", ""], rows)


def start_table(starts, instructions):
    rows = []
    for name in starts["init"].values:
        figures = [starts[figure].median(name) for figure in ("init", "init_cpu", "first", "first_cpu")]
        ratio = starts["init"].ratio(name, names.MINIMAL)
        count = instructions["init"].median(name) / 1e3
        rows.append([name, *(f"{figure:.2f}" for figure in figures), spread(ratio), f"{count:.2f}"])
    heads = ["case", "init ms", "CPU ms", "first call ms", "CPU ms", "init x minimal", "init M instructions"]
    return table(heads, rows)


def call_table(cases, calls, instructions):
    rows = []
    for case in cases:
        name = case.name
        count = instructions["call"].median(name)
        rows.append(
            [
                name,
                f"{calls['p50'].median(name):.0f}",
                spread(calls["p50"].ratio(name, names.MINIMAL)),
                f"{calls['p99'].median(name):.0f}",
                f"{calls['cpu'].median(name):.0f}",
                spread(calls["cpu"].ratio(name, names.MINIMAL)),
                f"{count:,.0f}",
                f"{count / instructions['call'].median(names.MINIMAL):.2f}",
                f"{calls['peak'].median(name):.1f}",
                f"{calls['peak'].ratio(name, names.MINIMAL)[0]:.2f}",
                f"{calls['own'].median(name):.1f}",
            ]
        )
    heads = ["case", "p50 µs", "x", "p99 µs", "CPU µs", "x", "k instructions", "x", "peak MiB", "x", "own MiB"]
    return table(heads, rows) + """
x: times minimal, the ratio of the medians and, in brackets, the least and the greatest of a round. Peak: of the
resident set. Own: what of it at the end is no page of a file; the rest is nearly all the program itself.
"""


def method(rounds):
    return f"""\
- `minimal` is `bench/minimal`: `lambda_http` with the release profile of ours, all of it built for speed and without a layout, which parses
  the same event and answers a constant. The events are those of `events/`; the form of `POST /token` is base64-encoded, as API Gateway sends it.
- A bootstrap runs as under Lambda: Lambda's environment and no other, the Runtime API on 127.0.0.1. DynamoDB answers
  there too, over plain HTTP: what the embedded engine of `northstar serve` said to the same request the first time,
  from memory. This is quieter than the engine itself; its time is in the latencies and in nobody's CPU.
- Secrets come from a file (`NORTHSTAR_SECRETS_FILE`): there is no Secrets Manager in these figures.
- Everything runs on one core. All cases take turns, in reversed order every other time. Starts: {rounds} of each, from
  before the spawn to the first `GET /next`. Calls: {WARM_UP} to warm up, then {rounds} blocks of {BLOCK}; latency is
  from the event's sending to the answer's arrival, p50 and CPU are medians of the blocks, p99 is of all calls. CPU is
  the process's own clock, all threads, until it asks for the next event. Memory is read after all calls: `VmHWM` and
  `RssAnon`. Before, every program is taken out of the page cache: of a file that lies there as it was just written Linux
  maps 10 % more at once.
- {names.TOKENS:,} tokens are issued beforehand. "Token remembered" sends one of them every time, "token new" the next.
- Instructions by valgrind's callgrind: the difference between processes that answer N and 2 N events, by N
  ({names.COUNTED}, and {names.COUNTED_GRANTS} for `POST /token`). Valgrind has no SHA extensions, so SHA-256 (SigV4,
  tokens) counts for more than it costs.
- Not covered: TLS to DynamoDB and Secrets Manager, arm64, real Lambda (its micro-VM, its share of a core, freezing).
"""


def first_use(starts, calls, name):
    """CPU ms that a first call takes beyond a later one."""
    return starts["first_cpu"].median(name) - calls["cpu"].median(name) / 1e3


def spread(values):
    value, *limits = (f"{value:.2f}" for value in values)
    return f"{value} ({limits[0]} to {limits[1]})" if limits else value


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def size(program):
    data = program.read_bytes()
    packer = zlib.compressobj(9, wbits=31)
    return len(data) / 1e6, len(packer.compress(data) + packer.flush()) / 1e6


def processor():
    with open("/proc/cpuinfo") as cpuinfo:
        return next(line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name"))


def git(*arguments):
    command = ["git", "-C", REPOSITORY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
