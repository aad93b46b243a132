"""The bootstrap's curl options exist in the curl of every image that it may meet; the oldest is Debian 12's, 7.88.1."""

from __future__ import annotations

import re

import pytest

from lib.node import userdata

OLDEST = (7, 88, 1)
# Since which release: docs/options-in-versions of curl/curl, read on 2026-11-27. What is used has its release here.
SINCE = {
    "aws-sigv4": (7, 75, 0),
    "cacert": (7, 5),
    "config": (4, 10),
    "connect-timeout": (7, 7),
    "data": (4, 0),
    "data-urlencode": (7, 18, 0),
    "fail": (4, 0),
    "fail-with-body": (7, 76, 0),
    "header": (5, 0),
    "insecure": (7, 10),
    "location": (4, 9),
    "max-time": (4, 0),
    "output": (4, 0),
    "request": (6, 0),
    "retry": (7, 12, 3),
    "retry-all-errors": (7, 71, 0),
    "retry-delay": (7, 12, 3),
    "retry-max-time": (7, 12, 3),
    "show-error": (5, 9),
    "silent": (4, 0),
    "speed-limit": (4, 7),
    "speed-time": (4, 7),
    "upload-file": (4, 0),
    "user": (4, 0),
    "write-out": (6, 5),
}
# curl, and the functions that hand their arguments on to it.
_CALLS = re.compile(r'(?<![\w-])(?:curl|"\$\{curl\[@\]\}"|api|signed|asked|object|put_object) (.*)')
_SHORT = {"X": "request", "H": "header"}


def used(text: str) -> set[str]:
    """The long names of all options of curl's in a script; --no-x counts as --x."""
    logical = text.replace("\\\n", " ")
    calls = [found[1] for found in _CALLS.finditer(logical)]
    names = {name.removeprefix("no-") for call in calls for name in re.findall(r"(?<!\S)--([a-z][a-z0-9-]*)", call)}
    names |= {_SHORT[letter] for call in calls for letter in re.findall(r"(?<!\S)-([A-Za-z])(?= )", call)}
    for here in re.findall(r"--config - .*?<<CONF\n(.*?)^CONF$", logical, re.DOTALL | re.MULTILINE):
        names |= set(re.findall(r"^([a-z0-9-]+) = ", here, re.MULTILINE))
    return names


def scripts() -> str:
    return userdata.bootstrap("master") + userdata.bootstrap("minion")


def test_every_option_of_curl_is_as_old_as_the_oldest_curl() -> None:
    found = used(scripts())
    assert {"fail-with-body", "retry-all-errors", "aws-sigv4", "upload-file", "speed-limit"} <= found
    assert {name for name in found if SINCE.get(name, (99,)) > OLDEST} == set()
    assert set(SINCE) - found == set()  # the list holds no more than is used


@pytest.mark.parametrize("line", ["\tcurl --silent --skip-existing x", 'object a "$b" \\\n\t--variable x=y'])
def test_a_newer_option_would_be_seen(line: str) -> None:
    assert {name for name in used(scripts() + line) if SINCE.get(name, (99,)) > OLDEST} != set()
