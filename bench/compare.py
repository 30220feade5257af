#!/usr/bin/env python3
"""Compares the instructions of two builds: INIT and a call of each case, before and after. Ends with 1 past the limit.

    .tools/venv/bin/python -B bench/compare.py BEFORE AFTER

BEFORE and AFTER are folders with mcp/bootstrap and token/bootstrap, as `make build` leaves target/lambda-x86_64. Instructions
are counted by valgrind; what else the machine does adds a few wake-ups, so each figure is the least of three counts. Both work on
the tables of `target/debug/northstar`, whose server has no upstream and no org.
"""

import argparse
import os
import sys
from pathlib import Path

import measure
from bench import NORTHSTAR
from cases import MINIMAL, cases
from home import Home, Tables


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="mcp", metavar="TEXT", help="cases whose name has this (default mcp)")
    parser.add_argument("--limit", type=float, default=1.03, metavar="RATIO", help="greatest ratio of after to before (default 1.03)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with Home(NORTHSTAR) as home:
        before, after = (counted(home, folder, options.only) for folder in (options.before, options.after))
    worst = 0
    for what, count in before.items():
        ratio = after[what] / count
        worst = max(worst, ratio)
        print(f"{' of '.join(what):60} {count:9,.0f} k  {after[what]:9,.0f} k  {ratio:.3f}")
    print(f"the greatest ratio is {worst:.3f}, the limit {options.limit}")
    return 0 if worst <= options.limit else 1


def counted(home, bootstraps, only):
    # Tables of its own: what one build asked first must not be the other's recorded answer.
    tables = Tables(home.dynamodb_url)
    every = cases(home, tables, bootstraps.absolute(), MINIMAL)
    chosen = [case for case in every if only in case.name]
    counts = [measure.instructions(chosen, tables) for _ in range(3)]
    least = {}
    for figure in ("init", "call"):
        for name in counts[0][figure].values:
            least[figure, name] = min(count[figure].median(name) for count in counts)
    return least


if __name__ == "__main__":
    sys.exit(main())
