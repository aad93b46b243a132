"""What a run of the conformance suite gave: a table by sig, what did not pass and why, and what was no upstream image.

`python -m sandbox.conformance.report docs/conformance.md` puts the last run's into the page, where the marks of its
version are, and records of the default version how many seconds each test took that passed at once: part.py chooses by
them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.node import releases
from sandbox.conformance import images, part
from sandbox.conformance.suite import Outcome, area, outcomes

RESULTS = Path("build") / "conformance"
REPORT = "report.md"
WORDS = 3  # lines of a failure's message
A_PART = "a part of the suite"  # what a report says of a run of chosen tests
KERNEL = " --kernel"  # in the marks of a run on machines with a kernel of their own


@dataclass(frozen=True)
class Run:
    """The tests that were asked for, what became of them, and when those that failed were repeated alone."""

    tests: Sequence[str]
    first: Mapping[str, Outcome]
    again: Mapping[str, Outcome]
    absent: Sequence[str] = ()  # images that the suite knows and that were not made

    def verdict(self, test: str) -> str:
        """passed, alone (passed when it was repeated alone), failed, or not runnable."""
        outcome = self.first.get(test)
        if outcome is None or outcome.state == "skipped" or self._lacks_image(outcome):
            return "not runnable"
        if outcome.passed:
            return "passed"
        return "alone" if test in self.again and self.again[test].passed else "failed"

    def why(self, test: str) -> str:
        """Why a test has not passed at once, in a line or a few."""
        outcome = self.first.get(test)
        if outcome is None:
            return "it was not run"
        if self._lacks_image(outcome):
            return f"the image is not made here: {', '.join(self._lacks_image(outcome))}"
        words = " / ".join(line.strip() for line in outcome.words.splitlines()[:WORDS] if line.strip())
        second = f"; repeated alone it {self.again[test].state}" if test in self.again else ""
        return f"{outcome.state} after {outcome.seconds:.0f} s at {outcome.at}: {words}{second}"

    def _lacks_image(self, outcome: Outcome) -> list[str]:
        if outcome.passed:
            return []
        return [each for each in self.absent if f'Failed to pull image "{each}"' in outcome.output + outcome.words]

    def count(self, verdict: str, tests: Iterable[str] | None = None) -> int:
        """How many of these tests, or of all, have this verdict."""
        return sum(self.verdict(test) == verdict for test in (self.tests if tests is None else tests))

    @property
    def is_good(self) -> bool:
        """Whether all have passed, be it when they were repeated alone."""
        return bool(self.tests) and self.count("passed") + self.count("alone") == len(self.tests)


def sentence(run: Run) -> str:
    """The verdict in a line."""
    passed, alone = run.count("passed"), run.count("alone")
    more = [f"{alone} of them when repeated alone"] if alone else []
    more += [f"{count} {what}" for what in ("failed", "not runnable") if (count := run.count(what))]
    return f"{passed + alone} of {len(run.tests)} conformance tests passed" + "".join(f", {each}" for each in more)


def table(run: Run) -> str:
    """A row for each sig, and one for all."""
    rows = ["| sig | tests | run | passed | failed | not runnable |", "|---|---|---|---|---|---|"]
    sigs = sorted({area(test) for test in run.tests})
    rows += [_row(run, sig, [test for test in run.tests if area(test) == sig]) for sig in sigs]
    return "\n".join([*rows, _row(run, "all", run.tests)]) + "\n"


def _row(run: Run, name: str, tests: Sequence[str]) -> str:
    alone, unrunnable = run.count("alone", tests), run.count("not runnable", tests)
    passed = f"{run.count('passed', tests) + alone}" + (f" ({alone} repeated alone)" if alone else "")
    cells = [name, len(tests), len(tests) - unrunnable, passed, run.count("failed", tests), unrunnable]
    return "| " + " | ".join(map(str, cells)) + " |"


def page(run: Run, about: Sequence[str]) -> str:
    """The whole of it, in Markdown. `about` says what ran where and when, a paragraph each."""
    parts = [*(f"{paragraph}\n" for paragraph in about), table(run)]
    if open_ones := [test for test in run.tests if run.verdict(test) != "passed"]:
        parts.append("Not passed at once:\n")
        parts.append("".join(f"- `{test}`: {run.why(test)}\n" for test in open_ones))
    parts.append("Images that were made here, and in what they are not upstream's:\n")
    rows = [f"| {name} | {recipe.stand_in} |\n" for name, recipe in images.RECIPES.items()]
    parts.append("".join(["| image | what it is |\n|---|---|\n", *rows]))
    return "\n".join(parts)


def marked(report: str, version: str, *, own_kernel: bool = False) -> str:
    """A report of a run of that version (v1.37.2) between the marks that its place in the page has.

    A run on machines with a kernel of their own has a place of its own.
    """
    what = version.removeprefix("v").rpartition(".")[0] + (KERNEL if own_kernel else "")
    return f"<!-- make conformance {what}: begin -->\n{report}<!-- make conformance {what}: end -->\n"


def with_report(text: str, report: str) -> str:
    """The page's text with this report, which has marks, in the place of the same marks. Raises ValueError."""
    begin, *_, end = report.splitlines(keepends=True)
    new, count = re.subn(f"(?s){re.escape(begin)}.*{re.escape(end)}", lambda _: report, text)
    if count != 1:
        raise ValueError(f"the page has {count} places for the report: {begin.strip()}")
    return new


def seconds_of(results: Path) -> dict[str, float]:
    """How long each test took that passed at once in the run whose reports these are."""
    reports = [results / f"{name}.json" for name in ("parallel", "serial")]
    found = [outcomes(each.read_text(encoding="utf-8")) for each in reports if each.exists()]
    return {name: each.seconds for one in found for name, each in one.items() if each.passed}


def keep(page: Path, seconds: Path, results: Path) -> None:
    """Put the last run's report into the page, and the seconds of its tests into their file.

    Raises ValueError, also for a part of the suite where the page has a whole run.
    """
    last = (results / REPORT).read_text(encoding="utf-8")
    if A_PART in last and KERNEL not in last.splitlines()[0]:
        raise ValueError(f"the last run was of {A_PART}, and the page has whole runs")
    page.write_text(with_report(page.read_text(encoding="utf-8"), last), encoding="utf-8")
    if last.startswith(marked("", releases.default_kubernetes()).splitlines()[0]):
        before = part.recorded(seconds.read_text(encoding="utf-8"))
        seconds.write_text(part.record(before | seconds_of(results)), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Keep the last run's report in the page that is named; returns the exit status."""
    if len(arguments) != 1:
        print("conformance: report takes the page, docs/conformance.md", file=sys.stderr)
        return 2
    try:
        keep(Path(arguments[0]), part.SECONDS, RESULTS)
    except (OSError, ValueError) as error:
        print(f"conformance: nothing is kept: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
