"""A part of Kubernetes' own conformance suite, on a cluster that is there: sandbox/conformance/part.py chooses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.stage import Stage
from sandbox.conformance import build, part, report
from sandbox.conformance.suite import Suite

AGAIN = "4m"  # for all that failed


def is_built() -> bool:
    """Whether the suite and all images of the part are there."""
    images = build.place().images
    return bool(build.place().lines("tests")) and all((images / f"{name}.tar").exists() for name in part.IMAGES)


def options() -> list[str]:
    """What a sandbox needs for it."""
    return ["--images", str(build.place().images)] if is_built() else []


built = pytest.mark.skipif(
    not is_built(), reason="the conformance suite is not built: python -m sandbox.conformance.build part"
)


def passes(stage: Stage, results: Path, *, most: int, processes: int, limit: str, where: str = "") -> None:
    """Run of each sig as many tests as `most`, and once more, alone, what fails; after `limit` they are cut short.

    Raises AssertionError unless all have passed in the end.
    """
    to = build.place()
    tests = part.of(to.lines("tests"), most)
    suite = Suite(to.bin, to.kubectl, stage.environ["KUBECONFIG"], results)
    first = suite.run("parallel", tests, processes=processes, say=print, limit=limit)
    run = report.Run(tests, first, suite.again(first, say=print, limit=AGAIN))
    stage.counts[f"conformance tests passed{where}"] = run.count("passed")
    stage.counts[f"conformance tests that passed when they were repeated alone{where}"] = run.count("alone")
    assert run.is_good, report.page(run, [])
