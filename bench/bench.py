#!/usr/bin/env python3
"""Measures the bootstraps of target/lambda-x86_64 against a minimal one, and writes bench/RESULTS.md.

    make bench

A bootstrap is started as Lambda starts it and finds the Runtime API and DynamoDB on 127.0.0.1, both answered by this
program; `northstar serve` supplies tables, keys and a client. What is missing is built. Needs Linux, Python 3.11 and
valgrind, takes about a minute. The quieter the machine the better; only ratios mean something on others.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import measure
import report
from cases import cases
from home import Home, Tables

ROOT = Path(__file__).resolve().parent.parent
BOOTSTRAPS = ROOT / "target/lambda-x86_64"
MINIMAL = ROOT / "bench/minimal"
NORTHSTAR = ROOT / "target/debug/northstar"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstraps", type=Path, default=BOOTSTRAPS, metavar="DIR", help="measure others than ours")
    parser.add_argument("--rounds", type=int, default=40, help="turns of each case (default 40)")
    parser.add_argument("--results", type=Path, default=ROOT / "bench/RESULTS.md", metavar="FILE")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("missing: the package 'valgrind' (Debian and Ubuntu: sudo apt-get install valgrind)")
    minimal = build(options.bootstraps)

    start, load = time.monotonic(), os.getloadavg()[0]
    # One core for this program and all that it starts: between two, waking the other one takes longer than a call.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with Home(NORTHSTAR) as home:
        tables = Tables(home.dynamodb_url)
        measured = cases(home, tables, options.bootstraps, minimal)
        for program in {case.program for case in measured}:
            forget(program)
        print(f"{options.rounds} starts of each bootstrap", flush=True)
        starts = measure.starts(measured, tables, options.rounds)
        print(f"{options.rounds} blocks of {measure.BLOCK} calls of each case", flush=True)
        calls = measure.calls(measured, tables, options.rounds)
        print("instructions", flush=True)
        instructions = measure.instructions(measured, tables)
    text = report.text(measured, starts, calls, instructions, options.rounds, load, outdated(options.bootstraps))
    report.write(text, options.results)
    print(text)
    print(f"measured in {time.monotonic() - start:.0f} s")


def build(bootstraps):
    """Builds what is missing; returns the minimal bootstrap."""
    if bootstraps == BOOTSTRAPS and not all((bootstraps / name / "bootstrap").exists() for name in ("token", "mcp")):
        run("make", "build")
    if not NORTHSTAR.exists():
        run("cargo", "build", "--workspace")
    profiles = [tomllib.loads((path / "Cargo.toml").read_text())["profile"]["release"] for path in (ROOT, MINIMAL)]
    # What is built for size is part of what is measured.
    for unlike in ("opt-level", "package"):
        profiles[0].pop(unlike)
    if profiles[0] != profiles[1]:
        sys.exit("bench/minimal/Cargo.toml has another release profile than Cargo.toml")
    target = ROOT / "target/minimal"
    lambda_build(target, "--manifest-path", MINIMAL / "Cargo.toml")
    return target / "lambda/minimal/bootstrap"


def lambda_build(target, *options, **environment):
    """As .ci/build does: zig, the linker, is found as a module of the first python on the path."""
    path = f"{ROOT}/.tools/venv/bin:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "CARGO_TARGET_DIR": str(target)} | environment
    build = ["cargo", "lambda", "build", "--release", "--locked", "--target", "x86_64-unknown-linux-gnu.2.34"]
    run(*build, *options, "--lambda-dir", target / "lambda", env=environment)


def forget(program):
    """Takes a program out of the page cache. Of one that lies there as it was written Linux maps more at once than of one that
    was read: the same program would seem larger just after its build."""
    with open(program, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def outdated(bootstraps):
    """Whether a source has changed since the bootstraps were built, by cargo's lists of their sources."""
    for name in ("token", "mcp"):
        built = (bootstraps / name / "bootstrap").stat().st_mtime
        listed = ROOT / f"target/x86_64-unknown-linux-gnu/release/{name}.d"
        sources = listed.read_text().split()[1:] if listed.exists() else []
        if any(os.stat(source).st_mtime > built for source in sources):
            return True
    return False


def run(*command, **options):
    print(*command[:3], flush=True)
    subprocess.run(command, cwd=ROOT, check=True, **options)


if __name__ == "__main__":
    main()
