"""Credentials, as people have them: whatever is wrong with them is one line that says whose they are and what to type.

The exceptions are those that botocore's own sources raise or name where they look for credentials; the codes are AWS's.
"""

from __future__ import annotations

import ast
import email.utils
import hashlib
import inspect
import json
import os
import pty
import re
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.configloader
import botocore.configprovider
import botocore.credentials
import botocore.exceptions
import botocore.session
import botocore.tokens
import pytest
from conftest import Box, Result
from helpers import answer_with, must, refused, refused_untouched
from spread import spread

from lib.settings.layers import read_layers
from lib.settings.options import unread
from sandbox.backend.wire import result_answer
from sandbox.calls import Answer, Call, Refusal, refusal_answer

ROOT = Path(__file__).resolve().parent.parent
BOTH = pytest.mark.parametrize("script", ["up", "down"])


def configure(box: Box, config: str, credentials: str = "", *, keep_keys: bool = False) -> None:
    """Give the user AWS's two files, and take the sandbox's keys out of the environment."""
    (box.home / ".aws").mkdir(exist_ok=True)
    for name, file, text in (
        ("AWS_CONFIG_FILE", "config", config),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", credentials),
    ):
        (box.home / ".aws" / file).write_text(text)
        box.environ[name] = str(box.home / ".aws" / file)
    if not keep_keys:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            box.environ[name] = ""


def run(box: Box, script: str, **settings: object) -> Result:
    result: Result = getattr(box, script)(**settings)
    return result


def one_line(box: Box, result: Result, *words: str) -> str:
    """What was said: an error of one line and a hint of one, status 1, and nothing was tried."""
    said = refused_untouched(box, result, 1, *words)
    assert len(said.splitlines()) == 2, said
    assert len(said) < 700, said
    return said


KEYS = "[base]\naws_access_key_id = sandbox\naws_secret_access_key = sandbox\n"
PROFILES = {
    "sso": (
        "[profile x]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n"
        "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
        "profile x (IAM Identity Center)",
        "aws sso login --profile x; then",
    ),
    "sso of before": (
        "[profile x]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = Admin\n",
        "profile x (IAM Identity Center)",
        "aws sso login --profile x; then",
    ),
    "a role behind sso": (
        "[profile x]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = people\n"
        "[profile people]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n"
        "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
        "profile x (IAM Identity Center)",
        "aws sso login --profile people; then",
    ),
    "a process that prints a sentence": (
        "[profile x]\ncredential_process = echo Please log in first --secret=hunter2\n",
        "profile x (credential_process echo): what it printed is not the JSON that it must print",
        "run echo by hand",
    ),
    "a process that prints a list": (
        "[profile x]\ncredential_process = echo '[]'\n",
        "is not the JSON that it must print",
        "run echo by hand",
    ),
    "a process of another version": (
        "[profile x]\ncredential_process = echo '{\"Version\": 2}'\n",
        "Unsupported version",
        "run echo by hand",
    ),
    "a process that fails": (
        "[profile x]\ncredential_process = ls /no/such/folder\n",
        "No such file or directory",
        "run ls by hand",
    ),
    "a process that is not there": (
        "[profile x]\ncredential_process = /no/such/program --for x\n",
        "No such file or directory: /no/such/program",
        "run /no/such/program by hand",
    ),
    "a process with half a quote": (
        "[profile x]\ncredential_process = echo 'x\n",
        "No closing quotation",
        "run echo by hand",
    ),
    "a source that is not there": (
        "[profile x]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = gone\n",
        "gone",
        "/.aws/config or /",
    ),
    "roles in a circle": (
        "[profile x]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = y\n"
        "[profile y]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = x\n",
        "profile x (a role)",
        "/.aws/config or /",
    ),
    "half a pair of keys": (
        "[profile x]\naws_access_key_id = AKIA\n",
        "aws_secret_access_key",
        "/.aws/config or /",
    ),
    "no profile of that name": ("[profile other]\n", "(x)", "aws configure list-profiles"),
    "a file that is none": ("this is no configuration\n", "profile x", "/.aws/config or /"),
    "a token that is not there": (
        "[profile x]\nrole_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = /no/such/token\n",
        "No such file or directory: /no/such/token",
        "aws sts get-caller-identity --profile x must work first",
    ),
    "nothing in it": ("[profile x]\noutput = json\n", "", "set AWS_PROFILE, or AWS_ACCESS_KEY_ID"),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("what", PROFILES)
def test_a_profile_that_gives_no_credentials(sandbox: Box, script: str, what: str) -> None:
    config, words, hint = PROFILES[what]
    configure(sandbox, config)
    said = one_line(sandbox, run(sandbox, script, AWS_PROFILE="x"), "AWS credentials", words, hint)
    assert "hunter2" not in said
    assert sandbox.calls == []


@BOTH
def test_half_a_pair_in_the_environment_is_mended_there(sandbox: Box, script: str) -> None:
    result = run(sandbox, script, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="")
    said = one_line(sandbox, result, "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")
    assert "~/.aws" not in said


@BOTH
def test_an_empty_aws_profile_is_named(sandbox: Box, script: str) -> None:
    one_line(sandbox, run(sandbox, script, AWS_PROFILE=""), "unset AWS_PROFILE")


@BOTH
def test_a_configuration_elsewhere_is_named_by_its_path(sandbox: Box, script: str) -> None:
    path = sandbox.home / "elsewhere"
    path.write_text("this is no configuration\n", encoding="utf-8")
    one_line(sandbox, run(sandbox, script, AWS_CONFIG_FILE=path), f"mend that in {path} or ")


def test_an_sso_token_that_has_expired(sandbox: Box) -> None:
    configure(sandbox, PROFILES["sso"][0])
    cache = sandbox.home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "t", "expiresAt": "2020-01-01T00:00:00Z", "region": "us-east-1"}
    (cache / f"{hashlib.sha1(b'corp').hexdigest()}.json").write_text(json.dumps(token))
    one_line(sandbox, run(sandbox, "down", AWS_PROFILE="x"), "aws sso login --profile x")


# --- whatever botocore's chain can raise


def _named_in(module: Any) -> set[str]:
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    imported = {each.name for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names}
    return imported | {node.id for node in nodes if isinstance(node, ast.Name)}


def _all_of_botocores() -> dict[str, type[Exception]]:
    """The exceptions that the modules which look for credentials name."""
    modules = (botocore.credentials, botocore.tokens, botocore.session, botocore.configloader, botocore.configprovider)
    named = sorted(set().union(*map(_named_in, modules)))  # the same order for every worker of a run
    found = {name: getattr(botocore.exceptions, name, None) for name in named}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Exception)}


def _raised(kind: type[Exception]) -> Exception:
    if kind is botocore.exceptions.ClientError:
        return botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
    if issubclass(kind, botocore.exceptions.BotoCoreError):
        fields = [name for _, name, _, _ in string.Formatter().parse(getattr(kind, "fmt", "")) if name]
        return kind(**dict.fromkeys(fields, "this"))
    return kind("this")


BOTOCORES = _all_of_botocores()
OTHERS: dict[str, Exception] = {
    type(error).__name__: error
    for error in (
        EOFError(),
        FileNotFoundError(2, "No such file or directory", "/x"),
        PermissionError(13, "Permission denied", "/x"),
        json.JSONDecodeError("Expecting value", "secret", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        KeyError("Credentials"),
        RuntimeError("the refreshed credentials are still expired"),
        TypeError("x"),
        AttributeError("x"),
        ValueError("No closing quotation"),
        RecursionError("x"),
    )
}
KINDS = [
    "[default]\naws_access_key_id = a\naws_secret_access_key = b\n",
    PROFILES["sso"][0],
    PROFILES["a process that fails"][0],
    "[profile x]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = y\nmfa_serial = m\n"
    "[profile y]\naws_access_key_id = a\naws_secret_access_key = b\n",
    "[profile x]\nlogin_session = arn:aws:iam::1:user/me\n",
]


def test_the_walk_finds_what_is_known_to_be_raised() -> None:
    assert len(BOTOCORES) >= 15
    assert {"ProfileNotFound", "CredentialRetrievalError", "UnauthorizedSSOTokenError", "InvalidConfigError"} <= set(
        BOTOCORES
    )


@pytest.mark.parametrize("name", [*BOTOCORES, *OTHERS])
def test_whatever_the_chain_raises_is_one_line(sandbox: Box, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(_: Any) -> None:
        raise OTHERS[name] if name in OTHERS else _raised(BOTOCORES[name])

    monkeypatch.setattr(botocore.credentials.CredentialResolver, "load_credentials", fail)
    for number, config in enumerate(KINDS):
        configure(sandbox, config)
        chosen = {} if config.startswith("[default]") else {"AWS_PROFILE": "x"}
        said = one_line(sandbox, run(sandbox, ("up", "down")[number % 2], **chosen), "AWS credentials")
        assert "secret" not in said.replace("aws_secret_access_key", "")
        if chosen:
            assert "profile x" in said


@pytest.mark.parametrize("name", [*BOTOCORES, *OTHERS])
def test_whatever_a_renewal_raises_in_mid_run_is_one_line(
    sandbox: Box, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Credentials that end are made anew while a run is at work; the same that failed before it can fail there."""
    calls = [0]
    real = botocore.credentials.Credentials.get_frozen_credentials

    def fail_later(self: Any) -> Any:
        calls[0] += 1
        if calls[0] > 9:  # from the look before a call on, and not while it is signed
            raise OTHERS[name] if name in OTHERS else _raised(BOTOCORES[name])
        return real(self)

    monkeypatch.setattr(botocore.credentials.Credentials, "get_frozen_credentials", fail_later)
    said = refused(run(sandbox, "up"), 1, "AWS credentials of AWS_ACCESS_KEY_ID in the environment: ")
    assert len(said.splitlines()) == 2


# --- a role that asks for a code

MFA = (
    "[profile x]\nrole_arn = arn:aws:iam::123456789012:role/admin\nsource_profile = base\n"
    "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"
)


def _python(box: Box, *words: str, **settings: str) -> tuple[list[str], dict[str, str]]:
    environ = {**box.environ, "AWS_PROFILE": "x", **settings}
    return [sys.executable, *words], {name: value for name, value in environ.items() if value}


@BOTH
def test_no_code_is_asked_for_without_a_terminal(sandbox: Box, script: str) -> None:
    configure(sandbox, MFA, KEYS)
    command, environ = _python(sandbox, str(ROOT / f"kube_{script}.py"))
    ran = subprocess.run(
        command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True
    )
    said = [line for line in ran.stderr.splitlines() if not line.startswith("all calls of this run: ")]
    assert (ran.returncode, len(said)) == (1, 2), ran.stderr
    assert "profile x (a role with MFA): it asks for an MFA code, and there is no terminal" in said[0]
    assert "aws sts get-caller-identity --profile x" in said[1]
    assert "its session is kept and counts here too" in said[1]


def on_a_terminal(command: list[str], environ: dict[str, str], typed: bytes) -> tuple[int, str]:
    """The status and what was shown, when `typed` is typed after the first prompt."""
    pid, terminal = pty.fork()
    if not pid:
        os.execve(command[0], command, environ)
    shown, sent = b"", False
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
        if not sent and b"MFA code" in shown:
            sent = bool(os.write(terminal, typed))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return status, shown.decode()


def test_ctrl_d_at_the_prompt(sandbox: Box) -> None:
    configure(sandbox, MFA, KEYS)
    status, shown = on_a_terminal(*_python(sandbox, str(ROOT / "kube_up.py")), b"\x04")
    assert status == 1, shown
    assert "Traceback" not in shown
    assert "no MFA code was typed" in shown
    assert "type the code of the MFA device" in shown


def test_a_code_is_asked_for_once_and_the_session_is_kept_where_the_aws_command_keeps_it(sandbox: Box) -> None:
    configure(sandbox, MFA, KEYS)
    settings = [*_python(sandbox, str(ROOT / "kube_up.py"), "--show-settings")]
    status, shown = on_a_terminal(settings[0], settings[1], b"123456\n")  # type: ignore[arg-type]
    assert status == 0, shown
    assert "could not be read" not in shown
    (kept,) = (sandbox.home / ".aws" / "cli" / "cache").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["Credentials"]["SessionToken"]
    first = len([call for call in sandbox.calls if call.operation == "AssumeRole"])
    must(sandbox.up(AWS_PROFILE="x"))  # in this process, which has no terminal to ask at
    assert not [call for call in sandbox.calls if call.operation == "AssumeRole"]
    assert first == 1


def test_a_cache_that_cannot_be_written_keeps_nothing_and_stops_nothing(sandbox: Box) -> None:
    configure(sandbox, MFA.replace("mfa_serial", "#"), KEYS)
    (sandbox.home / ".aws" / "cli").write_text("no folder")
    must(sandbox.up(AWS_PROFILE="x"))


# --- AWS's codes

ASKS = "sts:GetCallerIdentity"
CODES = {
    "ExpiredToken": "have expired",
    "ExpiredTokenException": "have expired",
    "TokenRefreshRequired": "have expired",
    "InvalidClientTokenId": "are wrong or have expired",
    "UnrecognizedClientException": "are wrong or have expired",
    "AuthFailure": "are wrong or have expired",
    "SignatureDoesNotMatch": "are wrong or have expired",
    "InvalidSignatureException": "are wrong or have expired",
    "IncompleteSignature": "are wrong or have expired",
    "InvalidAccessKeyId": "are wrong or have expired",
    "InvalidSecurity": "are wrong or have expired",
    "InvalidToken": "are wrong or have expired",
    "MissingAuthenticationToken": "are wrong or have expired",
    "RequestExpired": "are wrong or have expired",
    "RequestTimeTooSkewed": "this computer's clock is wrong: set it",
    "OptInRequired": "is not enabled for this account: aws account enable-region --region-name us-west-2",
    "RegionDisabledException": "is not enabled for this account: aws account enable-region --region-name us-west-2",
    "SubscriptionRequiredException": "is not enabled for this account",
    "PendingVerification": "AWS holds this account back",
    "Blocked": "AWS holds this account back",
    "AccountProblem": "AWS holds this account back",
    "AllAccessDisabled": "AWS holds this account back",
    "NotSignedUp": "AWS holds this account back",
    "AccessDenied": "ask for the permission to call GetCallerIdentity",
    "NotAuthorized": "ask for the permission to call GetCallerIdentity",
}


@pytest.mark.parametrize("code", CODES)
def test_each_of_awss_codes_about_who_asks_says_what_to_do(sandbox: Box, code: str) -> None:
    configure(sandbox, "[profile x]\nregion = us-west-2\n", KEYS.replace("base", "x"))
    answer_with(sandbox, ASKS, code, "AWS's words.", status=403)
    said = one_line(sandbox, run(sandbox, "down", AWS_PROFILE="x"), code, "AWS's words.", CODES[code])
    if "expired" in CODES[code]:
        assert "the credentials of profile x (access keys)" in said
        assert "aws configure --profile x" in said


def _off_by(box: Box, operation: str, code: str, seconds: float) -> None:
    """AWS refuses an operation, and its clock is that far ahead of this computer's."""

    def refuse(call: Call) -> Answer | None:
        if f"{call.service}:{call.operation}" != operation:
            return None
        answer = refusal_answer(call, Refusal(code, "Signature expired: it is now earlier than it was.", 403))
        answer.headers.append(("Date", email.utils.formatdate(time.time() + seconds, usegmt=True)))
        return answer

    box.aws.hooks.before.append(refuse)


@pytest.mark.parametrize(("seconds", "way"), [(720, "720 s behind"), (-420, "420 s ahead of")])
@pytest.mark.parametrize(
    "code", ["SignatureDoesNotMatch", "RequestExpired", "InvalidSignatureException", "AuthFailure"]
)
def test_a_clock_that_is_off_is_named(sandbox: Box, code: str, seconds: float, way: str) -> None:
    _off_by(sandbox, ASKS, code, seconds)
    said = one_line(sandbox, run(sandbox, "up"), "this computer's clock is", "set it (timedatectl set-ntp true)")
    assert way in said or way.replace("720", "719") in said or way.replace("420", "421") in said
    assert "credentials" not in said


def test_a_region_that_is_not_enabled_is_told_from_keys_that_are_wrong(sandbox: Box) -> None:
    """In a region that is not enabled AWS knows nobody's keys; another region shows that they are good."""

    def refuse(call: Call) -> Answer | None:
        if f"{call.service}:{call.operation}" != ASKS or call.region != "me-south-1":
            return None
        return refusal_answer(call, Refusal("InvalidClientTokenId", "The security token is invalid.", 403))

    sandbox.aws.hooks.before.append(refuse)
    result = run(sandbox, "up", KUBE_AWS_ZONE="me-south-1a")
    one_line(sandbox, result, "us-east-1 takes the credentials", "aws account enable-region --region-name me-south-1")


# --- KUBE_CONFIG_FILE


def _read_by_botocore() -> list[str]:
    """Every variable of AWS's that botocore's sources name."""
    listed = {
        name
        for _, names, _, _ in botocore.configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.values()
        for name in ([names] if isinstance(names, str) else names or ())
    }
    for module in sorted(Path(botocore.session.__file__).parent.rglob("*.py")):
        if "vendored" not in module.parts:
            listed.update(re.findall(r"""["'](AWS_[A-Z0-9_]+)["'{]""", module.read_text()))
    return sorted({name for name in listed if name.startswith("AWS_")} | {"AWS_REGION"})


VARIABLES = _read_by_botocore()


def test_the_walk_finds_the_variables_that_are_known() -> None:
    assert {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"} <= set(
        VARIABLES
    )
    assert len(VARIABLES) > 30


@pytest.mark.parametrize(
    "name", [*(name for name in VARIABLES if name.startswith("AWS_") and name != "AWS_PROFILE"), "AWS_REGION"]
)
def test_no_variable_of_awss_is_ignored_in_the_file(sandbox: Box, name: str) -> None:
    (sandbox.home / "mine.env").write_text(f"{name}=staging-secret\n")
    for script in ("up", "down"):
        result = run(sandbox, script, KUBE_CONFIG_FILE=sandbox.home / "mine.env")
        said = refused_untouched(sandbox, result, 2, f"{name}: ", "not from KUBE_CONFIG_FILE")
        assert "staging-secret" not in said
        assert result.calls == []


def test_the_files_profile_counts(sandbox: Box) -> None:
    """Whoever has no keys in the environment keeps a file for each account."""
    configure(sandbox, "", KEYS.replace("base", "staging"))
    (sandbox.home / "staging.env").write_text("AWS_PROFILE=staging\nNUM_NODES=2\n")
    must(sandbox.up(KUBE_CONFIG_FILE=sandbox.home / "staging.env"))
    one_line(sandbox, run(sandbox, "down"), "AWS credentials")  # the file was what had them
    must(sandbox.down(KUBE_CONFIG_FILE=sandbox.home / "staging.env"))
    assert sandbox.inventory() == {}


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_the_files_profile_beside_other_credentials_is_refused_and_no_cluster_is_touched(
    sandbox: Box, name: str
) -> None:
    sandbox.cluster()
    before = sandbox.inventory()
    configure(sandbox, "[profile prod]\n[profile staging]\n", KEYS.replace("base", "staging"))
    (sandbox.home / "staging.env").write_text("AWS_PROFILE=staging\n")
    for script in ("down", "up"):
        result = run(sandbox, script, **{name: "prod"}, KUBE_CONFIG_FILE=sandbox.home / "staging.env")
        refused_untouched(
            sandbox, result, 2, f"AWS_PROFILE: KUBE_CONFIG_FILE has staging, and the environment has {name}"
        )
    assert sandbox.inventory() == before


# --- the region

ZONELESS = {"KUBE_AWS_ZONE": ""}


@pytest.mark.parametrize("name", spread(["AWS_REGION", "AWS_DEFAULT_REGION", "profile"], 1))
def test_without_a_zone_the_cluster_is_in_the_region_of_environment_or_profile(sandbox: Box, name: str) -> None:
    where: dict[str, str] = {name: "eu-central-1", **ZONELESS}
    if where.pop("profile", ""):
        configure(sandbox, "[profile x]\nregion = eu-central-1\n", KEYS.replace("base", "x"))
        where["AWS_PROFILE"] = "x"
    result = must(sandbox.up(**where))
    assert "account 123456789012 as user/moto, region eu-central-1" in result.out
    assert "warning: AWS_" not in result.err
    assert set(sandbox.inventory()) == {"eu-central-1", "iam", "s3"}
    other: dict[str, str] = {**where, "KUBE_AWS_ZONE": "eu-central-1b", "AWS_REGION": ""}
    refused_untouched(sandbox, sandbox.up(**other), 2, "KUBE_AWS_ZONE: the cluster has eu-central-1a")
    must(sandbox.down(**where))
    assert sandbox.inventory() == {}


def test_as_for_the_aws_command_aws_region_wins_over_aws_default_region(sandbox: Box) -> None:
    result = sandbox.down(**ZONELESS, AWS_REGION="eu-west-1", AWS_DEFAULT_REGION="us-east-1")
    refused(result, 1, "nothing of cluster kubernetes in account 123456789012, eu-west-1")


@BOTH
def test_a_zone_in_another_region_counts_and_that_is_said_first(sandbox: Box, script: str) -> None:
    result = run(sandbox, script, KUBE_AWS_ZONE="us-west-2a", AWS_DEFAULT_REGION="eu-central-1")
    assert result.err.startswith(
        "warning: KUBE_AWS_ZONE=us-west-2a counts, not eu-central-1, which is AWS_DEFAULT_REGION\n"
    )
    assert not run(sandbox, script, KUBE_AWS_ZONE="us-west-2a", AWS_REGION="us-west-2").err.startswith("warning: KUBE")


@BOTH
def test_where_no_region_is_known_the_default_is_said(sandbox: Box, script: str) -> None:
    said = run(sandbox, script, **ZONELESS).out
    assert said.lstrip().startswith("neither KUBE_AWS_ZONE nor a region is set: it is us-west-2a, the default")


@BOTH
def test_what_is_no_region_is_refused_by_its_own_name(sandbox: Box, script: str) -> None:
    refused_untouched(sandbox, run(sandbox, script, **ZONELESS, AWS_REGION="Frankfurt"), 2, "AWS_REGION: 'Frankfurt'")


@BOTH
def test_a_region_that_there_is_not_is_refused_by_its_own_name(sandbox: Box, script: str) -> None:
    words = "AWS_REGION: there is no region eu-central-9; give eu-central-"
    refused_untouched(sandbox, run(sandbox, script, **ZONELESS, AWS_REGION="eu-central-9"), 2, words)
    named: dict[str, str] = {"KUBE_AWS_ZONE": "eu-central-9a", "AWS_REGION": "eu-central-9"}
    refused_untouched(sandbox, run(sandbox, script, **named), 2, "KUBE_AWS_ZONE: there is no region eu-central-9")


def test_where_the_account_has_no_zone_a_the_zones_that_it_has_are_named(sandbox: Box) -> None:
    """Newer accounts do not get the first zone of each region; here the types are listed in it all the same."""
    zones = [{"ZoneName": f"ap-northeast-1{letter}", "State": "available"} for letter in "cd"]

    def before(call: Call) -> Answer | None:
        there = call.operation == "DescribeAvailabilityZones"
        return result_answer(call, {"AvailabilityZones": zones}) if there else None

    sandbox.aws.hooks.before.append(before)
    result = sandbox.up(**ZONELESS, AWS_REGION="ap-northeast-1")
    words = "KUBE_AWS_ZONE: this account has no zone ap-northeast-1a; give one of ap-northeast-1c, ap-northeast-1d"
    refused_untouched(sandbox, result, 2, words)


@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_that_botocore_reads_is_called_unread(name: str) -> None:
    assert unread(read_layers({"HOME": "/x", name: "x"})) == ([], [])
