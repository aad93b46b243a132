"""The client's wire to AWS, cut at a call of one's choice. The scripts know nothing of it, and cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

Send = Callable[..., Any]
Wire = Callable[[Send, URLLib3Session, Any], Any]


class Killed(BaseException):
    """The client dies here. No handler of ours may catch it, so what follows is what a SIGKILL would leave."""


@contextmanager
def wire(through: Wire) -> Iterator[None]:
    """Have every request of botocore's in this process go through a function, which is given the real one."""
    original = URLLib3Session.send

    def send(session: URLLib3Session, request: Any) -> Any:
        return through(original, session, request)

    URLLib3Session.send = send  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        URLLib3Session.send = original  # type: ignore[method-assign]


@dataclass
class Death:
    """The client dies just before its call `number` reaches AWS, or `after` AWS has done it and before the answer."""

    number: int
    after: bool
    seen: int = 0
    dead: bool = False

    def __call__(self, send: Send, session: URLLib3Session, request: Any) -> Any:
        assert not self.dead, f"something calls AWS after the client's death: {request.method} {request.url}"
        self.seen += 1
        if self.seen < self.number:
            return send(session, request)
        if self.after:
            send(session, request)
        self.dead = True
        raise Killed


@dataclass
class Loss:
    """AWS does a call, and its answer never comes: of the `number`-th changing call that it does, or of each (0).

    `changed` says whether AWS did something since it was last asked. Each answer is lost once: the repeat has its own.
    """

    changed: Callable[[], str]
    number: int = 0
    seen: int = 0
    lost: int = 0
    last: str = ""

    def __call__(self, send: Send, session: URLLib3Session, request: Any) -> Any:
        answer = send(session, request)
        done = self.changed()
        if not done or (not self.number and done == self.last):
            self.last = ""
            return answer
        self.seen += 1
        if self.number in (0, self.seen):
            self.lost += 1
            self.last = done
            error = ReadTimeoutError if self.seen % 2 else ConnectionClosedError
            raise error(endpoint_url=request.url)
        return answer
