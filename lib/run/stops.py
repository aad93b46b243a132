"""Ctrl-C, SIGTERM and the end of the terminal: each ends a run by an exception, so that no half-made file is left."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the end of the terminal"}
_ONE_STOP = 2.0  # seconds: a signal sent to a process and to its group comes twice, and the impatient press twice


class Stopped(BaseException):
    """A signal came. `status` is what the run ends with."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(_WORDS[number])
        self.status = _STATUS[number]


@contextlib.contextmanager
def stopping(*, ends: bool) -> Iterator[None]:
    """Within, each of the signals raises Stopped, but those that whoever started us has us ignore (nohup does).

    `ends`: the process ends after this, so a signal that comes then has nothing left to stop.
    """
    before = {number: signal.getsignal(number) for number in _STATUS}
    last = [-_ONE_STOP]

    def stop(number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if now - last[0] >= _ONE_STOP:
            last[0] = now
            raise Stopped(signal.Signals(number))

    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, stop)
    except ValueError:  # not the main thread: a test
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)
