"""docs/transcripts.md shows what the commands print today, but for ids, times and addresses."""

from __future__ import annotations

import re
import shutil

import pytest
from spread import spread

from sandbox import transcripts
from sandbox.transcripts import TRANSCRIPTS, Transcript, shape, shown

PAGE = transcripts.PAGE.read_text(encoding="utf-8")
TRY, FAILURE, MACHINES = TRANSCRIPTS


def without_nodes(lines: list[str]) -> list[str]:
    """Where kubectl is not installed, make try asks for the nodes in its own way."""
    first = next(number for number, line in enumerate(lines) if re.match(r"=== .*nodes", line))
    last = next(number for number, line in enumerate(lines) if number > first and line.startswith("==="))
    return lines[:first] + lines[last:]


@pytest.mark.parametrize("transcript", spread([FAILURE, TRY], 1, ids=[FAILURE.name, TRY.name]))
def test_the_page_shows_what_is_printed_now(transcript: Transcript) -> None:
    page, now = shape(shown(PAGE, transcript)), shape(transcripts.run(transcript))
    if transcript is TRY and not shutil.which("kubectl"):
        page, now = without_nodes(page), without_nodes(now)
    assert now == page, "run: make transcripts"


def test_what_machines_show_of_kube_up_is_what_it_says_in_the_sandbox() -> None:
    """They need root: their lines are held against those of make try, which are today's."""
    lines = shape(shown(PAGE, MACHINES))
    begin = next(number for number, line in enumerate(lines) if line.endswith("Waiting for the cluster"))
    end = next(number for number, line in enumerate(lines) if line.startswith("remove "))
    said = [re.sub(r"in \S+$|-i \S+", "", line) for line in shape(shown(PAGE, TRY))]
    assert [line for line in lines[begin : end + 1] if re.sub(r"in \S+$|-i \S+", "", line) not in said] == []
    assert lines[-1] == "Cluster kubernetes is down after 0 s: nothing is left of it."


def test_what_is_put_into_the_page_stands_in_its_place_alone() -> None:
    page = transcripts.with_run(PAGE, FAILURE, "another run\n")
    assert shown(page, FAILURE) == "another run\n"
    assert page.replace("another run\n", shown(PAGE, FAILURE)) == PAGE


def test_another_word_is_seen_and_another_id_is_not() -> None:
    one = "  0:03  VPC\n        create  VPC kubernetes-vpc 172.20.0.0/16 … vpc-8dd9b279aa637f3f7\n"
    assert shape(one) == shape(one.replace("8dd9b279aa637f3f7", "0123456789abcdef0").replace("0:03", "0:04"))
    assert shape(one) != shape(one.replace("create", "found "))
    assert shape(one) != shape(one.replace("VPC kubernetes-vpc", "VPC"))


def test_a_name_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert transcripts.main(["tri"]) == 2
    assert "there are try, failure, machines" in capsys.readouterr().err
