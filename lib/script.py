"""What both scripts share: flags, help, the console, AWS, and the one table of exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lib import listing, status
from lib.aws.changes import Waits
from lib.aws.client import Aws
from lib.aws.credentials import Credentials, check_file
from lib.aws.errors import FAILURES
from lib.aws.explain import explain
from lib.plan import show_settings
from lib.run import runlog
from lib.run.clock import Clock
from lib.run.console import Console
from lib.run.errors import KubeError, OutputLost, SettingError, gathered, raise_all
from lib.run.runlog import RunLog
from lib.run.stops import Stopped, stopping
from lib.settings import rules
from lib.settings.config import Config
from lib.settings.helptext import FLAGS, help_text
from lib.settings.layers import Layers, read_layers
from lib.settings.options import settings_table, unread
from lib.settings.resolve import resolve

DONE, REFUSED, WOULD_CHANGE, INTERRUPTED = 0, 1, 3, 130  # 2 is a SettingError's own, a signal's in lib/run/stops.py
_JSON = "json"
_REST = "the same command again removes the rest"
_GOES_ON = "all that exists stays; the same command again goes on from there, and kube_down.py removes it"


@dataclass(frozen=True)
class Flags:
    """The command line. `help` is what --help is asked about, '' for the first screen, None where it is not asked."""

    help: str | None = None
    dry_run: bool = False
    keep_disk: bool = False
    yes: bool = False
    stop: bool = False
    show_settings: bool = False
    list: bool = False
    status: bool = False
    output: str = "text"


Body = Callable[[Aws, Layers, Flags], None]


class _Run:
    """One run: its console, and AWS once there is a client of it."""

    def __init__(self, clock: Clock, *, removes: bool) -> None:
        self.clock, self._removes = clock, removes
        self.log = RunLog()
        self.console = Console(clock, log=lambda words: self.log.line(words))
        self.aws: Aws | None = None

    @property
    def made(self) -> str:
        """What was made so far, in words."""
        return ", ".join(self.aws.made) if self.aws and self.aws.made else "nothing"

    def stopped(self, stop: BaseException) -> tuple[str, str]:
        """What had been done when the run was stopped, and what to do next."""
        notes = getattr(stop, "__notes__", [])
        if notes:
            return " ".join(notes), _REST
        return ("Nothing was removed", "") if self._removes else (f"Made in this run: {self.made}", _GOES_ON)

    def foretold(self, error: KubeError) -> str:
        """The error in words: what ends a dry run would end the run, too."""
        dry = self.aws is not None and self.aws.dry_run and error.exit_code == REFUSED
        return f"this would fail: {error}" if dry else str(error)

    def has_changed(self) -> bool:
        """Whether something was changed; a dry run changes nothing."""
        return self.aws is not None and self.aws.changes > 0 and not self.aws.dry_run


def run(
    script: str,
    body: Body,
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    clock: Clock = time,
    ends: bool = False,
) -> int:
    """Run a script's body; returns its exit status: 0, 1, 2, 3, 129, 130 or 143 (README.md lists them).

    All that the body may raise ends here, in a line and perhaps a hint.

    `ends`: the process ends after this.
    """
    _open_standard_streams()
    this = _Run(clock, removes=script == "kube_down.py")
    try:
        with stopping(ends=ends):
            code = _told(this, lambda: _run(this, script, body, argv=argv, environ=environ))
            if this.console.owes:
                with contextlib.suppress(OutputLost):
                    this.console.give({"errors": this.console.errors})
            if this.log.path and this.console.failed and (code == REFUSED or this.has_changed()):
                this.console.where(f"all calls of this run: {this.log.path}")
            return code
    except Stopped as stop:  # in the instant before or after
        return stop.status


def _open_standard_streams() -> None:
    """Where standard input, output or errors are closed, they go nowhere, and no file that is opened takes their place.

    Else what a program that we run says could end up in a file of ours.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _told(this: _Run, run_it: Callable[[], int]) -> int:
    """The exit status, after a person was told how the run ended. The table of design and README."""
    console = this.console
    try:
        code = run_it()
        console.close()
        return code
    except OutputLost as lost:
        if this.has_changed() or not lost.reader_went:  # `--help | head` is no trouble
            words, hint = this.stopped(lost) if this.has_changed() else ("", "")
            console.error(f"{lost}{f'. {words}' if words else ''}", hint=hint)
        return REFUSED
    except KubeError as error:
        console.error(this.foretold(error), hint=error.hint, seen=error.seen)
        for other in error.others if isinstance(error, SettingError) else ():
            console.error(str(other))
        # A setting refused half-way is no longer one refused before anything was changed.
        return REFUSED if this.has_changed() else error.exit_code
    except FAILURES as error:
        explained = this.aws.explain(error) if this.aws else explain(error)
        console.error(this.foretold(explained), hint=explained.hint)
        return REFUSED
    except OSError as error:
        console.error(f"this computer: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return REFUSED
    except Stopped as stop:
        words, hint = this.stopped(stop)
        console.error(f"stopped by {stop}. {words}", hint=hint)
        return stop.status
    except KeyboardInterrupt as stop:
        words, hint = this.stopped(stop)
        console.error(f"stopped by Ctrl-C. {words}", hint=hint)
        return INTERRUPTED


def _run(this: _Run, script: str, body: Body, *, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    console = this.console
    flags = _parse(script, argv)
    if flags.help is not None:
        width = min(shutil.get_terminal_size().columns, 100)
        console.line(help_text(script, width, topic=flags.help).rstrip())
        return DONE
    if flags.output == _JSON:
        console.apart()
    this.log = runlog.new_log(script, environ)
    layers = read_layers(environ)
    warnings, wrong = unread(layers)
    for warning in warnings:
        console.warn(warning)
    if refused := gathered(lambda: check_file(layers)):
        raise_all([*wrong, *refused])
    credentials = Credentials(environ=environ, file=layers.file)
    region, where = credentials.region()
    layers = _in_region(layers, region, where)
    raise_all([*wrong, *gathered(lambda: resolve(layers, check=False))])
    config = resolve(layers, check=False)  # what is remembered may yet change what does not fit
    aws = this.aws = Aws(
        config.region,
        credentials=credentials,
        console=console,
        clock=this.clock,
        waits=Waits(make=config.kube_wait_aws_seconds, remove=config.kube_wait_delete_seconds),
        dry_run=flags.dry_run,
        log=this.log,
        environ=environ,
    )
    if flags.show_settings:
        _say_settings(console, *show_settings(aws, layers))
        return DONE
    if flags.list:
        listing.show_clusters(aws, config)
        return DONE
    if flags.status:
        answers = status.show_status(aws, layers, trial=lambda onlooker: body(onlooker, layers, Flags(dry_run=True)))
        return DONE if answers else REFUSED
    _tell_region(console, layers, config, region, where)
    body(aws, layers, flags)
    if flags.output == _JSON:
        console.give({"cluster": status.which_cluster(aws, config), **console.foretold})
    return WOULD_CHANGE if flags.dry_run and aws.changes else DONE


def _in_region(layers: Layers, region: str, where: str) -> Layers:
    """The layers with the default zone in the region that is set, if one is. SettingError for what is no region."""
    if not region or layers.asked("KUBE_AWS_ZONE"):
        return layers
    return layers.in_region(rules.region(where, region), where=where)


def _tell_region(console: Console, layers: Layers, config: Config, region: str, where: str) -> None:
    """Say where KUBE_AWS_ZONE is in another region than environment or profile, or where nobody chose one."""
    if layers.asked("KUBE_AWS_ZONE"):
        if region not in ("", config.region):
            console.warn(f"KUBE_AWS_ZONE={config.kube_aws_zone} counts, not {region}, which is {where}")
    elif not region:
        console.say(f"neither KUBE_AWS_ZONE nor a region is set: it is {config.kube_aws_zone}, the default")


def _parse(script: str, argv: Sequence[str]) -> Flags:
    """The flags. Raises SettingError for what is none."""
    parser = _Parser(prog=script, add_help=False, allow_abbrev=False)
    parser.add_argument("--help", "-h", nargs="?", const="")
    parser.add_argument("--show-settings", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    if script == "kube_up.py":
        parser.add_argument("--stop", action="store_true")
    parser.add_argument("--output", choices=["text", _JSON], default="text")
    if script == "kube_down.py":
        parser.add_argument("--keep-disk", action="store_true")
        parser.add_argument("--yes", action="store_true")
    else:
        parser.add_argument("--list", action="store_true")
        parser.add_argument("--status", action="store_true")
    found, unknown = parser.parse_known_args(list(argv))
    if unknown:
        raise SettingError(script, f"unrecognized arguments: {' '.join(unknown)}", _right(script, unknown))
    flags = Flags(**vars(found))
    if flags.help is None:
        _refuse_at_once(script, flags)
    return flags


def _refuse_at_once(script: str, flags: Flags) -> None:
    """Raises SettingError for flags of which each is a run of its own, and for a document of a run that gives none."""
    runs = {"--list": flags.list, "--status": flags.status, "--dry-run": flags.dry_run}
    asked = [name for name, is_asked in (*runs.items(), ("--show-settings", flags.show_settings)) if is_asked]
    if len(asked) > 1:
        raise SettingError(script, f"{' and '.join(asked)} are asked for at once", "give one of them")
    if flags.output == _JSON and not runs.keys() & set(asked):
        givers = "--dry-run" if script == "kube_down.py" else "--list, --status and --dry-run"
        raise SettingError(script, "--output json", f"it goes with {givers}")


def _right(script: str, unknown: Sequence[str]) -> str:
    """What to type in place of arguments that are none."""
    settings = [word for word in unknown if re.match(r"[A-Z][A-Z0-9_]*=", word)]
    near = difflib.get_close_matches(unknown[0], [flag.name for flag in FLAGS[script]], n=1)
    if settings:
        return f"options stand before the command: {shlex.join(settings)} python {script}"
    return f"did you mean {near[0]}?" if near else "options are environment variables; --help lists them"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(self.prog, message, "options are environment variables; --help lists them")


def _say_settings(console: Console, layers: Layers, config: Config) -> None:
    for row in settings_table(layers, config):
        console.line(f"{row.name}={row.value}  ({row.source})")
