"""lib/node/userdata.py: what an instance boots from."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from bootstrap import COMPONENTS, MASTER, MINION

from lib.node import releases, userdata
from lib.run.errors import KubeError
from lib.settings.config import OPTIONS
from lib.settings.declare import Role

GOLDEN = Path(__file__).parent / "golden"
ROLES: list[tuple[Role, dict[str, str]]] = [("master", MASTER), ("minion", MINION)]
by_role = pytest.mark.parametrize(("role", "settings"), ROLES, ids=["master", "minion"])


@by_role
def test_user_data_is_one_gzip_with_the_same_bytes_for_the_same_settings(role: Role, settings: dict[str, str]) -> None:
    packed = userdata.render(role, settings)
    assert packed == userdata.render(role, settings)
    assert packed[:2] == b"\x1f\x8b"
    assert packed[4:8] == bytes(4)  # the time
    assert gzip.decompress(packed).startswith(b"#!/bin/bash\n")


@by_role
def test_user_data_is_the_golden_copy(role: Role, settings: dict[str, str]) -> None:
    """Read the difference in review. UPDATE_GOLDEN=1 pytest tests/test_userdata.py writes the copies anew."""
    golden, text = GOLDEN / f"{role}.sh", userdata.script(role, settings)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@by_role
def test_user_data_is_sound_shell(role: Role, settings: dict[str, str]) -> None:
    for text in (userdata.script(role, settings), userdata.bootstrap(role, comments=True)):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    if shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True, check=False)
        assert checked.stdout == ""


@by_role
def test_only_indentation_is_left_out_of_what_boots(role: Role, settings: dict[str, str]) -> None:
    shown, boots = (userdata.script(role, settings), gzip.decompress(userdata.render(role, settings)).decode())
    assert boots.splitlines() == [line.lstrip("\t") for line in shown.splitlines()]
    subprocess.run(["bash", "-n"], input=boots, text=True, check=True)


@by_role
def test_user_data_leaves_room(role: Role, settings: dict[str, str]) -> None:
    """3 of EC2's 16 KiB, for the settings that a person gives at length."""
    assert len(userdata.render(role, settings)) < 13 * 1024


@by_role
def test_what_an_option_alone_needs_is_there_where_it_is_set_and_takes_no_room_else(
    role: Role, settings: dict[str, str]
) -> None:
    """A name, too, that is read there alone: an option more is no other user-data for a cluster without it."""
    without, packages = userdata.script(role, settings), {**settings, "KUBE_EXTRA_PACKAGES": "nfs-common"}
    assert not re.search(r"extra_packages|KUBE_EXTRA_PACKAGES|#@", without)
    script = userdata.script(role, packages)
    assert re.search(r"^KUBE_EXTRA_PACKAGES=nfs-common$", script, re.MULTILINE)
    assert re.search(r"^extra_packages\(\) \{$", script, re.MULTILINE)
    assert re.search(r"settings host .*extra_packages .*downloads", script.replace("\\\n", ""))
    old, new = (userdata.render(role, each) for each in (settings, packages))
    assert userdata.differences(old, new) == ["KUBE_EXTRA_PACKAGES none → nfs-common"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@by_role
def test_user_data_has_room_with_all_that_options_add(role: Role, settings: dict[str, str]) -> None:
    every = {name: value or "x" for name, value in settings.items()}
    assert userdata.script(role, every).count("\n") > userdata.bootstrap(role).count("\n")
    assert len(userdata.render(role, every)) < userdata.LIMIT_BYTES - 2048


@by_role
def test_user_data_fits_with_every_setting_long(role: Role, settings: dict[str, str]) -> None:
    labels = ",".join(f"example.com/label-number-{n}=some-value-{n * 7919}" for n in range(30))
    gates = ",".join(f"SomeFeatureOfKubernetesNumber{n * 31}=true" for n in range(30))
    args = " ".join(f"--some-long-argument-{n * 17}=some-value-{n * 7919}" for n in range(20))
    every = {f"{name}_TEST_ARGS": args for name in COMPONENTS}
    every |= {"NODE_LABELS": labels, "FEATURE_GATES": gates, "KUBE_RUNTIME_CONFIG": gates}
    mirror = {name: value.replace("https://", "https://mirror.example.com/a/b/") for name, value in settings.items()}
    long = {**mirror, **{name: value for name, value in every.items() if name in settings}}
    assert len(userdata.render(role, long)) < userdata.LIMIT_BYTES - 2048


def test_user_data_that_ec2_would_refuse_is_refused_with_the_settings_to_shorten() -> None:
    labels = ",".join(f"{os.urandom(20).hex()}={os.urandom(20).hex()}" for _ in range(400))
    with pytest.raises(userdata.UserDataTooLarge, match=r"\d{5} bytes compressed.*16384.*NODE_LABELS") as refused:
        userdata.render("minion", {**MINION, "NODE_LABELS": labels})
    assert refused.value.exit_code == 2


@by_role
def test_settings_reach_the_shell_as_they_are(role: Role, settings: dict[str, str]) -> None:
    hostile = 'a\'b "c" $(touch /tmp/no) `x` \\ ; & | > < * ~ # !%s\t$HOME ${IFS} KUBE_ENV'
    text = userdata.kube_env(role, {**settings, "FEATURE_GATES": hostile})
    ran = subprocess.run(
        ["bash", "-c", 'eval "$(cat)"; printf %s "$FEATURE_GATES"'],
        input=text,
        text=True,
        capture_output=True,
        check=True,
    )
    assert ran.stdout == hostile


def test_the_masters_address_stands_in_plain_text_in_both() -> None:
    for role, settings in ROLES:
        assert "\nMASTER_INTERNAL_IP=172.20.0.9\n" in userdata.script(role, settings)


def test_a_line_break_in_a_setting_is_refused_by_its_name() -> None:
    with pytest.raises(KubeError, match="NODE_LABELS"):
        userdata.render("minion", {**MINION, "NODE_LABELS": "a=b\nKUBE_ENV\nrm -rf /"})


def test_the_join_token_is_in_no_masters_user_data() -> None:
    token = MINION["KUBE_JOIN_TOKEN"]
    assert token in userdata.script("minion", MINION)
    with pytest.raises(userdata.SettingsMismatch, match="KUBE_JOIN_TOKEN: a master is given it"):
        userdata.script("master", {**MASTER, "KUBE_JOIN_TOKEN": token})


@by_role
def test_a_setting_that_a_template_reads_and_nothing_gives_is_an_error(role: Role, settings: dict[str, str]) -> None:
    """The shell stops at a name that it does not know, so a forgotten one would stop every node."""
    forgotten = [name for name in settings if name != "KUBE_ROLE" and not name.startswith(("URL_", "SHA256_"))]
    assert len(forgotten) > 15
    for name in forgotten:
        with pytest.raises(userdata.SettingsMismatch, match=rf"^{name}: templates/bootstrap-{role}.sh, .* reads it"):
            userdata.render(role, {each: value for each, value in settings.items() if each != name})


@by_role
def test_a_setting_that_no_template_reads_is_an_error(role: Role, settings: dict[str, str]) -> None:
    with pytest.raises(
        userdata.SettingsMismatch, match=rf"^KUBE_TRY_ME: a {role} is given it, and templates/bootstrap"
    ):
        userdata.render(role, {**settings, "KUBE_TRY_ME": "x"})


@by_role
def test_a_node_gets_what_its_role_reads_by_the_options_declarations(role: Role, settings: dict[str, str]) -> None:
    options = [name for name, declared in OPTIONS.items() if declared.is_read_by(role)]
    assert [name for name in settings if name in options] == options  # in the order of config-default.env
    assert {"MASTER_INTERNAL_IP", "KUBERNETES_VERSION"} <= set(options)


def test_every_download_that_a_node_places_is_given() -> None:
    """Their settings are read by names that the shell puts together: URL_$1, SHA256_$1."""
    listed = re.findall(r"^\tfor name in (CONTAINERD .*); do$", userdata.bootstrap("minion"), re.MULTILINE)
    assert [sorted(names.split()) for names in listed] == [sorted(releases.NAMES)]
    given = {name for name in MINION if name.startswith(("URL_", "SHA256_"))}
    assert given == {f"{what}_{name}" for name in releases.NAMES for what in ("URL", "SHA256")}
