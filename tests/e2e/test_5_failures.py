"""A bootstrap that fails: kube_up.py's wait ends with the failing step in its own words."""

from __future__ import annotations

from e2e.stage import REGION, Stage

SOON = {"KUBE_WAIT_API_SECONDS": "60", "KUBE_WAIT_NODES_SECONDS": "60", "NUM_NODES": "1"}
RELEASE = "dl.k8s.io/release/v1.37.2/bin/linux/amd64"


def bucket_with_sums(stage: Stage, cluster: str, sums: str) -> dict[str, str]:
    """Settings for a cluster whose bucket remembers these sums of downloads already."""
    s3, bucket = stage.client("s3"), f"e2e-{cluster}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=f"{REGION}/{cluster}/downloads.sha256", Body=sums.encode())
    return {"KUBE_AWS_INSTANCE_PREFIX": cluster, "AWS_S3_BUCKET": bucket, **SOON}


def test_a_wrong_checksum(stage: Stage) -> None:
    mirror = stage.environ["KUBE_DOWNLOAD_MIRROR"]
    settings = bucket_with_sums(stage, "badsum", f"{'0' * 64}  {mirror}/{RELEASE}/kubelet\n")
    result = stage.run("kube_up.py", **settings)
    assert result.code == 1
    assert "downloads: failed: the sha256 of" in result.out
    assert stage.run("kube_down.py", **settings).code == 0


def test_a_mirror_that_is_away(stage: Stage) -> None:
    mirror = "http://127.80.255.9:9"
    paths = [
        *(f"{RELEASE}/{name}" for name in ("kubeadm", "kubelet", "kubectl")),
        "github.com/containerd/containerd/releases/download/v2.3.7/containerd-static-2.3.7-linux-amd64.tar.gz",
        "github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64",
        "github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz",
    ]
    settings = bucket_with_sums(stage, "nomirror", "".join(f"{'0' * 64}  {mirror}/{path}\n" for path in paths))
    result = stage.run("kube_up.py", **settings, KUBE_DOWNLOAD_MIRROR=mirror)
    assert result.code == 1
    assert "downloads: failed:" in result.out
    assert mirror in result.out.partition("downloads: failed:")[2].partition("\n")[0]
    assert stage.run("kube_down.py", **settings).code == 0
