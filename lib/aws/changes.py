"""How something is changed: looked for, made, and looked for again where the answer was lost; and how it is waited for.

Every changing call goes through `make`, `change` or `remove`, which announce it, repeat it where that does no harm, and
in a dry run say it and do nothing.
"""

from __future__ import annotations

import abc
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from botocore.exceptions import ClientError

from lib.aws.errors import FAILURES, LOST, ErrorKind, classify, error_code
from lib.aws.explain import Caller, explain, refusal
from lib.aws.tags import of as of_cluster
from lib.aws.tags import refuse_others, tags_of
from lib.run.clock import Clock
from lib.run.errors import Ambiguous, AwsRefusal, CredentialsError, Known, KubeError, WaitExpired

if TYPE_CHECKING:
    from lib.run.console import Console

T = TypeVar("T")

Retry = Callable[[BaseException], bool]
Kind = Literal["make", "change", "replace", "remove"]
_PAST: Mapping[Kind, str] = {"make": "made", "change": "changed", "replace": "replaced", "remove": "removed"}
KINDS = tuple(_PAST)


def never(error: BaseException) -> bool:  # noqa: ARG001
    """The `retry_if` that knows no refusal worth waiting out."""
    return False


_TWO = "remove the one that is not the cluster's, or all of it by kube_down.py; was another kube_up.py at work?"
_TELL_EVERY = 10.0  # seconds between two words about a call that is being repeated
_LOOKS = (0.0, 1.0, 2.0, 4.0)  # seconds before each look for what a lost call may have made: it may show late


@dataclass(frozen=True)
class Waits:
    """How long calls are repeated, in seconds: KUBE_WAIT_AWS_SECONDS for what is made, KUBE_WAIT_DELETE_SECONDS."""

    make: int
    remove: int


class Planned(str):
    """The id of something that a dry run would make. Nothing is to be found below it, so no find asks AWS."""

    __slots__ = ()


def became(name: str, old: Any, new: Any) -> str:
    """What is to be another, in a person's words: "DesiredCapacity 2 → 3"; of a mapping its values."""
    return f"{name} {_in_words(old)} → {_in_words(new)}"


def _in_words(value: Any) -> str:
    """What AWS describes, without the braces, quotes and capitals of Python."""
    if isinstance(value, Mapping):
        return " ".join(map(_in_words, value.values()))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)


def backoff(attempt: int) -> float:
    """Seconds before attempt `attempt` + 1: doubling to 10, with jitter so that two runs do not march in step."""
    return float(min(10.0, 0.25 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311 no secret


def one(
    what: str,
    found: Sequence[T],
    id_of: Callable[[T], str],
    *,
    hint: str = "",
    claimed: Callable[[str, Sequence[str]], str] = lambda *_: "",
) -> T | None:
    """None or the one of `found`. Raises Ambiguous, with their ids, for two of which `claimed` says that neither is it.

    `claimed` is told what it is and their ids.
    """
    if len(found) > 1:
        ids = [id_of(item) for item in found]
        first = claimed(what, ids)
        if not first:
            raise Ambiguous(what, ids, hint=hint or _TWO)
        return found[ids.index(first)]
    return found[0] if found else None


class Claiming(Protocol):
    """Who decides which of two counts (lib/aws/claims.py)."""

    def claimed(self, kind: str) -> str:
        """The id that was claimed of a kind, '' for none."""

    def place(self, kind: str) -> str:
        """Where the claim of a kind is, as a person writes it."""

    def claim(self, kind: str, made: str, is_there: Callable[[str], bool]) -> str:
        """The id that counts of a kind: `made`, or what another run has claimed before and `is_there` still."""


@dataclass(frozen=True)
class Sole:
    """What AWS would let two runs make at once, and of which there must be one.

    `kind` is as `one` is told it; `look` is the id of the cluster's, and raises Ambiguous for two; `find` is what has
    an id, as AWS describes it, None where nothing has; `delete` takes back what was just made.
    """

    kind: str
    cluster_id: str
    look: Callable[[], str | None]
    find: Callable[[str], Mapping[str, Any] | None]
    delete: Callable[[str], object]


def _again(codes: Sequence[str], retry_if: Retry) -> Retry:
    """Whether a refusal is worth a repeat: by its code, or as `retry_if` knows it."""
    return lambda error: error_code(error) in codes or retry_if(error)


class Changes(abc.ABC):
    """The words, waits and repeats that all changing calls of a run share, and what was changed so far."""

    def __init__(self, *, console: Console, clock: Clock, waits: Waits, dry_run: bool, hurried: bool = False) -> None:
        self.console = console
        self.clock = clock
        self.waits = waits
        self.dry_run = dry_run
        self.hurried = hurried  # what does not answer is soon given up, and nothing is waited for
        self.changes = 0
        self.kinds: Counter[Kind] = Counter()  # the same as a person counts: a thing that is replaced is one
        self.away = ""  # why the API does not answer for a while, in words
        self.loses = ""  # what is removed for ever with a disk that is thrown away, in words
        self.planned: list[Callable[..., object]] = []  # in a dry run: what would have made each change
        self.before_change: Callable[[], None] | None = None  # called once, before the first change of the run
        self.made: list[str] = []
        self.tagged: dict[str, Mapping[str, str]] = {}  # what many were tagged with in one call, by their ids
        self.retries = 0
        self.claims: Claiming | None = None  # once the bucket is there
        self._sole: list[tuple[Sole, str]] = []  # each with the id that this run goes on with
        self._warned: set[str] = set()
        self._in_one = False

    @property
    @abc.abstractmethod
    def caller(self) -> Caller:
        """Who asks, for words about a refusal."""

    @abc.abstractmethod
    def repair_tags(self, resource_id: str, actual: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """Put back the tags of ours that an EC2 resource has lost or that someone changed."""

    def make(
        self,
        words: str,
        call: Callable[[], str],
        *,
        look: Callable[[], str | None] | None = None,
        sole: Sole | None = None,
        retry_if: Retry = never,
    ) -> str:
        """Make one thing and return its id; a Planned id in a dry run.

        `call` makes it. When the answer is lost, `look` says whether it is there before `call` is repeated; leave it
        out where `call` carries a client token of its own. It is asked too when AWS refuses a second one of that name:
        then the other run's is taken. `retry_if` knows the refusals that mean that AWS is not ready yet.
        `sole` is for what AWS would let two runs make at once: where another run was first, its id is returned.
        Raises AwsRefusal with `words`, which is what a person reads ("VPC 172.20.0.0/16").
        """
        if not self._announce("create", words, "make", call):
            if sole and self.claims:
                self.planned.append(self.claims.claim)
            return Planned(f"(new {words})")
        made = self._persist(words, call, look, retry_if=retry_if)
        self.made.append(made)
        self.console.done("" if made in words else made)
        if sole:
            made = self._first(sole, made)
            self._sole.append((sole, made))
        return made

    def _first(self, sole: Sole, made: str) -> str:
        """What was made, or what another run made before; then ours is taken back."""
        claims, found = self.claims, None

        def is_there(claimed: str) -> bool:
            nonlocal found
            found = sole.find(claimed)
            return found is not None

        first = claims.claim(sole.kind, made, is_there) if claims else made
        if first == made or claims is None:
            return made
        self.console.say(f"{first} was claimed before, by a run that was first")
        self.remove("delete", made, lambda: sole.delete(made), retry_on=["IncorrectState", "DependencyViolation"])
        self.made.remove(made)
        tags = tags_of(found or {})
        mend = f"if it is {sole.cluster_id}'s, give it back its tags; if not, remove {claims.place(sole.kind)}"
        refuse_others(sole.cluster_id, f"{sole.kind} {first}, which {sole.cluster_id} has claimed,", tags, hint=mend)
        resource = str((found or {}).get("AllocationId", first))
        self.repair_tags(resource, tags, of_cluster(sole.cluster_id))
        return first

    def claimed(self, kind: str, ids: Sequence[str]) -> str:
        """Which of several counts, since it was claimed; '' for none of them, or before the bucket is known."""
        first = self.claims.claimed(kind) if self.claims else ""
        counts = next((each for each in ids if first and first in each.split()), "")
        if counts and (words := " and ".join(ids)) not in self._warned:
            self._warned.add(words)
            self.console.warn(
                f"there must be one {kind}, but there are {len(ids)}: {words}; {counts} was claimed first and counts; "
                "remove the rest, where no other run is at work"
            )
        return counts

    def look_again(self) -> None:
        """Look once more for what another run can have made beside ours.

        Raises Ambiguous, with both ids, for two of which none is claimed; KubeError where the other one is by now: the
        run that put that claim saw nothing of ours.
        """
        for sole, ours in self._sole:
            counts = sole.look()
            if counts not in (None, ours):
                raise KubeError(
                    f"another run has claimed {counts} as the {sole.kind}, and this one has used {ours}",
                    hint="run the same command again when no other run is at work; should it be refused, kube_down.py "
                    "removes both",
                )

    def change(
        self,
        verb: str,
        words: str,
        call: Callable[[], object],
        *,
        done_on: Sequence[str] = (),
        retry_on: Sequence[str] = (),
        retry_if: Retry = never,
    ) -> None:
        """Do one thing that may be repeated without harm.

        Codes in `done_on` mean that it was done before; those in `retry_on`, and refusals that `retry_if` knows, that
        AWS is not ready yet, and the call is repeated. Raises AwsRefusal.
        """
        self._do(verb, words, call, done_on=done_on, retry_if=_again(retry_on, retry_if))

    def remove(
        self,
        verb: str,
        words: str,
        call: Callable[[], object],
        *,
        done_on: Sequence[str] = (),
        retry_on: Sequence[str] = (),
        retry_if: Retry = never,
    ) -> None:
        """Take one thing away. That it is not there any more, or a code in `done_on`, means that it was done before.

        The call is repeated on codes in `retry_on` and on refusals that `retry_if` knows. Raises AwsRefusal.
        """
        self._do(verb, words, call, done_on=done_on, retry_if=_again(retry_on, retry_if), removal=True)

    def _do(
        self,
        verb: str,
        words: str,
        call: Callable[[], object],
        *,
        done_on: Sequence[str],
        retry_if: Retry,
        removal: bool = False,
    ) -> None:
        kind: Kind = "remove" if removal else "make" if verb == "create" else "change"
        if not self._announce(verb, words, kind, call):
            return
        try:
            self._persist(words, lambda: (call(), "")[1], None, retry_if=retry_if, removal=removal)
        except AwsRefusal as refused:
            if refused.code not in done_on:
                raise
        self.console.done("")

    def counts(self, *, past: bool) -> str:
        """What was, or in a dry run would be done, by kind: "24 to make, 1 to replace", "24 made, 1 replaced"."""
        words = {kind: did if past else f"to {kind}" for kind, did in _PAST.items()}
        return ", ".join(f"{self.kinds[kind]} {words[kind]}" for kind in words if self.kinds[kind])

    @contextlib.contextmanager
    def as_one(self, kind: Kind | None) -> Iterator[None]:
        """What is changed meanwhile counts as one of that kind; with None as none: it is a part of what was counted."""
        before = self.changes
        self._in_one = True
        try:
            yield
        finally:
            self._in_one = False
            if kind and self.changes > before:
                self.kinds[kind] += 1

    def _announce(self, verb: str, words: str, kind: Kind, call: Callable[[], object]) -> bool:
        """Say what is about to be changed. False in a dry run: then it is said, and not done."""
        check, self.before_change = self.before_change, None
        if check is not None:
            check()
        self.changes += 1
        if not self._in_one:
            self.kinds[kind] += 1
        if self.dry_run:
            self.planned.append(call)
            self.console.planned(verb, words)
            return False
        self.console.doing(verb, words)
        return True

    def _persist(
        self,
        words: str,
        call: Callable[[], str],
        look: Callable[[], str | None] | None,
        *,
        retry_if: Retry,
        removal: bool = False,
    ) -> str:
        start = told = self.clock.monotonic()
        seconds = self.waits.remove if removal else self.waits.make
        for attempt in _count():
            try:
                return call()
            except (ClientError, *LOST) as error:
                kind = classify(error)
                if removal and kind is ErrorKind.NOT_FOUND:
                    return ""
                late = bool(self.made) and kind is ErrorKind.NOT_FOUND
                again = kind is ErrorKind.LOST or late or retry_if(error)
                found = self._look(look) if look and kind in (ErrorKind.LOST, ErrorKind.TAKEN) else None
                if found:
                    self.retries += 1
                    return found
                now = self.clock.monotonic()
                if not again or now - start > seconds:
                    raise refusal(error, words, self.caller) from error
                self.retries += 1
                if now - told >= _TELL_EVERY:
                    told = now
                    self.console.say(f"not yet ({error_code(error) or 'no answer'}); asking for at most {seconds} s")
                self.clock.sleep(backoff(attempt))
        raise AssertionError("unreachable")

    def _look(self, look: Callable[[], str | None]) -> str | None:
        for pause in _LOOKS:
            self.clock.sleep(pause)
            if found := look():
                return found
        return None

    def token(self) -> str:
        """A client token for one decision to make: the same for the repeats of that call, never for another."""
        return uuid.uuid4().hex

    def wait(
        self,
        what: str,
        check: Callable[[], T | None],
        *,
        seconds: int,
        progress: Callable[[], str] = lambda: "",
        at_end: Callable[[], Known] = lambda: Known(""),
        interval: float = 2.0,
    ) -> T:
        """What `check` returns once it is not None, asked at once and then every `interval` seconds.

        Raises WaitExpired after `seconds`, with what `at_end` knows; in a hurry after the first look.
        """
        seconds = 0 if self.hurried else seconds
        start = self.clock.monotonic()
        with self.console.waiting(what, seconds=seconds) as tell:
            while True:
                found = check()
                if found is not None:
                    return found
                if self.clock.monotonic() - start >= seconds:
                    raise WaitExpired(what, seconds=seconds, known=self._whatever(at_end))
                tell(progress())
                self.clock.sleep(interval)

    def _whatever(self, tell: Callable[[], Known]) -> Known:
        """What `tell` knows; that AWS will not say must not hide what went wrong before."""
        try:
            return tell()
        except (CredentialsError, *FAILURES) as error:
            why = error if isinstance(error, CredentialsError) else explain(error, self.caller)
            return Known(f"more is not known: {why}")


def _count() -> Iterator[int]:
    attempt = 0
    while True:
        attempt += 1
        yield attempt
