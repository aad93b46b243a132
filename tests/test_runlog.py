"""The file that a run leaves: every line and call of it, for its owner only, and named only when something failed."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import REGION, Box
from helpers import ID, answer_with, bucket_of, must, only, part, read_object, refused

from lib import pki
from lib.run import runlog


def logs(box: Box) -> list[Path]:
    """The files, newest last."""
    return sorted(runlog.folder(box.environ).iterdir(), key=lambda file: file.stat().st_mtime_ns)


def test_a_run_that_failed_names_its_file_and_the_file_has_every_call(sandbox: Box) -> None:
    answer_with(sandbox, "ec2:CreateSubnet", "UnauthorizedOperation", "You may not.", status=403)
    result = sandbox.up()
    refused(result, 1, "CreateSubnet")
    (log,) = logs(sandbox)
    assert f"all calls of this run: {log}" in result.err
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert text.count("Z call ") == len(result.calls)
    (made,) = [line for line in text.splitlines() if "call ec2:CreateVpc 200 CidrBlock=172.20.0.0/16" in line]
    assert only(part(sandbox, "vpcs")) in made
    assert "call ec2:CreateSubnet 403 UnauthorizedOperation: You may not." in text
    assert "error: CreateSubnet (subnet 172.20.0.0/24" in text


def test_a_run_that_went_well_says_nothing_of_it(sandbox: Box) -> None:
    result = must(sandbox.up())
    assert "all calls" not in result.out + result.err
    assert len(logs(sandbox)) == 1


def test_no_secret_is_in_it(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.up())
    must(sandbox.up("--show-settings"))
    token = read_object(sandbox, f"{REGION}/{ID}/{pki.TOKEN_OBJECT}").decode()
    key = (sandbox.home / ".ssh" / "kube_aws_rsa").read_text().splitlines()[3]
    assert bucket_of(sandbox)
    for log in logs(sandbox):
        text = log.read_text()
        assert token not in text
        assert token.partition(".")[2] not in text
        assert key not in text
        assert "PRIVATE KEY" not in text
        assert not re.search("H4sI[A-Za-z0-9+/]{60}", text)  # gzip in base64: user-data; a request's id has 52


def test_repeated_calls_are_in_it(sandbox: Box) -> None:
    answer_with(sandbox, "ec2:DescribeVpcs", "RequestLimitExceeded", "Request limit exceeded.", status=503, times=2)
    must(sandbox.up())
    assert logs(sandbox)[0].read_text().count("call DescribeVpcs is repeated: RequestLimitExceeded") == 2


def test_where_it_cannot_be_written_the_run_goes_on(sandbox: Box) -> None:
    (sandbox.home / "file").write_text("")
    must(sandbox.up(XDG_STATE_HOME=sandbox.home / "file"))


def test_the_files_of_the_last_runs_are_kept(sandbox: Box) -> None:
    for _ in range(runlog.KEPT + 3):
        sandbox.up("--show-settings")
    assert len(logs(sandbox)) == runlog.KEPT


def test_a_home_that_is_not_there_is_not_made_for_a_log(tmp_path: Path) -> None:
    assert runlog.folder({"HOME": str(tmp_path / "nobody")}) == runlog.folder({})
    assert runlog.folder({"HOME": str(tmp_path)}) == tmp_path / ".local" / "state" / "kube-up"
