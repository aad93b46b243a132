"""What a person sees: steps in order with the elapsed time, what was found and made, waits, warnings, errors.

On a terminal rich colours it, lines are broken between words, and a spinner turns while something is awaited; in a pipe
it is plain lines. The colours are those that can be read on dark and on light: the terminal's own, bold, and four more.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import os
import re
import shlex
import sys
import termios
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, TextIO

from rich import markup
from rich.console import Console as Rich
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from lib.run.errors import OutputLost

if TYPE_CHECKING:
    from lib.run.clock import Clock

_INDENT = "        "
_LABEL = 9  # columns, of the word before a line of the summary
_VERB = 7  # columns, of the word before what is found, made or removed
_NAMED = 11  # columns, of a name and its gap in what a question is about
_DONE = "done"
_LEAST_WIDTH = 40  # columns; what is narrower has no room for the indent
# A command is copied whole: its words are not parted.
_FORMAT = 1  # of the documents: another number when what is in them today changes its meaning (docs/output.md)
_COMMAND = re.compile(r"(?:[A-Z0-9_]+=\S* )*(?:\S*/)?python[\d.]* \S+(?: -\S+)*")
_OURS = re.compile(r"\bpython3? (-m lib\.\w+|kube_(?:up|down)\.py)\b")
_PLAINER = "kube-up-plainer"
_ASCII = {"…": "...", "→": "->"}
_FRAMES = 12.5  # of a spinner, in a second
_PLAIN_TELLS_EVERY = 30.0  # seconds between two lines of one wait, where no spinner can be shown


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the terminal's encoding lacks: something that can still be understood."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(c, "?") for c in error.object[error.start : error.end]), error.end


codecs.register_error(_PLAINER, _plainer)


def escape(words: str) -> str:
    """The words without markup, and with what a terminal would act on (names and AWS's texts may hold it) spelt out."""
    return markup.escape(spelled_out(words))


def spelled_out(words: str) -> str:
    """The words with what a terminal would act on spelt out."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in words)


def as_started(words: str) -> str:
    """The words with our commands as they can be typed here: by the interpreter and from the folder of this run's.

    The interpreter may be called python3 alone, or be one of a venv.
    """
    interpreter, (folder, script) = sys.orig_argv[0], os.path.split(sys.argv[0])
    if script not in ("kube_up.py", "kube_down.py"):
        return words

    def typed(command: re.Match[str]) -> str:
        what = command[1]
        return shlex.join([interpreter, *(what.split() if what.startswith("-") else [os.path.join(folder, what)])])

    return _OURS.sub(typed, words)


def silence(stream: IO[str]) -> None:
    """What is written from now on goes nowhere, and so does what waits in the buffer.

    The interpreter writes that out at its end, and would complain once more of a stream that takes nothing.
    """
    with contextlib.suppress(OSError, ValueError):  # not a file: a test's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Stream(Rich):
    """Rich on one stream, which leaves it to us what a closed pipe means."""

    def __init__(self, file: TextIO) -> None:
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors=_PLAINER)  # a locale of former days has no "…"
        super().__init__(file=file, highlight=False, soft_wrap=True, emoji=False)  # ":key:" in a name is no picture

    def print(self, *objects: Any, **options: Any) -> None:
        """Write a line. In a pipe that is not to be coloured it is its words, for which rich would take long."""
        if self.is_terminal or len(objects) != 1 or not isinstance(objects[0], str) or options.keys() - {"end"}:
            super().print(*objects, **options)
            return
        words = markup.render(objects[0], emoji=False).plain
        self.file.write(words.expandtabs() + options.get("end", "\n"))
        self.file.flush()

    @property
    def moves(self) -> bool:
        """Whether the cursor may be moved: not in a pipe that is to be coloured (FORCE_COLOR), nor with TERM=dumb."""
        return self.file.isatty() and self.is_interactive and not self.legacy_windows

    @property
    def columns(self) -> int:
        """Of the terminal; rich takes one that is dumb to have 80."""
        if self.is_dumb_terminal:
            with contextlib.suppress(OSError, ValueError):
                return os.get_terminal_size(self.file.fileno()).columns or self.width
        return self.width

    def fold(self, words: str, *, first: int, later: int, spare: int = 0) -> str:
        """On a terminal, the words broken between them, to begin in column `first` and go on in `later`.

        `spare` columns are left free at a line's end.

        A word that is longer than a line stays whole, for the terminal to wrap: what is broken cannot be copied.
        """
        words = as_started(words)
        if not self.file.isatty() or self.columns < _LEAST_WIDTH:
            return words
        whole = _COMMAND.sub(lambda command: command[0].replace(" ", "\N{NO-BREAK SPACE}"), words)
        lines = textwrap.wrap(
            whole,
            self.columns - spare,
            initial_indent=" " * first,
            subsequent_indent=" " * later,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return "\n".join(lines)[first:].replace("\N{NO-BREAK SPACE}", " ") if lines else words

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


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
        typed: TextIO | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clock, self._log = clock, log
        self._start = clock.monotonic()
        self._out = _Stream(out or sys.stdout)
        self._err = _Stream(err or sys.stderr)
        self._in: TextIO | None = typed or sys.stdin  # None where it is closed
        if isinstance(self._in, io.TextIOWrapper):
            self._in.reconfigure(errors="replace")  # what is typed in another encoding is no answer, and no traceback
        self._line_open = False
        self._column = 0  # where an open line ends
        self._data: _Stream | None = None  # where `give` writes, while all words go to the errors
        self.failed = False  # whether an error was told
        self.differing = 0  # how often something was said to differ, and left so
        self.plans: list[tuple[str, str]] = []  # what a dry run would do, as a verb and what it is done to
        self.warnings: list[str] = []
        self.verdict: Mapping[str, Any] = {}  # how a dry run ends, for a program
        self.errors: list[dict[str, str]] = []  # message and hint

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock.monotonic() - self._start

    def step(self, title: str) -> None:
        """The next step begins."""
        self._print(f"[bold]{elapsed(self.elapsed):>6}  {escape(title)}[/]", log=title)

    def found(self, words: str) -> None:
        """Something is there already and as it should be."""
        self._below("found", "green", words, log=f"  found {words}")

    def say(self, words: str) -> None:
        """A line of information below the step."""
        indent = len(_INDENT)
        folded = "\n".join(self._out.fold(line, first=indent, later=2 * indent) for line in words.split("\n"))
        self._print(f"{_INDENT}{escape(folded)}", log=f"  {words}")

    def doing(self, verb: str, words: str) -> None:
        """A change is about to be made: the line stays open until `done`."""
        last = self._below(verb, "cyan", f"{words} …", end="", spare=len(_DONE) + 1, log=f"  {verb} {words}")
        self._column = len(last)
        self._line_open = True

    def done(self, result: str) -> None:
        """The change was made; `result` is its id, or ''."""
        self._line_open = False
        said, indent = result or _DONE, len(_INDENT) + _VERB + 1
        folded = self._out.fold(f"… {said}", first=self._column - 1, later=indent).removeprefix("…")
        self._print(escape(folded), log=f"  {said}")

    def planned(self, verb: str, words: str) -> None:
        """A dry run would do this."""
        self.plans.append((verb, words))
        self._below(f"would {verb}", "cyan", words, log=f"  would {verb} {words}")

    def but(self) -> str:
        """What "nothing to do" has to add: ", but for what the warnings name", '' where nothing was left differing."""
        return ", but for what the warnings name" if self.differing else ""

    def warn(self, words: str) -> None:
        """Something a person should know; the run goes on."""
        self._end_line()
        self.warnings.append(words)
        self._log(f"warning: {words}")
        self._complain("warning:", "magenta", words.replace("\n", "\\n"))

    def differs(self, words: str) -> None:
        """A warning of what is not as up makes it, and is left so: "nothing to do" is not the whole truth then."""
        self.differing += 1
        self.warn(words)

    def error(self, words: str, *, hint: str = "", seen: str = "") -> None:
        """Why the run ended, and what to do next; before it what a machine said of itself, as it is.

        Said even where nothing more can be written to the output.
        """
        self.failed = True
        self.errors.append({"message": words, "hint": hint})
        with contextlib.suppress(OutputLost):
            self._end_line()
        self._log("\n".join(part for part in (seen, f"error: {words}", hint) if part))
        if seen:
            self._print_error(escape(seen))
        self._complain("error:", "bold red", words)
        if hint:
            folded = [self._err.fold(line, first=0, later=0) for line in hint.splitlines()]
            self._print_error(escape("\n".join(folded)))

    def sentence(self, text: str) -> None:
        """A sentence of the summary, broken between words where the terminal is narrow."""
        self._print(escape(self._out.fold(text, first=0, later=0)), log=text)

    def line(self, text: str = "") -> None:
        """A line of the summary, as it is."""
        self._print(escape(as_started(text)), log=text)

    def labelled(self, label: str, words: str) -> None:
        """A line of the summary: a label, or '', and beside it the words, broken where the terminal is narrow."""
        text = f"  {label:<{_LABEL}}"
        folded = self._out.fold(words, first=len(text), later=len(text))
        self._print(f"{text}{escape(folded)}", log=f"{text}{words}")

    def entry(self, label: str, words: str) -> None:
        """A line of a page: a label, and beside it the words, which may be several lines."""
        indent = len(_INDENT) + _VERB
        folded = f"\n{' ' * indent}".join(
            self._out.fold(line, first=indent, later=indent + 2) for line in words.split("\n")
        )
        self._print(f"  [bold]{label:<{indent - 2}}[/]{escape(folded)}", log=f"  {label}: {words}")

    def table(self, head: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]) -> None:
        """Rows of cells, each with what is to be said below it, if anything.

        On a terminal that is narrower than the table, a row is its first cell with the others below it.
        """
        widths = [
            max(len(cells[column]) for cells in (head, *(cells for cells, _ in rows))) for column in range(len(head))
        ]
        if self._out.file.isatty() and sum(widths) + 2 * len(widths) - 2 > self._out.width:
            for (first, *others), below in rows:
                words = ", ".join(f"{name.lower()} {cell}" for name, cell in zip(head[1:], others, strict=True))
                self.line(first)
                self._indented(words)
                self._indented(below)
            return
        for cells, below in ((head, ""), *rows):
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            self.line("  ".join(padded).rstrip())
            self._indented(below)

    def _indented(self, words: str) -> None:
        if words:
            self.line(f"    {self._out.fold(words, first=4, later=4)}")

    def paragraph(self, words: str) -> None:
        """A line of a page, broken between words."""
        self.line(self._out.fold(words, first=0, later=4))

    def apart(self) -> None:
        """From now on all words go to the errors: the output is for `give` alone."""
        self._data, self._out = self._out, self._err

    def give(self, data: Mapping[str, Any]) -> None:
        """Write the one document of a run whose words go to the errors. Raises OutputLost."""
        stream = self._data or self._out
        self._data = None
        with self._output(stream):
            stream.file.write(f"{json.dumps({'format': _FORMAT, **data}, indent=2)}\n")
            stream.file.flush()

    @property
    def foretold(self) -> dict[str, Any]:
        """What a dry run has found, for a program."""
        changes = [{"verb": verb, "what": words} for verb, words in self.plans]
        return {"changes": changes, **self.verdict, "warnings": self.warnings}

    @property
    def owes(self) -> bool:
        """Whether a document is awaited on the output, and none was given."""
        return self._data is not None

    @property
    def can_ask(self) -> bool:
        """Whether somebody can read a question and answer it: at a terminal, wherever the output goes."""
        return self._in is not None and self._in.isatty() and self._err.file.isatty()

    def ask(self, about: Sequence[str], question: str) -> str | None:
        """What a person types after the question, None for the end of the input: Ctrl-D.

        It stands on stderr, below what it is about, since the output may go elsewhere. What was typed before is no
        answer to it.
        """
        if self._in is None:
            return None
        self._log("\n".join([*about, question]))
        for line in about:
            self._print_error(escape(self._err.fold(line, first=0, later=_NAMED)))
        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcflush(self._in.fileno(), termios.TCIFLUSH)
        typed = ""
        try:
            self._err.print(f"[bold]{escape(question)}[/]", end="")
            self._err.file.flush()
            typed = self._in.readline()
        finally:
            if not typed.endswith("\n"):  # the terminal's cursor is still in the line of the question
                self._print_error("")
        self._log(f"typed: {typed.strip()}")
        return typed.strip() if typed else None

    def where(self, words: str) -> None:
        """A last line on stderr, for who looks further into what failed."""
        self._print_error(escape(words))

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

    def close(self) -> None:
        """Write out what is buffered. Raises OutputLost."""
        with self._output():
            self._out.file.flush()

    def _below(self, verb: str, style: str, words: str, *, log: str, end: str = "\n", spare: int = 0) -> str:
        """A line below the step; its last line, where the terminal's width made it several."""
        gap = " " * (max(0, _VERB - len(verb)) + 1)
        first, later = len(_INDENT + verb + gap), len(_INDENT) + _VERB + 1
        folded = self._out.fold(words, first=first, later=later, spare=spare)
        self._print(f"{_INDENT}[{style}]{verb}[/]{gap}{escape(folded)}", log=log, end=end)
        return f"{' ' * first}{folded}".rpartition("\n")[2]

    def _print(self, text: str, *, log: str, end: str = "\n") -> None:
        self._end_line()
        self._log(log)
        with self._output():
            self._out.print(text, end=end)
            self._out.file.flush()

    def _end_line(self) -> None:
        if self._line_open:
            self._line_open = False
            with self._output():
                self._out.print()

    @contextlib.contextmanager
    def _output(self, stream: _Stream | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            silence((stream or self._out).file)
            raise OutputLost(error) from error

    def _complain(self, kind: str, style: str, words: str) -> None:
        indent = len(kind) + 1
        lines = words.split("\n")
        folded = "\n".join(self._err.fold(line, first=indent, later=indent) for line in lines)
        self._print_error(f"[{style}]{kind}[/] {escape(folded)}")

    def _print_error(self, text: str) -> None:
        try:
            self._err.print(text)
        except OSError:  # there is nobody to be told
            silence(self._err.file)


class _Wait:
    """One wait on the console: a spinner on a terminal, a line at its start and now and then in a pipe."""

    def __init__(self, console: Console, what: str, seconds: int, clock: Clock) -> None:
        self._console, self._what, self._seconds, self._clock = console, what, seconds, clock
        self._start = clock.monotonic()
        self._told: float | None = None
        # The dots are Braille's, the line is ASCII's.
        self._spinner = Spinner("line" if console._out.options.ascii_only else "dots", style="green")
        self._live = Live(self._spinner, console=console._out, transient=True, refresh_per_second=_FRAMES)

    def tell(self, progress: str) -> None:
        now = self._clock.monotonic()
        first = self._told is None
        text = f"{self._what}: " + (f"{progress}, " if progress else "")
        text += f"{elapsed(now - self._start)} of {elapsed(self._seconds)}"
        if self._console._out.moves:
            with self._console._output():
                self._console._end_line()
                self._spinner.update(text=Text(spelled_out(text)))
                self._live.start()
                self._live.refresh()
            self._told = now
        elif self._told is None or now - self._told >= _PLAIN_TELLS_EVERY:
            first_words = f"waiting for {self._what}, at most {elapsed(self._seconds)}"
            self._console.say(first_words if first else f"waiting for {text}")
            self._told = now

    def end(self) -> None:
        with self._console._output():
            self._live.stop()
        if self._told is not None:
            self._console.say(f"waited  {elapsed(self._clock.monotonic() - self._start)} for {self._what}")
