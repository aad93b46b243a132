"""Tests of the suite are run by ginkgo, and what became of each is read from its report."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALONE = ("[Serial]", "[Disruptive]")  # marks of tests that may not run beside others
PROCESSES = 8
FEWER_PROCESSES = 4  # where machines have a kernel of their own: system calls and page faults cost several times more
LIMIT = "3h"  # of a part; each test has limits of its own
EVERY = 30.0  # seconds between lines of progress

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a test: ginkgo's state, seconds, and where and with which words it failed."""

    name: str
    state: str
    seconds: float
    words: str = ""
    at: str = ""
    output: str = field(default="", repr=False)

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.state == "passed"


@dataclass(frozen=True)
class Suite:
    """The suite's programs, a cluster, and the folder for its reports."""

    programs: Path
    kubectl: Path
    kubeconfig: str
    results: Path

    def run(
        self, part: str, tests: Sequence[str], *, processes: int, say: Say, limit: str = LIMIT
    ) -> dict[str, Outcome]:
        """Run these tests; what became of each that was run or that skipped itself, by its name.

        The part's name begins the names of the reports: .json is ginkgo's, .xml junit's, .out what it said. Raises
        NoReport.
        """
        if not tests:
            return {}
        focus = "|".join(re.escape(test) for test in tests)
        ginkgo = ["ginkgo", f"--nodes={processes}", "--no-color", "-v", f"--timeout={limit}", f"--focus={focus}"]
        reports = [f"--output-dir={self.results}", f"--json-report={part}.json", f"--junit-report={part}.xml"]
        own = [f"--kubeconfig={self.kubeconfig}", f"--kubectl-path={self.kubectl}", "--provider=skeleton"]
        own += ["--disable-log-dump", f"--e2e-output-dir={self.results}"]
        command = [*ginkgo, *reports, str(self.programs / "e2e.test"), "--", *own]
        said = self.results / f"{part}.out"
        with (
            open(said, "w", encoding="utf-8") as out,
            subprocess.Popen(
                [str(self.programs / command[0]), *command[1:]],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as running,
        ):
            assert running.stdout is not None
            _follow(running.stdout, len(tests), out.write, say)
        report = self.results / f"{part}.json"
        if not report.exists():
            raise NoReport(f"ginkgo ended with {running.returncode} and no report: see {said}")
        return {name: each for name, each in outcomes(report.read_text(encoding="utf-8")).items() if name in tests}

    def again(self, first: Mapping[str, Outcome], *, say: Say, limit: str = LIMIT) -> dict[str, Outcome]:
        """What becomes of those that failed when each is run alone; nothing where that ends without a report."""
        bad = [name for name, outcome in first.items() if not outcome.passed and outcome.state != "skipped"]
        if bad:
            say(f"{len(bad)} that failed, alone")
        try:
            return self.run("again", bad, processes=1, say=say, limit=limit)
        except NoReport as error:
            say(str(error))
            return {}


class NoReport(Exception):
    """The suite ended without a word about its tests."""


def _follow(lines: Iterable[str], total: int, write: Callable[[str], object], say: Say) -> None:
    """Keep what ginkgo says, and say from time to time how far it is."""
    started = told = time.monotonic()
    done = failed = 0
    for line in lines:
        write(line)
        if not line.startswith("• "):
            continue
        done += 1
        if line.startswith("• [") and not re.match(r"• \[\d", line):  # a word, not its seconds
            failed += 1
            say(f"{_clock(time.monotonic() - started)}  failed: see the .out file; {done} of {total} are done")
        elif time.monotonic() - told > EVERY or done == total:
            told = time.monotonic()
            say(f"{_clock(told - started)}  {done} of {total}, {failed} failed")


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):3}:{int(seconds % 60):02}"


def outcomes(report: str) -> dict[str, Outcome]:
    """What became of the tests of a report of ginkgo's that were run or have skipped themselves, by name."""
    found = {}
    for suite in json.loads(report):
        for spec in suite["SpecReports"] or []:
            each = _outcome(spec)
            # What was not chosen is "skipped" too, without a word why.
            if spec["LeafNodeType"] == "It" and (each.state not in ("skipped", "pending") or each.words):
                found[each.name] = each
    return found


def _outcome(spec: dict[str, Any]) -> Outcome:
    failure = spec.get("Failure") or {}
    place = failure.get("Location") or {}
    return Outcome(
        name=" ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]]),
        state=str(spec["State"]),
        seconds=spec["RunTime"] / 1e9,
        words=str(failure.get("Message") or "").strip(),
        at=f"{str(place.get('FileName', '')).rpartition('/test/')[2]}:{place.get('LineNumber', '')}" if place else "",
        output=str(spec.get("CapturedGinkgoWriterOutput") or ""),
    )


def is_alone(test: str) -> bool:
    """Whether nothing may run beside it."""
    return any(mark in test for mark in ALONE)


def area(test: str) -> str:
    """The special interest group that a test's name begins with."""
    found = re.match(r"\[sig-([a-z-]+)\]", test)
    return found[1] if found else "?"
