"""The measurements. All cases take turns in every round, so that what else the machine does meets all of them alike."""

import shutil
import signal
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

WARM_UP = 300  # calls
BLOCK = 100  # calls in a row before the next case has its turn


class Rounds:
    """One figure of every case: a value a round."""

    def __init__(self):
        self.values = defaultdict(list)

    def add(self, case, value):
        self.values[case.name].append(value)

    def median(self, name):
        return median(self.values[name])

    def ratio(self, name, base):
        """The ratio of the medians, and the least and the greatest ratio within a round."""
        each = [value / other for value, other in zip(self.values[name], self.values[base], strict=True)]
        return self.median(name) / self.median(base), min(each), max(each)


def in_turn(cases, rounds):
    for number in range(rounds):
        yield from cases if number % 2 == 0 else reversed(cases)


def starts(cases, tables, rounds):
    """INIT and the first call: ms, and ms of CPU."""
    cases = [case for case in cases if case.starts]
    figures = {name: Rounds() for name in ("init", "first", "init_cpu", "first_cpu")}
    # The first two rounds fill the page cache and the recorded answers; they do not count.
    for index, case in enumerate(in_turn(cases, 2 + rounds)):
        with case.start(tables) as bootstrap:
            init = bootstrap.init_ns()
            init_cpu = bootstrap.cpu_ns()
            first = bootstrap.invoke(case.event(0), case.expected)
            first_cpu = bootstrap.cpu_ns() - init_cpu
        if index >= 2 * len(cases):
            for name, value in (("init", init), ("first", first), ("init_cpu", init_cpu), ("first_cpu", first_cpu)):
                figures[name].add(case, value / 1e6)
    return figures


def calls(cases, tables, rounds):
    """Later calls: latency and CPU in us, memory in MiB."""
    figures = {name: Rounds() for name in ("p50", "p99", "cpu", "peak", "own")}
    latencies = defaultdict(list)
    with ExitStack() as running:
        bootstraps = {case.name: running.enter_context(case.start(tables)) for case in cases}
        done = dict.fromkeys(bootstraps, 0)

        def block(case, size):
            bootstrap, begin = bootstraps[case.name], done[case.name]
            done[case.name] += size
            return [bootstrap.invoke(case.event(begin + number), case.expected) / 1e3 for number in range(size)]

        for case in cases:
            bootstraps[case.name].init_ns()
            block(case, WARM_UP)
        for case in in_turn(cases, rounds):
            before = bootstraps[case.name].cpu_ns()
            times = block(case, BLOCK)
            figures["cpu"].add(case, (bootstraps[case.name].cpu_ns() - before) / 1e3 / BLOCK)
            figures["p50"].add(case, median(times))
            latencies[case.name] += times
        for case in cases:
            figures["p99"].add(case, sorted(latencies[case.name])[len(latencies[case.name]) * 99 // 100])
            figures["peak"].add(case, bootstraps[case.name].memory_kib("VmHWM") / 1024)
            figures["own"].add(case, bootstraps[case.name].memory_kib("RssAnon") / 1024)
    return figures


def instructions(cases, tables):
    """Thousands of instructions until the first event is asked for, and of a call."""
    figures = {name: Rounds() for name in ("init", "call")}
    for case in cases:
        counts = [count(case, tables, number) for number in (case.counted, 2 * case.counted)]
        figures["call"].add(case, (counts[1] - counts[0]) / case.counted / 1e3)
        if case.starts:
            figures["init"].add(case, count(case, tables, 0) / 1e3)
    return figures


def count(case, tables, number):
    """Instructions of a process that answers `number` events."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "counts"
        callgrind = [shutil.which("valgrind"), "--tool=callgrind", "--vgdb=no", f"--callgrind-out-file={written}"]
        with case.start(tables, callgrind) as bootstrap:
            bootstrap.init_ns()
            for index in range(number):
                bootstrap.invoke(case.event(index), case.expected)
            # Callgrind writes its counts when a signal ends the process.
            bootstrap.end(signal.SIGTERM)
        totals = [line for line in written.read_text().splitlines() if line.startswith("totals: ")]
        return int(totals[0].split()[1])
