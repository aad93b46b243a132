"""A part of Kubernetes' own conformance suite, on a cluster of its own: sandbox/conformance/part.py chooses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.stage import Stage
from sandbox.conformance import build, part, report
from sandbox.conformance.suite import PROCESSES, Suite

ID = "conformance"
LIMIT = "8m"  # of all; a failure ends it no sooner
AGAIN = "4m"


@pytest.fixture
def kubeconfig(stage: Stage) -> Iterator[str]:
    """A cluster whose pods of kube-system all become Ready, as the suite wants them."""
    settings = {"KUBE_AWS_INSTANCE_PREFIX": ID, "KUBE_ENABLE_EBS_CSI_DRIVER": "false"}
    stage.up(**settings)
    yield stage.environ["KUBECONFIG"]
    down = stage.run("kube_down.py", **settings)
    assert down.code == 0, down.out


def test_a_part_of_the_suite_that_has_something_of_every_sig_passes(
    stage: Stage, kubeconfig: str, tmp_path: Path
) -> None:
    to = build.place()
    tests = part.of(to.lines("tests"))
    suite = Suite(to.bin, to.kubectl, kubeconfig, tmp_path)
    first = suite.run("parallel", tests, processes=PROCESSES, say=print, limit=LIMIT)
    bad = [name for name, outcome in first.items() if not outcome.passed]
    again = suite.run("again", bad, processes=1, say=print, limit=AGAIN)
    run = report.Run(tests, first, again)
    stage.counts["conformance tests passed"] = run.count("passed")
    stage.counts["conformance tests that passed when they were repeated alone"] = run.count("alone")
    assert run.is_good, report.page(run, [])
