"""What a person sees: steps in order with the elapsed time, what was found and made, waits, warnings, errors.

On a terminal rich colours it and shows a spinner while something is awaited; in a pipe it is plain lines.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from rich.console import Console as Rich
from rich.markup import escape

if TYPE_CHECKING:
    from lib.aws import Clock

_INDENT = "        "
_PLAIN_TELLS_EVERY = 30.0  # seconds between two lines of one wait, where no spinner can be shown


def elapsed(seconds: float) -> str:
    """Minutes and seconds: '0:07', '12:30'."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"


class Console:
    """Output and errors of one run, with the time since it was made in front of each step."""

    def __init__(
        self,
        clock: Clock,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clock, self._log = clock, log
        self._start = clock.monotonic()
        self._out = Rich(file=out or sys.stdout, highlight=False, soft_wrap=True)
        self._err = Rich(file=err or sys.stderr, highlight=False, soft_wrap=True)
        self._line_open = False

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock.monotonic() - self._start

    def step(self, title: str) -> None:
        """The next step begins."""
        self._print(f"[bold]{elapsed(self.elapsed):>6}  {escape(title)}[/]", log=title)

    def found(self, words: str) -> None:
        """Something is there already and as it should be."""
        self._print(f"{_INDENT}[green]found[/]   {escape(words)}", log=f"  found {words}")

    def say(self, words: str) -> None:
        """A line of information below the step."""
        self._print(f"{_INDENT}{escape(words)}", log=f"  {words}")

    def doing(self, verb: str, words: str) -> None:
        """A change is about to be made: the line stays open until `done`."""
        self._print(f"{_INDENT}[cyan]{verb:<7}[/] {escape(words)} …", end="", log=f"  {verb} {words}")
        self._line_open = True

    def done(self, result: str) -> None:
        """The change was made; `result` is its id, or ''."""
        self._line_open = False
        self._log(f"  {result or 'done'}")
        self._out.print(f" {escape(result) or 'done'}")

    def planned(self, verb: str, words: str) -> None:
        """A dry run would do this."""
        self._print(f"{_INDENT}[cyan]would {verb}[/] {escape(words)}", log=f"  would {verb} {words}")

    def warn(self, words: str) -> None:
        """Something a person should know; the run goes on."""
        self._end_line()
        self._log(f"warning: {words}")
        self._err.print(f"[yellow]warning:[/] {escape(words)}")

    def error(self, words: str, *, hint: str = "") -> None:
        """Why the run ended, and what to do next."""
        self._end_line()
        self._log(f"error: {words}")
        if hint:
            self._log(hint)
        self._err.print(f"[bold red]error:[/] {escape(words)}")
        if hint:
            self._err.print(escape(hint))

    def line(self, text: str = "") -> None:
        """A line of the summary, as it is."""
        self._print(escape(text), log=text)

    def where(self, words: str) -> None:
        """A last line on stderr, for who looks further into what failed."""
        self._err.print(escape(words))

    @contextlib.contextmanager
    def waiting(self, what: str, *, seconds: int) -> Iterator[Callable[[str], None]]:
        """Say what is awaited and how long it may last; yields a function that tells of progress.

        The wait is silent when its first look is enough, and ends with how long it took.
        """
        wait = _Wait(self, what, seconds, self._clock)
        try:
            yield wait.tell
        finally:
            wait.end()

    def _print(self, text: str, *, log: str, end: str = "\n") -> None:
        self._end_line()
        self._log(log)
        self._out.print(text, end=end)
        self._out.file.flush()

    def _end_line(self) -> None:
        if self._line_open:
            self._line_open = False
            self._out.print()


class _Wait:
    """One wait on the console: a spinner on a terminal, a line at its start and now and then in a pipe."""

    def __init__(self, console: Console, what: str, seconds: int, clock: Clock) -> None:
        self._console, self._what, self._seconds, self._clock = console, what, seconds, clock
        self._start = clock.monotonic()
        self._told: float | None = None
        self._status = (
            console._out.status("", spinner="dots")
            if console._out.is_terminal and not console._out.legacy_windows
            else None
        )

    def tell(self, progress: str) -> None:
        now = self._clock.monotonic()
        first = self._told is None
        text = f"{self._what}: " + (f"{progress}, " if progress else "")
        text += f"{elapsed(now - self._start)} of {elapsed(self._seconds)}"
        if self._status:
            if first:
                self._console._end_line()
                self._status.start()
            self._status.update(escape(text))
            self._told = now
        elif self._told is None or now - self._told >= _PLAIN_TELLS_EVERY:
            first_words = f"waiting for {self._what}, at most {elapsed(self._seconds)}"
            self._console.say(first_words if first else f"waiting for {text}")
            self._told = now

    def end(self) -> None:
        if self._status:
            self._status.stop()
        if self._told is not None:
            self._console.say(f"waited  {elapsed(self._clock.monotonic() - self._start)} for {self._what}")
