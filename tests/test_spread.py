"""What `make test`, `make test-product` and `make torture` run: the first and the last together are the whole."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest
from spread import spread

ROOT = Path(__file__).parent.parent
MARKS = ("torture", "story", "alone")


def chosen(pattern: str, text: str) -> list[set[str]]:
    """The sets of marks with which a test is run; the only group of the pattern is what pytest's -m says."""
    (expression,) = re.findall(pattern, text)
    sets = [set(marks) for count in range(len(MARKS) + 1) for marks in itertools.combinations(MARKS, count)]
    return [marks for marks in sets if eval(expression, {name: name in marks for name in MARKS})]


def test_every_test_is_in_one_of_make_test_and_make_torture_and_those_of_the_product_are_in_the_first() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    usual = chosen("-m '(.*)'", options)
    rest = chosen(r"pytest .*-m (\w+)", (ROOT / "Makefile").read_text())
    product = chosen('-m "(.*)"', (ROOT / ".ci" / "checks").read_text())
    assert len(usual + rest) == 2 ** len(MARKS)
    assert not [marks for marks in usual if marks in rest]
    assert product
    assert [marks for marks in product if marks not in usual] == []


@pytest.mark.parametrize(("many", "count", "kept"), [(9, 3, [0, 3, 6]), (7, 2, [0, 3]), (5, 5, [0, 1, 2, 3, 4])])
def test_the_first_and_then_evenly(many: int, count: int, kept: list[int]) -> None:
    cases = spread(range(many), count)
    assert [case.values for case in cases] == [(number,) for number in range(many)]
    assert [number for number, case in enumerate(cases) if not case.marks] == kept


def test_no_loop_is_asked_for_more_cases_than_it_has() -> None:
    with pytest.raises(AssertionError, match="of 2 cases 3 are wanted"):
        spread("ab", 3)


def test_what_needs_no_simulated_aws_is_marked(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("alone")


@pytest.mark.usefixtures("_server")
def test_what_needs_it_is_not(request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("alone")
