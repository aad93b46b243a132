"""A part of Kubernetes' own conformance suite, on a cluster of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import conformance
from e2e.stage import Stage
from sandbox.conformance import part
from sandbox.conformance.suite import PROCESSES

ID = "conformance"


@pytest.fixture
def cluster(stage: Stage) -> Iterator[Stage]:
    """A cluster whose pods of kube-system all become Ready, as the suite wants them."""
    with stage.removing(KUBE_AWS_INSTANCE_PREFIX=ID, KUBE_ENABLE_EBS_CSI_DRIVER="false") as settings:
        stage.up(**settings)
        yield stage


@conformance.built
def test_a_part_of_the_suite_that_has_something_of_every_sig_passes(cluster: Stage, tmp_path: Path) -> None:
    conformance.passes(cluster, tmp_path, most=part.MOST, processes=PROCESSES, limit="8m")
