"""Whose credentials a run has: the AWS command's own way to find them, and one line for all that can go wrong on it.

A session is botocore's, with two differences that the AWS command has as well: the session of a role is kept in
~/.aws/cli/cache, so that an MFA code is asked for once by both, and nobody is asked for one without a terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.credentials
import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    HTTPClientError,
    InfiniteLoopConfigError,
    InvalidConfigError,
    MissingDependencyException,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    UnknownCredentialError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.utils import JSONFileCache

from lib.run.errors import CredentialsError, SettingError
from lib.settings.layers import expand

if TYPE_CHECKING:
    from lib.settings.layers import Layers

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# botocore reads both, in this order (configprovider.py).
_PROFILE = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
# The AWS command prefers the first; botocore reads the second only.
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
_MEND = (
    ConfigNotFound,
    ConfigParseError,
    InfiniteLoopConfigError,
    InvalidConfigError,
    PartialCredentialsError,
    UnknownCredentialError,
)
_LONGEST = 300  # characters of a program's own words


class _NoTerminal(Exception):
    """A code must be typed, and there is nobody to type it."""

    def __init__(self) -> None:
        super().__init__("it asks for an MFA code, and there is no terminal to type it on")


@dataclass(frozen=True)
class Source:
    """Where the credentials come from: their kind, and the profile's name, '' for none.

    `kind` is environment, sso, login, process, role, mfa, keys or none. `login` is the profile that is logged in with:
    of a role its source. `program` is a process's name without its arguments, which may be secret. `files` are the
    configuration's, as a person finds them.
    """

    kind: str = "none"
    profile: str = ""
    login: str = ""
    program: str = ""
    files: str = "~/.aws/config or ~/.aws/credentials"

    def __str__(self) -> str:
        words = {
            "environment": "AWS_ACCESS_KEY_ID in the environment",
            "sso": "IAM Identity Center",
            "login": "aws login",
            "process": f"credential_process {self.program}",
            "role": "a role",
            "mfa": "a role with MFA",
            "keys": "access keys",
        }.get(self.kind, "")
        if not self.profile:
            return words
        return f"profile {self.profile}{f' ({words})' if words else ''}"

    @property
    def renew(self) -> str:
        """What to type, or do, for credentials that are good."""
        option = f" --profile {shlex.quote(self.login)}" if self.login not in ("", "default") else ""
        return {
            "environment": "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew, "
            "or unset them and set AWS_PROFILE",
            "sso": f"aws sso login{option}",
            "login": f"aws login{option}",
            "process": f"run {self.program} by hand: it must print JSON with Version 1 and the keys",
            "role": f"aws sts get-caller-identity{option} must work first",
            "mfa": f"aws sts get-caller-identity{option} must work first",
            "keys": f"aws configure{option}",
        }.get(self.kind, "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run aws configure")


class Credentials:
    """The credentials of one run: of the environment, or of the profile that it or KUBE_CONFIG_FILE names."""

    def __init__(self, *, environ: Mapping[str, str], file: Mapping[str, str]) -> None:
        self._environ = environ
        self.session = botocore.session.Session(profile=file.get("AWS_PROFILE", "").strip() or None)
        cache: Any = {}
        with contextlib.suppress(SettingError):  # nobody's home: then nothing is kept
            cache = _Cache(expand("~/.aws/cli/cache", environ=environ))
        self.session.register_component("credential_provider", _Chain(self.session, cache))

    def get(self) -> Any:
        """Keys that are good now, None where nobody has any. Raises CredentialsError.

        A session that is about to end is made anew here, not while a call is signed: what that raises is known here.
        """
        try:
            found = self.session.get_credentials()
            return found.get_frozen_credentials() if found else None
        except Exception as error:  # botocore lets through what reading a file or a helper's words raises
            raise explain_credentials(error, self.source) from error

    @property
    def source(self) -> Source:
        """Where they come from, as far as the configuration can be read."""
        named = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
        files = " or ".join(self._environ.get(name) or usual for name, usual in named.items())
        return dataclasses.replace(self._source(), files=files)

    def _source(self) -> Source:
        chosen = self.session.instance_variables().get("profile")
        if not chosen and self._environ.get("AWS_ACCESS_KEY_ID"):
            return Source("environment")
        named = chosen or next((self._environ[name] for name in _PROFILE if self._environ.get(name)), "")
        try:
            profiles: Mapping[str, Mapping[str, str]] = self.session.full_config.get("profiles", {})
        except BotoCoreError:
            return Source(profile=named)
        found = _of_profile(profiles, named or "default")
        return found if named or found.kind != "none" else Source()

    def region(self) -> tuple[str, str]:
        """The region that environment or profile name, and where it stands; two empty texts for none.

        Raises CredentialsError for a profile that is not there or a file that cannot be read.
        """
        for name in _REGION:
            if said := self._environ.get(name, "").strip():
                return said, name
        try:
            said = str(self.session.get_scoped_config().get("region", "")).strip()
        except BotoCoreError as error:
            raise explain_credentials(error, self.source) from error
        return said, f"the region of profile {self.session.profile or 'default'}" if said else ""


class _Chain:
    """botocore's chain of providers, with a cache, and with a prompt that needs a terminal."""

    def __init__(self, session: botocore.session.Session, cache: Any) -> None:
        self._session, self._cache = session, cache

    def load_credentials(self) -> Any:
        """The credentials of the first provider that has some, None where none has."""
        chain = botocore.credentials.create_credential_resolver(self._session, cache=self._cache)
        roles: Any = chain.get_provider("assume-role")
        roles._prompter = _ask  # botocore has no other way to it
        return chain.load_credentials()


class _Cache(JSONFileCache):
    """The AWS command's cache of roles' sessions. Where it cannot be written, no session is kept."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._folder = folder

    def __setitem__(self, cache_key: str, value: Any) -> None:
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            super().__setitem__(cache_key, value)
        except OSError:
            return


def _ask(prompt: str) -> str:
    """What is typed at the terminal, wherever standard input comes from. Raises _NoTerminal without one."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise _NoTerminal from None
    return getpass.getpass(prompt)


def _of_profile(profiles: Mapping[str, Mapping[str, str]], name: str) -> Source:
    """A profile's kind; of a role, that of the profile behind it where that is one to log in with."""
    seen, here, role = set[str](), name, ""
    while (it := profiles.get(here, {})).get("role_arn") and here not in seen:
        seen.add(here)
        role = "mfa" if role == "mfa" or "mfa_serial" in it else "role"
        if "source_profile" not in it:
            return Source(role, name, name)
        here = it["source_profile"]
    if "sso_session" in it or "sso_start_url" in it:
        return Source("sso", name, here)
    if "login_session" in it:
        return Source("login", name, here)
    if "credential_process" in it:
        return Source("process", name, here, program=(it["credential_process"].split() or ["(empty)"])[0])
    if role:
        return Source(role, name, name)
    return Source("keys" if "aws_access_key_id" in it else "none", name, name)


# --- KUBE_CONFIG_FILE


def check_file(layers: Layers) -> None:
    """Raises SettingError for a variable of AWS's in KUBE_CONFIG_FILE that nothing would read there.

    AWS_PROFILE counts there, unless the environment has other credentials: which are meant is not guessed.
    """
    for name in layers.file:
        if name.startswith("AWS_") and name not in layers.defaults and name != "AWS_PROFILE":
            right = "set KUBE_AWS_ZONE there" if name in _REGION else "set it in the environment"
            right += ", or AWS_PROFILE in the file" if name.startswith(_KEYS) else ""
            raise SettingError(name, "is read from the environment only, not from KUBE_CONFIG_FILE", right)
    wanted, there = layers.file.get("AWS_PROFILE", "").strip(), layers.environment
    for name in (*_PROFILE, *_KEYS):
        if wanted and there.get(name) and there[name] != wanted:
            has = f"{name}={there[name]}" if name in _PROFILE else name
            problem = f"KUBE_CONFIG_FILE has {wanted}, and the environment has {has}"
            raise SettingError("AWS_PROFILE", problem, f"unset {name}, or take AWS_PROFILE out of the file")


# --- words


def explain_credentials(error: BaseException, source: Source) -> CredentialsError:
    """One line for what kept the credentials from being had, and what to do."""
    of = f" of {source}" if str(source) else ""
    return CredentialsError(f"AWS credentials{of}: {_words(error, source)}", hint=_what_to_do(error, source))


def _words(error: BaseException, source: Source) -> str:
    if isinstance(error, EOFError):
        return "no MFA code was typed"
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    if isinstance(error, json.JSONDecodeError | AttributeError | TypeError) and source.kind == "process":
        return "what it printed is not the JSON that it must print"  # and may be a secret
    words = " ".join(str(error).split())[:_LONGEST]
    return words if isinstance(error, BotoCoreError | ClientError | _NoTerminal) else f"{type(error).__name__} {words}"


def _what_to_do(error: BaseException, source: Source) -> str:
    again = "then run the same command again"
    if isinstance(error, _NoTerminal):
        return f"{source.renew}, on a terminal: its session is kept and counts here too; {again}"
    if isinstance(error, EOFError):
        return "run the same command again, and type the code of the MFA device"
    if isinstance(error, RefreshWithMFAUnsupportedError):
        return "the role's session has ended: run the same command again, and type a new MFA code"
    if isinstance(error, ProfileNotFound) and not error.kwargs.get("profile"):
        return f"unset AWS_PROFILE or AWS_DEFAULT_PROFILE, whichever is empty; {again}"
    if isinstance(error, PartialCredentialsError) and error.kwargs.get("provider") == "env":
        return f"set both {' and '.join(_KEYS)} in the environment, or neither; {again}"
    if isinstance(error, ProfileNotFound):
        return "aws configure list-profiles names those that there are"
    if isinstance(error, _MEND):
        return f"mend that in {source.files}; {again}"
    if isinstance(error, MissingDependencyException):
        return f"python3 -m pip install 'botocore[crt]', or take another profile; {again}"
    if isinstance(error, HTTPClientError | NoConnection):
        return f"check the network; {again}"
    return f"{source.renew}; {again}"
