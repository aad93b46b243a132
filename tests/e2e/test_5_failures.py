"""A bootstrap that fails: kube_up.py's wait ends with the failing step in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from e2e.stage import REGION, Result, Stage, wait

RELEASE = "dl.k8s.io/release/v1.37.2/bin/linux/amd64"
AWAY = "http://127.80.255.9:9"
PATHS = [
    *(f"{RELEASE}/{name}" for name in ("kubeadm", "kubelet", "kubectl")),
    "github.com/containerd/containerd/releases/download/v2.3.7/containerd-static-2.3.7-linux-amd64.tar.gz",
    "github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64",
    "github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz",
    "artifacts.k8s.io/binaries/cloud-provider-aws/v1.31.7/linux/amd64/ecr-credential-provider-linux-amd64",
]
SOON = 300.0  # seconds in which a failure that is repeated ends the wait, which may last 900

Runs = dict[str, "Future[Result]"]


@pytest.fixture(scope="module")
def runs(stage: Stage) -> Iterator[Runs]:
    """Four clusters that fail, side by side: most of their time is waiting."""
    cases: dict[str, Callable[[Stage], Result]] = {"sum": _wrong_sum, "mirror": _no_mirror, "token": _wrong_token}
    cases["package"] = lambda stage: _up_and_down(
        stage, _settings(stage, "nopackage") | {"NUM_NODES": "1", "KUBE_EXTRA_PACKAGES": "no-such-package"}
    )
    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(case, stage) for name, case in cases.items()}


def _bucket(stage: Stage, cluster: str, sums: str) -> dict[str, str]:
    """Settings for a cluster whose bucket remembers these sums of downloads already."""
    s3, bucket = stage.client("s3"), f"e2e-{cluster}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=f"{REGION}/{cluster}/downloads.sha256", Body=sums.encode())
    return _settings(stage, cluster) | {"AWS_S3_BUCKET": bucket, "NUM_NODES": "1"}


def _settings(stage: Stage, cluster: str) -> dict[str, str]:
    """A cluster of its own, with a kubeconfig of its own, since several are made at once."""
    return {"KUBE_AWS_INSTANCE_PREFIX": cluster, "KUBECONFIG": f"{stage.environ['KUBECONFIG']}-{cluster}"}


def _up_and_down(stage: Stage, settings: dict[str, str]) -> Result:
    with stage.removing(**settings):
        return stage.run("kube_up.py", **settings)


def _wrong_sum(stage: Stage) -> Result:
    mirror = stage.environ["KUBE_DOWNLOAD_MIRROR"]
    return _up_and_down(stage, _bucket(stage, "badsum", f"{'0' * 64}  {mirror}/{RELEASE}/kubelet\n"))


def _no_mirror(stage: Stage) -> Result:
    sums = "".join(f"{'0' * 64}  {AWAY}/{path}\n" for path in PATHS)
    return _up_and_down(stage, _bucket(stage, "nomirror", sums) | {"KUBE_DOWNLOAD_MIRROR": AWAY})


def _wrong_token(stage: Stage) -> Result:
    """The token changes after kube_up.py has put it into the minions' user-data, and before the master reads it."""
    settings = _settings(stage, "badtoken") | {"NUM_NODES": "1"}
    with ThreadPoolExecutor() as pool:
        result = pool.submit(_up_and_down, stage, settings)
        wait("the minion", lambda: stage.instances("badtoken", role="minion"))
        s3 = stage.client("s3")
        for bucket in (found["Name"] for found in s3.list_buckets()["Buckets"]):
            for key in (found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])):
                if key == f"{REGION}/badtoken/join-token":
                    s3.put_object(Bucket=bucket, Key=key, Body=b"aaaaaa.0123456789abcdef\n")
        return result.result()


def test_a_wrong_checksum(runs: Runs) -> None:
    result = runs["sum"].result()
    assert (result.code, result.seconds < SOON) == (1, True)
    assert "downloads: failed: the sha256 of" in result.out, result.out


def test_a_mirror_that_is_away(runs: Runs) -> None:
    result = runs["mirror"].result()
    assert (result.code, result.seconds < SOON) == (1, True)
    assert AWAY in result.out.partition("downloads: failed:")[2].partition("\n")[0], result.out


def test_a_wrong_token(runs: Runs) -> None:
    result = runs["token"].result()
    assert (result.code, result.seconds < SOON) == (1, True)
    assert "failed: the master refuses the join token" in result.out, result.out


def test_a_package_that_does_not_exist(runs: Runs) -> None:
    result = runs["package"].result()
    assert (result.code, result.seconds < SOON) == (1, True)
    words = result.out.partition("extra packages: failed:")[2].partition("\n")[0]
    assert "Unable to locate package no-such-package" in words, result.out
