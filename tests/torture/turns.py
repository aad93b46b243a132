"""Several clients at once, one call at a time: who goes next is decided by dice, the same each time for a seed."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Result
from helpers import SharedBox

from sandbox.clock import FakeClock
from torture.wire import wire

PATIENCE = 60.0  # real seconds after which a client that gets no turn is a bug of this file


@dataclass(frozen=True)
class Client:
    """One run of a script: its main, how its environment differs, and after how many turns of others it begins."""

    main: Callable[..., int]
    settings: Mapping[str, str]
    begins: int = 0


class Turns:
    """One thread goes at a time. Each gives its turn away before every call and while it sleeps."""

    def __init__(self, clock: FakeClock, seed: int) -> None:
        self._clock, self._dice = clock, random.Random(seed)
        self._free = threading.Condition()
        self._wakes: dict[str, float] = {}  # thread -> when it wants to go on
        self._begins: Mapping[str, int] = {}
        self._turn, self._turns = "", 0

    def monotonic(self) -> float:
        """The simulated clock's time, for the clients."""
        return self._clock.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Let the others go while the thread sleeps; time moves when all of them do."""
        me = threading.current_thread().name
        with self._free:
            self._wakes[me] = self._clock.now + seconds
            self._next()
            self._await(me)

    def enter(self) -> None:
        """A thread's first turn."""
        with self._free:
            self._await(threading.current_thread().name)

    def leave(self) -> None:
        """A thread's end."""
        with self._free:
            del self._wakes[threading.current_thread().name]
            self._next()

    def begin(self, clients: Mapping[str, int]) -> None:
        """Say who takes part, and after how many turns of the others; and let the first go."""
        with self._free:
            self._wakes, self._begins = dict.fromkeys(clients, self._clock.now), clients
            self._next()

    def _await(self, me: str) -> None:
        assert self._free.wait_for(lambda: self._turn == me, PATIENCE), f"{me} never got its turn"

    def _next(self) -> None:
        if self._wakes:
            begun = {name: wake for name, wake in self._wakes.items() if self._begins[name] <= self._turns}
            begun = begun or self._wakes  # the others have ended before their turns were so many
            wait = min(begun.values()) - self._clock.now
            if wait > 0:
                self._clock.sleep(wait)
            ready = sorted(name for name, wake in begun.items() if wake <= self._clock.now)
            self._turn = self._dice.choice(ready)
            self._turns += 1
        self._free.notify_all()


class _Apart(io.StringIO):
    """A stream that keeps what each thread writes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}

    def write(self, text: str) -> int:
        name = threading.current_thread().name
        self.texts[name] = self.texts.get(name, "") + text
        return len(text)


def together(box: SharedBox, clients: Sequence[Client], seed: int) -> list[Result]:
    """Run them at once, their calls in an order that the seed decides; what each ended with and said."""
    turns, out, err = Turns(box.clock, seed), _Apart(), _Apart()
    codes: dict[str, Any] = {}

    def one(name: str, client: Client) -> None:
        turns.enter()
        try:
            codes[name] = client.main([], {**box.environ, **client.settings}, clock=turns)
            turns.leave()
        except BaseException as error:  # noqa: BLE001  told to whoever started us
            codes[name] = error

    names = [f"client {number}" for number, _ in enumerate(clients)]
    threads = [threading.Thread(target=one, args=each, name=each[0]) for each in zip(names, clients, strict=True)]

    def in_turn(send: Callable[..., Any], session: Any, request: Any) -> Any:
        turns.sleep(0.0)
        return send(session, request)

    box.aws.calls.clear()
    with pytest.MonkeyPatch.context() as patch, wire(in_turn), redirect_stdout(out), redirect_stderr(err):
        for name, value in box.environ.items():
            patch.setenv(name, value)
        turns.begin({name: client.begins for name, client in zip(names, clients, strict=True)})
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in names:
        if isinstance(codes[name], BaseException):
            raise codes[name]
    return [Result(codes[name], out.texts.get(name, ""), err.texts.get(name, "")) for name in names]
