"""The command line's faults: what is said, what is wrong with it, and the objects that it asks for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.app import Sandbox

KEY_DENIED = ("user", "autoscaling")  # as sandbox/faults/keys.py has them
# Whatever sandbox/faults/shortages.py can count; loading it takes a second, and moto.
LIMITED = (
    *(
        "addresses",
        "buckets",
        "gateways",
        "groups",
        "instances",
        "interfaces",
        "profiles",
        "roles",
        "subnets",
        "tables",
    ),
    *("vcpus", "volumes", "vpcs"),
)
CANNOT_STOP = "--stop-at and --stop-after need Linux's /proc, to know which process to end"


def add(parser: argparse.ArgumentParser) -> None:
    """Put the faults' options into the parser."""
    group = parser.add_argument_group("faults", "what goes wrong on purpose; N counts COMMAND's API calls, reads too")
    several: dict[str, Any] = {"action": "append", "default": [], "type": _number}
    group.add_argument("--stop-at", metavar="N", help="kill the client just before AWS does call N", **several)
    group.add_argument("--stop-after", metavar="N", help="kill the client just after AWS did call N", **several)
    group.add_argument("--lose-answer", metavar="N", help="do call N and reset the connection", **several)
    group.add_argument(
        "--lose-answers", action="store_true", help="lose the answer of every changing call, once for each"
    )
    share: dict[str, Any] = {"metavar": "P", "type": _share, "default": 0.0}
    group.add_argument("--throttle", help="refuse a call, with probability P, as one too many", **share)
    group.add_argument("--errors", help="fail a call, with probability P, by a fault of AWS's own", **share)
    group.add_argument(
        "--deny",
        metavar="ACTION",
        action="append",
        default=[],
        type=_action,
        help="take a right away: ec2:CreateVpc, iam:*",
    )
    group.add_argument("--expire", metavar="N", type=_number, help="let the credentials expire with call N")
    group.add_argument(
        "--limit",
        metavar="WHAT=N",
        action="append",
        default=[],
        type=_limit,
        help="allow the account N of WHAT, such as vpcs=0",
    )
    group.add_argument(
        "--late", metavar="SECONDS", type=_seconds, default=0.0, help="let what was just made not be found for so long"
    )
    group.add_argument("--pages", metavar="N", type=_page, help="give lists in pages of N things")
    group.add_argument("--capacity", choices=["none"], help="have no machine free")
    group.add_argument(
        "--key-denied",
        metavar="WHO",
        action="append",
        default=[],
        choices=KEY_DENIED,
        help="encrypt disks with a customer's key that WHO may not use: user, autoscaling",
    )
    group.add_argument("--seed", metavar="N", type=int, default=1, help="which random numbers to use (default 1)")


def problem(options: argparse.Namespace) -> str:
    """Why these options cannot be had on this computer, '' when they can."""
    if options.stop_at or options.stop_after:
        from sandbox import peers

        return "" if peers.can_look() else CANNOT_STOP
    return ""


def put(box: Sandbox, options: argparse.Namespace) -> None:
    """Put the faults that the options ask for into a Sandbox, in the order in which AWS would come to them."""
    from sandbox import faults
    from sandbox.faults import denials, keys, late, pages, shortages

    wanted: list[tuple[object, Callable[[], object]]] = [
        (options.stop_at or options.stop_after, lambda: faults.Stop(at=options.stop_at, done=options.stop_after)),
        (options.expire, lambda: denials.Expire(options.expire)),
        (options.deny, lambda: denials.Deny(*options.deny)),
        (options.throttle, lambda: faults.Throttle(options.throttle, seed=options.seed)),
        (options.errors, lambda: faults.Errors(options.errors, seed=options.seed)),
        (options.late, lambda: late.Late(box.world, options.late)),
        (options.limit, lambda: shortages.Limits(dict(options.limit))),
        (options.capacity, shortages.NoCapacity),
        (options.key_denied, lambda: keys.NoKey(*options.key_denied)),
        (options.pages, lambda: pages.Pages(options.pages)),
        (
            options.lose_answer or options.lose_answers,
            lambda: faults.LoseAnswers(options.lose_answer, every=options.lose_answers),
        ),
    ]
    faults.put(box, *(make() for asked, make in wanted if asked))


def _page(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not the length of a page: give 1 or more")
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not the number of a call: give 1 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a probability: give a number from 0 to 1")
    return share


def _action(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9*?]+", text):
        raise argparse.ArgumentTypeError(f"{text} is not an action: give one such as ec2:CreateVpc or iam:*")
    return text


def _limit(text: str) -> tuple[str, int]:
    what, _, number = text.partition("=")
    if what not in LIMITED:
        raise argparse.ArgumentTypeError(f"{what} has no limit here; there are: {', '.join(LIMITED)}")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} has no number: give {what}=0 or more")
    return what, int(number)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a time: give a number of seconds from 0 to 3600")
    return seconds
