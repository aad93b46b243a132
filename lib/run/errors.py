"""One small tree of exceptions: whatever a person is told when a run ends early.

`str(error)` is the one line that the person reads; `hint`, where there is one, is the line after it: what to do next;
`seen`, where there is any, are a machine's own words, told before, so that the answer is what stands last.
Only the two scripts turn these into output and an exit status; code below them raises and never exits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Known(NamedTuple):
    """What could be found out of a failure: what it means and what to do, and a machine's own words, told before."""

    hint: str
    seen: str = ""


class KubeError(Exception):
    """AWS, the cluster or this computer said no: `exit_code` is the status that the run ends with."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", seen: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.seen = seen


class SettingError(KubeError):
    """A setting is wrong or refused, and nothing was changed.

    The message names the variable, what is wrong with it, and what would be right:
    "NUM_NODES: 'four' is not a whole number; give one such as 4".
    """

    exit_code = 2

    def __init__(self, variable: str, problem: str, right: str) -> None:
        super().__init__(f"{variable}: {problem}; {right}")
        self.others: tuple[SettingError, ...] = ()  # what else is wrong, each to be told in its own line
        self.variable = variable
        self.problem = problem
        self.right = right


def raise_all(errors: Sequence[SettingError]) -> None:
    """Raise the first error, with the others to be told after it; nothing for none."""
    if errors:
        errors[0].others = tuple(errors[1:])
        raise errors[0]


def gathered(step: Callable[[], object]) -> list[SettingError]:
    """The SettingErrors that a step raises, none where it comes to its end."""
    try:
        step()
    except SettingError as error:
        return [error, *error.others]
    return []


class AwsRefusal(KubeError):
    """A call to AWS was refused: which action, on what, and AWS's own words for it.

    `resource` is in words a person knows ("the subnet 172.20.0.0/24"), '' for one that only reads; `code` and `words`
    are AWS's error code and message.
    """

    def __init__(self, *, action: str, resource: str, code: str, words: str, hint: str = "") -> None:
        on = f" ({resource})" if resource else ""
        super().__init__(f"{action}{on} was refused: {code}: {words}", hint=hint)
        self.action = action
        self.resource = resource
        self.code = code
        self.words = words


class CredentialsError(KubeError):
    """There are no credentials, or none that are good: whose they are, and what to type, stand in the line."""


class Ambiguous(KubeError):
    """There are several of what must be one: the run names them all and changes nothing."""

    def __init__(self, what: str, ids: Sequence[str], *, hint: str = "") -> None:
        named = " and ".join(ids)
        super().__init__(f"there must be one {what}, but there are {len(ids)}: {named}", hint=hint)
        self.what = what
        self.ids = tuple(ids)


class WaitExpired(KubeError):
    """Something that was waited for did not come within its deadline (`seconds`)."""

    def __init__(self, what: str, *, seconds: int, known: Known) -> None:
        super().__init__(f"waited {seconds} s for {what}, and it did not come", hint=known.hint, seen=known.seen)
        self.what = what
        self.seconds = seconds


class Damaged(KubeError):
    """An object in the cluster's bucket is there and is not what it must be."""

    def __init__(self, place: str, what: str, problem: str) -> None:
        super().__init__(
            f"{place}, {what}, is damaged: {problem}",
            hint="put an earlier version back: docs/recovery.md, The bucket is lost. kube_down.py does without it",
        )


class NothingFound(KubeError):
    """There is no such cluster where the run looked; nothing was touched."""


class Declined(KubeError):
    """A person was asked whether this is meant and did not say so: nothing was changed."""

    exit_code = 2


class OutputLost(KubeError):
    """What the run says can no longer be written: a pipe whose reader went, a full disk, a terminal that is gone."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output: {error.strerror or error}")
        self.reader_went = isinstance(error, BrokenPipeError)


class MissingProgram(KubeError):
    """A program that a step runs is not on this computer; `package` is the Debian package that has it."""

    def __init__(self, program: str, *, package: str) -> None:
        super().__init__(
            f"the program {program} is needed and was not found: apt install {package}",
        )
        self.program = program
        self.package = package
