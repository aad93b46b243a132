"""What both scripts share: flags, help, the console, AWS, and the one table of exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lib import runlog
from lib.aws import FAILURES, Aws, Clock, Waits, explain
from lib.config import Config, Layers, read_layers, resolve
from lib.console import Console
from lib.errors import KubeError, SettingError
from lib.options import help_text, obsolete_warnings, settings_table, unread_warnings
from lib.runlog import RunLog

DONE, REFUSED, WRONG_SETTING, WOULD_CHANGE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143


@dataclass(frozen=True)
class Flags:
    """The command line."""

    dry_run: bool = False
    keep_disk: bool = False
    show_settings: bool = False


class _Terminated(BaseException):
    """SIGTERM came."""


Body = Callable[[Aws, Layers, Flags], None]


def run(
    script: str,
    body: Body,
    *,
    argv: Sequence[str],
    environ: Mapping[str, str],
    clock: Clock,
    show: Callable[[Aws, Layers], tuple[Layers, Config]],
) -> int:
    """Run a script's body and return its exit status. All that it may raise ends here, in a line and perhaps a hint."""
    console = Console(clock)
    try:
        flags = _parse(script, argv)
        if flags is None:
            width = min(shutil.get_terminal_size().columns, 100)
            console.line(help_text(script, width).rstrip())
            return DONE
        with _sigterm(), runlog.opened(script, environ) as log:
            console = Console(clock, log=log.line)
            status = _run_body(body, console, log, flags, environ=environ, clock=clock, show=show)
            if status in (REFUSED, INTERRUPTED, TERMINATED) and log.path:
                console.where(f"all calls of this run: {log.path}")
            return status
    except SettingError as wrong:
        console.error(str(wrong), hint=wrong.hint)
        return WRONG_SETTING
    except BrokenPipeError:
        return REFUSED


def _run_body(
    body: Body,
    console: Console,
    log: RunLog,
    flags: Flags,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    show: Callable[[Aws, Layers], tuple[Layers, Config]],
) -> int:
    layers = read_layers(environ)
    for warning in (*obsolete_warnings(layers), *unread_warnings(layers)):
        console.warn(warning)
    config = resolve(layers, check=False)  # what is remembered may yet change what does not fit
    aws: Aws | None = None
    try:
        aws = Aws(
            config.region,
            console=console,
            clock=clock,
            waits=Waits(make=config.kube_wait_aws_seconds, remove=config.kube_wait_delete_seconds),
            dry_run=flags.dry_run,
            log=log,
        )
        if flags.show_settings:
            _show_settings(console, *show(aws, layers))
            return DONE
        body(aws, layers, flags)
        return WOULD_CHANGE if flags.dry_run and aws.changes else DONE
    except KubeError as error:
        console.error(str(error), hint=error.hint)
        # A setting refused half-way is no longer one refused before anything was changed.
        return REFUSED if aws and aws.changes else error.exit_code
    except FAILURES as error:
        explained = explain(error)
        console.error(str(explained), hint=explained.hint)
        return REFUSED
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        console.error(f"this computer: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return REFUSED
    except KeyboardInterrupt:
        _say_stopped(console, "Ctrl-C", aws)
        return INTERRUPTED
    except _Terminated:
        _say_stopped(console, "SIGTERM", aws)
        return TERMINATED


def _say_stopped(console: Console, why: str, aws: Aws | None) -> None:
    made = ", ".join(aws.made) if aws and aws.made else "nothing"
    console.error(
        f"stopped by {why}. Made in this run: {made}",
        hint="all that exists stays; the same command again goes on from there, and kube_down.py removes it",
    )


def _parse(script: str, argv: Sequence[str]) -> Flags | None:
    """The flags, None for --help. Raises SettingError for what is none."""
    parser = _Parser(prog=script, add_help=False, allow_abbrev=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--show-settings", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    if script == "kube_down.py":
        parser.add_argument("--keep-disk", action="store_true")
    found = parser.parse_args(list(argv))
    if found.help:
        return None
    return Flags(dry_run=found.dry_run, show_settings=found.show_settings, keep_disk=getattr(found, "keep_disk", False))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(self.prog, message, "options are environment variables; --help lists them")


def _show_settings(console: Console, layers: Layers, config: Config) -> None:
    for row in settings_table(layers, config):
        console.line(f"{row.name}={row.value}  ({row.source})")


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a temporary file is not left and the person is told."""

    def stop(*_: object) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: a test
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
