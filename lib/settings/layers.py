"""The layers that settings come from. No other module reads the environment.

The first that has a name wins: the environment, the file that KUBE_CONFIG_FILE names, what is remembered of the cluster
(settings.env in its bucket), and config-default.env. A name that is there but empty takes the default, as in shell.
"""

from __future__ import annotations

import functools
import io
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from lib.run.errors import SettingError, raise_all
from lib.run.files import read_file
from lib.settings import rules
from lib.settings.config import OPTIONS
from lib.settings.defaults import DEFAULTS

_LONGEST_FILE = 1_000_000  # bytes of KUBE_CONFIG_FILE
Source = Literal["environment", "KUBE_CONFIG_FILE", "remembered", "default"]


@dataclass(frozen=True, slots=True)
class Layers:
    """Where settings come from, each name with its text. `environment` is the whole environment, so never printed."""

    environment: Mapping[str, str] = field(repr=False)
    file: Mapping[str, str]
    defaults: Mapping[str, str]
    remembered: Mapping[str, str] = field(default_factory=dict)
    zone_from: str = ""  # what names the region of the default zone, where something does
    remembered_in: str = ""  # where what is remembered stands

    def with_remembered(self, values: Mapping[str, str], *, place: str = "") -> Layers:
        """The same layers with what is remembered of the cluster, in the object `place`.

        Names that never are remembered are left out.
        """
        kept = {name: text for name, text in values.items() if name in self.defaults and _may_be_remembered(name)}
        return replace(self, remembered=kept, remembered_in=place or self.remembered_in)

    def without_remembered(self, name: str) -> Layers:
        """The same layers as if nothing were remembered of one option."""
        return replace(self, remembered={key: text for key, text in self.remembered.items() if key != name})

    def in_region(self, region: str, *, where: str) -> Layers:
        """The same layers with the default zone in a region that `where` names: its first, as us-west-2a is."""
        defaults = {**self.defaults, "KUBE_AWS_ZONE": f"{region}a"}
        return replace(self, defaults=defaults, zone_from=where)

    def source(self, name: str) -> Source:
        """The layer that an option's value comes from."""
        return self._find(name)[0]

    def value(self, name: str) -> str:
        """The text of an option, '' if it is computed. KeyError for a name that is no option."""
        return self._find(name)[1]

    def asked(self, name: str) -> str | None:
        """What environment or file say of an option now, '' for the default; None if they are silent.

        A run about one more group takes nothing back of what all groups share: '' is silence there.
        """
        layer = self.environment if name in self.environment else self.file
        text = layer[name].strip() if name in layer else None
        if text == "" and OPTIONS[name].of_all_groups and self.value("KUBE_USE_EXISTING_MASTER").lower() == "true":
            return None
        return text

    def user_set(self) -> dict[str, str]:
        """What environment, file and memory set to something, of all that may be remembered.

        In a run with KUBE_USE_EXISTING_MASTER only what was remembered before: such a run is about one more group.
        """
        if self.value("KUBE_USE_EXISTING_MASTER").lower() == "true":
            return dict(self.remembered)
        names = (name for name in self.defaults if _may_be_remembered(name) and self.source(name) != "default")
        return {name: self.value(name) for name in names}

    def _find(self, name: str) -> tuple[Source, str]:
        default = self.defaults[name]
        text = self.asked(name)
        if text is not None:
            source: Source = "environment" if name in self.environment else "KUBE_CONFIG_FILE"
        else:
            source, text = "remembered", self.remembered.get(name, "")
        return (source, text) if text else ("default", default)


def _may_be_remembered(name: str) -> bool:
    return OPTIONS[name].remembered != "never"


def read_layers(environ: Mapping[str, str], *, defaults: Path = DEFAULTS) -> Layers:
    """The layers of a run, without what is remembered. SettingError for a KUBE_CONFIG_FILE that cannot be read.

    And for an option that stands in config-default.env and is not declared in lib/settings/config.py, or the reverse.
    """
    default = read_env(defaults.read_text(encoding="utf-8"))
    raise_all(_halves(default))
    named = environ.get("KUBE_CONFIG_FILE", "").strip()
    file = _read_config_file(expand(rules.plain_path("KUBE_CONFIG_FILE", named), environ=environ)) if named else {}
    return Layers(environment=dict(environ), file=file, defaults=default)


def _halves(defaults: Mapping[str, str]) -> list[SettingError]:
    """What is wrong where config-default.env and lib/settings/config.py have not the same options."""
    bare = [name for name in defaults if name not in OPTIONS]
    lacking = [name for name in OPTIONS if name not in defaults]
    return [
        *(SettingError(n, "is in config-default.env only", "declare it in lib/settings/config.py too") for n in bare),
        *(
            SettingError(
                n, "is declared in lib/settings/config.py only", "give it default and help in config-default.env"
            )
            for n in lacking
        ),
    ]


def read_env(text: str) -> dict[str, str]:
    """NAME=value lines as a mapping; nothing is expanded, a name without = counts as empty."""
    return dict(_read_env(text))


@functools.lru_cache(maxsize=16)  # a run reads its own files a dozen times
def _read_env(text: str) -> tuple[tuple[str, str], ...]:
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return tuple((name, value or "") for name, value in values.items())


def _read_config_file(path: str) -> dict[str, str]:
    try:
        content = read_file(path, most=_LONGEST_FILE)
        if len(content) > _LONGEST_FILE:
            problem = f"{rules.shown(path)} has more than {_LONGEST_FILE} bytes"
            raise SettingError("KUBE_CONFIG_FILE", problem, "name a file of NAME=value lines")
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()  # with the line ends of any system
    except OSError as error:
        problem = f"cannot read {rules.shown(path)}: {error.strerror}"
        raise SettingError("KUBE_CONFIG_FILE", problem, "name a file of NAME=value lines") from None
    except UnicodeDecodeError:
        problem = f"{rules.shown(path)} is not text in UTF-8"
        raise SettingError("KUBE_CONFIG_FILE", problem, "name a file of NAME=value lines") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            problem = f"line {binding.original.line} of {rules.shown(path)} is not NAME=value"
            raise SettingError("KUBE_CONFIG_FILE", problem, "it is read as plain settings, not as shell")
    return read_env(text)


def expand(path: str, *, environ: Mapping[str, str]) -> str:
    """The path with a leading ~ replaced by HOME, or by the password database's directory where HOME is not set.

    SettingError where neither knows one.
    """
    if path != "~" and not path.startswith("~/"):
        return path
    try:
        return (environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir) + path[1:]
    except KeyError:
        problem = f"is not set, and user {os.getuid()} has no home directory"
        raise SettingError("HOME", problem, "set it, or give paths without ~") from None
