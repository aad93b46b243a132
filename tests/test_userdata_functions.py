"""The bootstrap's functions say what they set, and none reads another's locals, as bash would let it."""

from __future__ import annotations

import re

import pytest
import shellfunctions
from bootstrap import MASTER, MINION, Role

from lib.node import userdata


@pytest.mark.parametrize(("role", "given"), [("master", MASTER), ("minion", MINION)], ids=["master", "minion"])
def test_every_variable_that_a_function_reads_is_its_own_or_said_to_be_set(role: Role, given: dict[str, str]) -> None:
    script = shellfunctions.read(userdata.bootstrap(role, comments=True))
    assert len(script.functions) > 30
    assert shellfunctions.faults(script, set(given)) == []


def test_so_is_it_in_what_collects_the_logs() -> None:
    script = shellfunctions.read((userdata.TEMPLATES / "logs.sh").read_text(encoding="utf-8"))
    assert [each.name for each in script.functions] == ["journal"]
    assert shellfunctions.faults(script, set()) == []


GOOD = """
readonly AT=/x
# Sets: node (its name), address
identity() { local zone=$ZONE; node=$zone; address=$AT; }
shown() { local each; for each in "$@"; do echo "$each $node $1 ${#each} $((SECONDS + 1))"; done; }
"""


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("", ""),
        ("outer() { local word=1; inner; }\ninner() { echo $word; }", "inner .* reads word, "),
        ("outer() { local word=1; inner; }\ninner() { cat <<CONF\nx $(y ${word:-z})\nCONF\n}", "inner .* reads word, "),
        ("inner() { echo $((1 + word)); }", "inner .* reads word, "),
        ("inner() { local at=word; echo ${!other}; }", "inner .* reads other, "),
        ("inner() { [ -z ${words[@]} ]; }", "inner .* reads words, "),
        ("inner() { word=1; }", "inner .* sets word, and its comment does not say so"),
        ("inner() { for word in a; do :; done; }", "inner .* sets word, and its comment"),
        ("inner() { words[1]=1; }", "inner .* sets words, and its comment"),
        ("inner() { mapfile -t words < <(ls); }", "inner .* sets words, and its comment"),
        ("inner() { node=1; }", "inner .* sets node, and its comment"),
        ("# Sets: AT\ninner() { AT=1; }", "inner .* has its own AT"),
        ("inner() { local node; shown; }", "inner .* has its own node, which others read"),
        ("inner() { local -x ZONE=a; ls; }", ""),
        ("inner() { local ZONE=a; shown; }", "inner .* has its own ZONE, which others read"),
        ("# Sets: word\ninner() { :; }", "inner .* says that it sets word, and does not"),
        ("# Sets: word\n\ninner() { word=1; }", "inner .* sets word, and its comment"),
    ],
)
def test_what_would_be_seen(more: str, fault: str) -> None:
    found = shellfunctions.faults(shellfunctions.read(GOOD + more), {"ZONE"})
    assert len(found) == bool(fault), found
    assert re.search(fault, "".join(found))


@pytest.mark.parametrize(
    "text",
    ["f() { read -r x; }", "f() { eval x=1; }", "f() { printf -v x y; }", "f() { g() { :; }; }", "f() { if; }"],
)
def test_what_is_not_understood_is_no_good_script(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line 1"):
        shellfunctions.read(text)
