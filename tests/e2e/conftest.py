"""The end-to-end tests: real clusters on machines of the sandbox. They run when they are named: `pytest tests/e2e`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import conformance
from e2e.stage import Stage

HERE = Path(__file__).parent
TIMES = pytest.StashKey[dict[str, float]]()
COUNTS = pytest.StashKey[dict[str, int]]()


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """`pytest` and `pytest tests` do not boot machines."""
    named = [Path(str(argument).partition("::")[0]).resolve() for argument in config.invocation_params.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What was measured and counted on the way."""
    for what, seconds in config.stash.get(TIMES, {}).items():
        terminalreporter.write_line(f"{what}: {seconds:.0f} s")
    for what, count in config.stash.get(COUNTS, {}).items():
        terminalreporter.write_line(f"{what}: {count}")


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A sandbox with machines, for all tests: they build on each other, in the order of their files."""
    with Stage.opened(*conformance.options()) as opened:
        request.config.stash[TIMES], request.config.stash[COUNTS] = opened.times, opened.counts
        yield opened
