"""Whether a person means this cluster: before anything is removed, what will be gone is shown, and its id is typed.

Asked on a terminal alone. A script, a pipe and `--yes` mean what they say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lib.run.errors import Declined
from lib.run.words import counted
from lib.snapshots import find_snapshots
from lib.volumes import describe_volume

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.teardown import Doomed

_SHOWN = 10  # things of one kind that are named; the others are counted


def ask(aws: Aws, doomed: Doomed, *, keep_disk: bool, yes: bool) -> None:
    """Return once the cluster's id was typed, at once for `yes`, in a dry run and where there is no terminal.

    Raises Declined for any other answer. Nothing was changed then.
    """
    console, cluster_id = aws.console, doomed.config.cluster_id
    if yes or aws.dry_run or not console.can_ask:
        return
    rows = [f"  {name:<9}{words}" for name, words in _rows(aws, doomed, keep_disk=keep_disk)]
    answer = console.ask(["This cannot be taken back:", *rows], "Type the cluster's id to remove it: ")
    if answer is None:
        raise Declined("the question was not answered, and nothing was removed")
    if answer != cluster_id:
        typed = f"{answer!r} was typed, and the cluster is {cluster_id}" if answer else "no id was typed"
        raise Declined(f"{typed}: nothing was removed")


def _rows(aws: Aws, doomed: Doomed, *, keep_disk: bool) -> Iterator[tuple[str, str]]:
    """What there is to know of the cluster, each with its name."""
    of_master = len(doomed.protected())
    yield "cluster", f"{doomed.config.cluster_id} in account {aws.account}, {aws.region}"
    yield "nodes", f"{counted(of_master, 'master')}, {counted(len(doomed.instances) - of_master, 'minion')}"
    if not keep_disk:
        if doomed.volumes:
            yield "volumes", _listed([describe_volume(each) for each in doomed.volumes])
        disks = [f"disk {disk['VolumeId']} {disk['Size']} GiB" for disk in doomed.disks]
        snapshots = len(find_snapshots(aws, doomed.bucket))
        yield "etcd", ", ".join([*disks, counted(snapshots, "snapshot")])
    elif kept := doomed.kept_words():
        yield "kept", _listed(kept)
    if doomed.spared:
        yield "stays", f"what is yours: {_listed(doomed.spared)}"


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join([*words[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
