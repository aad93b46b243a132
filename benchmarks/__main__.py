"""python -m benchmarks: the table of `make bench`, and which of the targets are met."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cycle import PARTS

ROOT = Path(__file__).parent.parent
NODES, LATENCIES = (4, 100, 990), (0, 50, 100)

# What many nodes need; quotas are raised in benchmarks/aws.py.
MANY = {"KUBE_SUBNET_CIDR": "172.20.0.0/20", "CLUSTER_IP_RANGE": "10.240.0.0/13"}
MOST_OF_DEFAULTS = 245  # minions that fit the default subnet, a /24

# The targets.
RERUN_CALLS = 42
WALL_FACTOR = 1.3  # at JUDGED_LATENCY
JUDGED_LATENCY = 100  # milliseconds
MORE_CALLS = 10  # at the most nodes, compared with the fewest
FIRST_CALL = 0.5  # seconds
MEMORY = 150  # MB


@dataclass(frozen=True)
class Result:
    """What one run took. Seconds; `memory` is MB; `slept` is what it waited for hosts and AWS, without the calls."""

    nodes: int
    latency: int
    part: str
    calls: int
    changes: int
    wall: float
    slept: float
    served: float
    cpu: float
    memory: float
    first: float

    @property
    def sandbox(self) -> float:
        """Seconds that the simulated AWS itself needed for its answers, without the latency."""
        return self.served - self.calls * self.latency / 1000

    @property
    def factor(self) -> float:
        """Wall time over what nobody could save: the calls' latency and the waits on hosts."""
        return self.wall / (self.calls * self.latency / 1000 + self.slept)


def measure(nodes: int, latency: int) -> list[Result]:
    """Up, rerun and down in a sandbox of their own. Raises CalledProcessError when one of them fails."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBE"))}
    environ |= {"NUM_NODES": str(nodes)} | (MANY if nodes > MOST_OF_DEFAULTS else {})
    with tempfile.TemporaryDirectory() as folder:
        calls, out = Path(folder, "calls"), Path(folder, "out")
        calls.touch()
        sandbox = [sys.executable, "-m", "benchmarks.aws", "--calls", str(calls), "--latency", str(latency)]
        command = [sys.executable, "-m", "benchmarks.cycle", str(calls), str(out)]
        subprocess.run([*sandbox, "--", *command], env=environ, cwd=ROOT, check=True)
        return [Result(nodes=nodes, latency=latency, **row) for row in json.loads(out.read_text())]


HEADER = "nodes  latency  part   calls  changing  wall s  asleep s  sandbox s  cpu s  memory MB  first call s  factor"


def row(r: Result) -> str:
    """A line of the table."""
    factor = f"{r.factor:>8.2f}" if r.latency else f"{'-':>8}"
    return (
        f"{r.nodes:>5}  {r.latency:>4} ms  {r.part:<5}  {r.calls:>5}  {r.changes:>8}  {r.wall:>6.1f}  {r.slept:>8.1f}"
        f"  {r.sandbox:>9.1f}  {r.cpu:>5.1f}  {r.memory:>9.0f}  {r.first:>12.2f}{factor}"
    )


def verdicts(results: Sequence[Result]) -> Iterable[tuple[str, bool]]:
    """Each target that these results can tell of, with what was measured; and whether it is met."""
    reruns = [r for r in results if r.part == "rerun"]
    changes, calls = max(r.changes for r in reruns), max(r.calls for r in reruns)
    yield f"a rerun makes no changing call: {changes}", changes == 0
    yield f"a rerun makes at most {RERUN_CALLS} calls: {calls}", calls <= RERUN_CALLS
    for r in results:
        if r.part == "up" and r.latency == JUDGED_LATENCY:
            words = f"up of {r.nodes} at {r.latency} ms: wall at most {WALL_FACTOR} x (calls x latency + asleep)"
            yield f"{words}: {r.factor:.2f}", r.factor <= WALL_FACTOR
    yield from _growth(results)
    first = statistics.median(r.first for r in results)
    yield f"start to first call under {FIRST_CALL} s: {first:.2f} (median)", first < FIRST_CALL
    largest = max(results, key=lambda r: r.memory)
    yield f"memory under {MEMORY} MB: {largest.memory:.0f} at {largest.nodes} nodes", largest.memory < MEMORY


def _growth(results: Sequence[Result]) -> Iterable[tuple[str, bool]]:
    few, many = min(r.nodes for r in results), max(r.nodes for r in results)
    if few == many:
        return
    for part, _ in PARTS:
        at = {(r.nodes, r.latency): r.calls for r in results if r.part == part}
        more = max(at[many, latency] - at[few, latency] for latency in {r.latency for r in results})
        yield f"{part} of {many} makes at most {MORE_CALLS} calls more than of {few}: {more:+}", more <= MORE_CALLS


def _trust() -> str:
    busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    return "busy with other things, so the seconds are too high" if busy else "quiet, so the seconds count"


def main() -> int:
    """Print the table as it grows, then the targets. A missed target is printed and is no failure; a failed run is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, help="minions: 4 100 990")
    parser.add_argument("--latency", type=int, nargs="+", default=LATENCIES, help="milliseconds: 0 50 100")
    options = parser.parse_args()
    results: list[Result] = []
    print(
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before: {_trust()}", HEADER, sep="\n", flush=True
    )
    for nodes in options.nodes:
        for latency in options.latency:
            try:
                results += measure(nodes, latency)
            except subprocess.CalledProcessError:
                print(f"FAILED with {nodes} nodes at {latency} ms: its last lines are above", file=sys.stderr)
                return 1
            print(*map(row, results[-len(PARTS) :]), sep="\n", flush=True)
    print("\ntargets")
    for words, met in verdicts(results):
        print(f"  {'met' if met else 'NOT MET':<8} {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
