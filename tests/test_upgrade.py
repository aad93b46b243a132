"""KUBERNETES_VERSION of a cluster that is there: upgraded by the same command, refused where that cannot be."""

from __future__ import annotations

import re
import signal

import pytest
from conftest import REGION, Box
from helpers import (
    ID,
    bucket_of,
    kill_master,
    master_of,
    master_settings,
    minion_settings,
    must,
    named,
    part,
    read_object,
    refused,
    refused_untouched,
    remembered,
    settle,
    stop_after,
)
from spread import spread
from test_proxies import proxy, set_proxy_url
from test_snapshots import brought, lose_disk, take_snapshot

pytestmark = pytest.mark.story

BEFORE, AFTER = "1.36.3", "1.37.2"
SETTINGS = f"{REGION}/{ID}/settings.env"


@pytest.fixture
def cluster(sandbox: Box) -> Box:
    """A cluster of two minions, of the minor release before."""
    sandbox.cluster(KUBERNETES_VERSION=BEFORE)
    return sandbox


def minions(box: Box) -> set[str]:
    settle(box)
    return set(part(box, "instances")) - {master_of(box)}


def kept(box: Box) -> list[str]:
    """What a master's successor has too: its disk, interface and elastic IP."""
    disk, interface = named(box, "volumes", f"{ID}-master-pd"), named(box, "interfaces", f"{ID}-master")
    return [disk, interface, *part(box, "addresses")]


def tell(box: Box, instance: str, version: str) -> None:
    """Have the master's instance say that it was made for that version."""
    box.client("ec2").create_tags(Resources=[instance], Tags=[{"Key": "KubernetesVersion", "Value": version}])


def rewrite(box: Box, old: str, new: str) -> None:
    """Change what is remembered."""
    text = read_object(box, SETTINGS).decode().replace(old, new)
    box.client("s3").put_object(Bucket=bucket_of(box), Key=SETTINGS, Body=text.encode())


def test_master_then_minions_are_replaced_and_everything_else_stays(cluster: Box) -> None:
    master, old, things = master_of(cluster), minions(cluster), kept(cluster)
    result = must(cluster.up(KUBERNETES_VERSION=AFTER))
    assert f"Kubernetes {BEFORE} → {AFTER}, 2 minions" in result.out
    assert re.findall(r"Ready (v\S+)", result.out) == [f"v{AFTER}"] * 3
    assert master_of(cluster) != master
    assert (len(minions(cluster)), minions(cluster) & old) == (2, set())
    assert kept(cluster) == things
    assert {s["KUBERNETES_VERSION"] for s in (master_settings(cluster), minion_settings(cluster))} == {AFTER}
    order = result.operations
    assert order.index("ec2:TerminateInstances") < order.index("ec2:CreateLaunchTemplateVersion")
    assert remembered(cluster)["KUBERNETES_VERSION"] == AFTER
    again = must(cluster.up())
    assert (again.changing, "nothing to do" in again.out) == ([], True)


def test_addons_are_those_that_go_with_the_version(cluster: Box) -> None:
    def image() -> bytes:
        sha256 = master_settings(cluster)["ADDONS"].partition("cloud-controller-manager:")[2].split()[0]
        found = re.search(rb"cloud-controller-manager:(v\S+)", read_object(cluster, f"{REGION}/{ID}/addons/{sha256}"))
        assert found
        return found[1]

    assert image().startswith(b"v1.36.")
    must(cluster.up(KUBERNETES_VERSION=AFTER))
    assert image().startswith(b"v1.37.")


def test_a_patch_release_up(cluster: Box) -> None:
    must(cluster.up(KUBERNETES_VERSION="v1.36.9"))
    assert master_settings(cluster)["KUBERNETES_VERSION"] == "1.36.9"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("1.36.2", "KUBERNETES_VERSION: the cluster has 1.36.3, and a control plane cannot go down to 1.36.2;"),
        ("", f"KUBERNETES_VERSION: is empty, which stands for {AFTER}, and the cluster has 1.36.3;"),
        ("1.37", "KUBERNETES_VERSION: '1.37' is a minor release; give a whole version, 1.37.2 or a later one of 1.37"),
        (
            "1.38.0",
            "KUBERNETES_VERSION: 1.38.0 is newer than what this can set up; give 1.36.3 or a later one of 1.36",
        ),
        ("1.38", "KUBERNETES_VERSION: 1.38 is newer than what this can set up; give 1.36.3 or a later one of 1.36, or"),
        (
            "1.37.99",
            "/release/v1.37.99/bin/linux/amd64/kubeadm.sha256 is not there (HTTP 404); "
            "give a version that is published (the newest of 1.37 is 1.37.9)",
        ),
    ],
)
def test_refused_before_anything(cluster: Box, asked: str, words: str) -> None:
    said = refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=asked), 2, words)
    assert len(said.splitlines()) == 1


KEPT = "GracefulNodeShutdown=true"


NO_MORE: list[tuple[dict[str, str], str, dict[str, str]]] = [
    (
        {"FEATURE_GATES": f"RetryGenerateName=true,{KEPT}"},
        "FEATURE_GATES: Kubernetes 1.37 has no feature gate RetryGenerateName; take it out before: ",
        {"FEATURE_GATES": KEPT},
    ),
    (
        {"FEATURE_GATES": f"{KEPT},NodeDeclaredFeatures=false"},
        "FEATURE_GATES: Kubernetes 1.37 has NodeDeclaredFeatures=true for good; ",
        {"FEATURE_GATES": KEPT},
    ),
    ({"FEATURE_GATES": f"{KEPT},NodeDeclaredFeatures=true"}, "", {}),
    (
        {"CONTROLLER_MANAGER_TEST_ARGS": "--concurrent-service-syncs=2 --concurrent-gc-syncs=9 --v=2"},
        "CONTROLLER_MANAGER_TEST_ARGS: Kubernetes 1.37 has no --concurrent-service-syncs; ",
        {"CONTROLLER_MANAGER_TEST_ARGS": "--concurrent-gc-syncs=9 --v=2"},
    ),
    (
        {"APISERVER_TEST_ARGS": "--enable-admission-plugins=NodeRestriction,JobValidation"},
        "APISERVER_TEST_ARGS: Kubernetes 1.37 has no admission plugin JobValidation; ",
        {"APISERVER_TEST_ARGS": ""},
    ),
    (
        {"KUBE_RUNTIME_CONFIG": "scheduling.k8s.io/v1alpha2=true"},
        "KUBE_RUNTIME_CONFIG: Kubernetes 1.37 has no version of an API scheduling.k8s.io/v1alpha2; ",
        {"KUBE_RUNTIME_CONFIG": ""},
    ),
]
KINDS = ["gate", "locked gate", "locked as it is", "argument", "admission", "api"]


@pytest.mark.parametrize(("given", "words", "rest"), spread(NO_MORE, 2, ids=KINDS))
def test_what_the_new_release_has_no_more_is_refused_before_anything(
    sandbox: Box, given: dict[str, str], words: str, rest: dict[str, str]
) -> None:
    sandbox.cluster(KUBERNETES_VERSION=BEFORE, **given)
    assert must(sandbox.up()).changing == []  # of a cluster that stays as it is nothing is refused
    must(sandbox.up(KUBERNETES_VERSION="1.36.4"))  # nor of a patch
    if words:
        said = refused_untouched(sandbox, sandbox.up(KUBERNETES_VERSION=AFTER), 2, words)
        assert all(f"{name}={value}".rstrip("=") in said.replace("'", "") for name, value in rest.items())
    must(sandbox.up(KUBERNETES_VERSION=AFTER, **rest))


def test_a_site_that_cannot_be_asked_is_no_missing_version(cluster: Box) -> None:
    given = {"KUBERNETES_VERSION": AFTER, "KUBE_DOWNLOAD_MIRROR": "http://127.0.0.1:9"}
    said = refused_untouched(cluster, cluster.up(**given), 1, "kubeadm.sha256 cannot be read: ", "refused")
    assert "KUBERNETES_VERSION" not in said


def test_down_by_a_minor_release_is_refused(sandbox: Box) -> None:
    sandbox.cluster(KUBERNETES_VERSION=AFTER)
    refused_untouched(sandbox, sandbox.up(KUBERNETES_VERSION=BEFORE), 2, f"has {AFTER}", f"go down to {BEFORE}")


def confirmed(box: Box) -> str:
    """What the disk says of the last version whose API answered."""
    return str(part(box, "volumes")[named(box, "volumes", f"{ID}-master-pd")]["tags"].get("KubernetesVersion", ""))


def disk_says(box: Box, version: str) -> None:
    """Have the disk say another one; nothing for none."""
    tag = [{"Key": "KubernetesVersion", **({"Value": version} if version else {})}]
    ec2, disk = box.client("ec2"), named(box, "volumes", f"{ID}-master-pd")
    if version:
        ec2.create_tags(Resources=[disk], Tags=tag)
    else:
        ec2.delete_tags(Resources=[disk], Tags=tag)


def test_a_skipped_minor_release_is_refused(cluster: Box) -> None:
    rewrite(cluster, BEFORE, "1.35.4")
    disk_says(cluster, "1.35.4")
    words = ("the cluster has 1.35.4, and 1.37.2 would skip a minor release; upgrade to a release of 1.36 first",)
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=AFTER), 2, *words)


def test_no_upgrade_is_begun_on_top_of_one_that_is_not_done(cluster: Box) -> None:
    disk_says(cluster, "1.35.4")
    words = "the upgrade from 1.35.4 to 1.36.3 is not done, and 1.37.2 would skip a minor release; leave it out"
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=AFTER), 2, words)
    must(cluster.up())
    must(cluster.up(KUBERNETES_VERSION=AFTER))


def test_what_the_master_is_counts_where_the_disk_says_nothing(cluster: Box) -> None:
    disk_says(cluster, "")
    tell(cluster, master_of(cluster), "1.35.4")
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=AFTER), 2, "from 1.35.4 to 1.36.3 is not done")


def test_the_disk_says_which_version_answered_last(cluster: Box) -> None:
    assert confirmed(cluster) == BEFORE
    stop_after(cluster, "ec2:RunInstances", signal.SIGINT)
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    assert confirmed(cluster) == BEFORE
    must(cluster.up())
    assert confirmed(cluster) == AFTER
    disk_says(cluster, "")
    assert "KubernetesVersion=1.37.2" in cluster.up("--dry-run").out
    must(cluster.up())
    assert confirmed(cluster) == AFTER


@pytest.mark.parametrize("stopped", spread(["ec2:TerminateInstances", "s3:PutObject", "ec2:RunInstances"], 1))
def test_one_whose_api_has_not_answered_can_be_called_off(cluster: Box, stopped: str) -> None:
    old, things = minions(cluster), kept(cluster)
    stop_after(cluster, stopped, signal.SIGINT)
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    assert remembered(cluster)["KUBERNETES_VERSION"] == AFTER
    result = must(cluster.up(KUBERNETES_VERSION=BEFORE))
    assert f"the upgrade to {AFTER} is called off" in result.out
    assert re.findall(r"Ready (v\S+)", result.out) == [f"v{BEFORE}"] * 3
    assert (minions(cluster), kept(cluster)) == (old, things)
    assert must(cluster.up()).changing == []


def test_one_that_is_done_though_no_run_saw_it_cannot_be_called_off(cluster: Box) -> None:
    stop_after(cluster, "ec2:RunInstances", signal.SIGINT)
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    settle(cluster)
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=BEFORE), 2, f"has {AFTER}", f"go down to {BEFORE}")
    must(cluster.up())
    assert confirmed(cluster) == AFTER


def test_whether_the_new_master_is_well_is_asked_through_kubeconfigs_proxy(cluster: Box) -> None:
    stop_after(cluster, "ec2:RunInstances", signal.SIGINT)
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    settle(cluster)
    with proxy() as it:
        set_proxy_url(cluster, f"http://{it.address}")
        refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=BEFORE), 2, f"has {AFTER}", f"go down to {BEFORE}")
        assert it.asked


def test_what_is_called_off_is_said_as_what_it_is(cluster: Box) -> None:
    stop_after(cluster, "ec2:RunInstances", signal.SIGINT)
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    result = cluster.up("--dry-run", KUBERNETES_VERSION=BEFORE)
    assert f"Kubernetes {AFTER} → {BEFORE}: master " in result.out
    assert "the new one goes on with what is on the disk" in result.out
    assert "takes a snapshot" not in result.out


def test_an_old_version_of_the_settings_brings_no_old_master(cluster: Box) -> None:
    must(cluster.up(KUBERNETES_VERSION=AFTER))
    rewrite(cluster, AFTER, BEFORE)
    refused_untouched(cluster, cluster.up(), 2, f"the cluster has {AFTER}", f"say {AFTER}")
    assert must(cluster.up(KUBERNETES_VERSION=AFTER)).changing == ["s3:PutObject"]


def test_a_master_that_does_not_say_its_release_is_upgraded_by_what_the_disk_says(cluster: Box) -> None:
    cluster.client("ec2").delete_tags(Resources=[master_of(cluster)], Tags=[{"Key": "KubernetesVersion"}])
    result = must(cluster.up(KUBERNETES_VERSION=AFTER))
    assert re.findall(r"Ready (v\S+)", result.out) == [f"v{AFTER}"] * 3


def test_minions_never_become_newer_than_the_api_where_nothing_says_its_release(cluster: Box) -> None:
    master, old = master_of(cluster), minions(cluster)
    cluster.client("ec2").delete_tags(Resources=[master], Tags=[{"Key": "KubernetesVersion"}])
    disk_says(cluster, "")
    words = (f"the API of {master} is Kubernetes {BEFORE}, and not {AFTER}", f"KUBE_REPLACE_MASTER={master}")
    refused(cluster.up(KUBERNETES_VERSION=AFTER), 1, *words)
    assert minions(cluster) == old
    must(cluster.up(KUBE_REPLACE_MASTER=master))
    assert confirmed(cluster) == AFTER


def test_a_restore_that_was_stopped_is_not_gone_on_with_by_another_release(cluster: Box) -> None:
    take_snapshot(cluster, b"all of it", release=BEFORE)
    lose_disk(cluster)
    stop_after(cluster, "ec2:CreateVolume", signal.SIGINT)
    assert cluster.up(KUBE_RESTORE_SNAPSHOT="latest").code == 130
    cluster.aws.hooks.after.clear()
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=AFTER), 2, f"say KUBERNETES_VERSION={BEFORE} too")
    must(cluster.up())
    assert confirmed(cluster) == BEFORE
    assert must(cluster.up()).changing == []


def test_one_whose_api_has_answered_cannot(cluster: Box) -> None:
    stop_after(cluster, "autoscaling:UpdateAutoScalingGroup", signal.SIGINT)  # the first minion's replacement
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION=BEFORE), 2, f"has {AFTER}", f"go down to {BEFORE}")
    assert len(minions(cluster)) >= 2


def test_nothing_is_upgraded_by_accident(cluster: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is newer than what the cluster has; also where nothing is remembered any more."""
    assert must(cluster.up()).changing == []
    master, old = master_of(cluster), minions(cluster)
    cluster.client("s3").delete_object(Bucket=bucket_of(cluster), Key=SETTINGS)
    result = must(cluster.up())
    assert f"Kubernetes {BEFORE}, 2 minions" in result.out
    assert (master_of(cluster), minions(cluster)) == (master, old)
    assert remembered(cluster)["KUBERNETES_VERSION"] == BEFORE


def test_a_disk_that_nobody_knows_the_version_of_waits_for_it(cluster: Box) -> None:
    cluster.client("s3").delete_object(Bucket=bucket_of(cluster), Key=SETTINGS)
    kill_master(cluster)
    settle(cluster)
    refused_untouched(cluster, cluster.up(), 2, "is not remembered, and the disk has 1.36.3; say 1.36.3")
    disk_says(cluster, "")
    words = ("KUBERNETES_VERSION: is not remembered, and no master and no disk says", "say the one that it had")
    refused_untouched(cluster, cluster.up(), 2, *words)
    must(cluster.up(KUBERNETES_VERSION=BEFORE))
    assert must(cluster.up()).changing == []


def test_a_kept_disk_keeps_its_version(cluster: Box) -> None:
    must(cluster.down("--keep-disk"))
    refused_untouched(cluster, cluster.up(KUBERNETES_VERSION="1.36.2"), 2, "cannot go down to 1.36.2")
    must(cluster.up())
    assert master_settings(cluster)["KUBERNETES_VERSION"] == BEFORE


def test_a_dry_run_says_it_and_changes_nothing(cluster: Box) -> None:
    before, master, there = cluster.inventory(), master_of(cluster), minions(cluster)
    result = cluster.up("--dry-run", KUBERNETES_VERSION=AFTER)
    assert (result.code, result.changing) == (3, [])
    assert f"Kubernetes {BEFORE} → {AFTER}, 2 minions" in result.out
    assert f"Kubernetes {BEFORE} → {AFTER}: master {master} is replaced" in result.out
    assert f"would delete {master}" in result.out
    for minion in there:
        assert f"would replace minion {minion}" in result.out
    assert cluster.inventory() == before


def test_one_that_was_stopped_is_gone_on_with_by_the_bare_command(cluster: Box) -> None:
    master = master_of(cluster)
    stop_after(cluster, "ec2:TerminateInstances", signal.SIGINT)
    assert cluster.up(KUBERNETES_VERSION=AFTER).code == 130
    cluster.aws.hooks.after.clear()
    result = must(cluster.up())
    assert master_of(cluster) != master
    assert re.findall(r"Ready (v\S+)", result.out) == [f"v{AFTER}"] * 3


def test_a_further_group_follows_the_master_and_never_goes_before_it(cluster: Box) -> None:
    group: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    must(cluster.up(**group))
    words = ("KUBERNETES_VERSION: the cluster has 1.36.3", "KUBE_USE_EXISTING_MASTER")
    refused_untouched(cluster, cluster.up(**group, KUBERNETES_VERSION=AFTER), 2, *words)
    rewrite(cluster, BEFORE, AFTER)  # as an upgrade that was stopped before it came to the master
    refused_untouched(cluster, cluster.up(**group), 1, "the master still has Kubernetes 1.36.3", "finish the upgrade")
    must(cluster.up())
    result = must(cluster.up(**group))
    assert re.findall(r"Ready (v\S+)", result.out) == [f"v{AFTER}"] * 4


def test_back_to_the_release_of_a_snapshot_with_a_new_disk(sandbox: Box) -> None:
    sandbox.cluster(KUBERNETES_VERSION=BEFORE)
    take_snapshot(sandbox, b"all of it", release=BEFORE)
    must(sandbox.up(KUBERNETES_VERSION=AFTER))
    lose_disk(sandbox)
    refused_untouched(sandbox, sandbox.up(KUBE_RESTORE_SNAPSHOT="latest"), 2, f"say KUBERNETES_VERSION={BEFORE} too")
    result = must(sandbox.up(KUBERNETES_VERSION=BEFORE, KUBE_RESTORE_SNAPSHOT="latest"))
    assert re.findall(r"Ready (v\S+)", result.out) == [f"v{BEFORE}"] * 3
    assert must(sandbox.up()).changing == []


def test_a_further_group_that_is_newer_than_a_master_that_went_back_is_named(sandbox: Box) -> None:
    group: dict[str, object] = {"KUBE_USE_EXISTING_MASTER": "true", "NODE_SIZE": "t3.large", "NUM_NODES": 1}
    sandbox.cluster(KUBERNETES_VERSION=AFTER)
    must(sandbox.up(**group))
    take_snapshot(sandbox, b"all of it", release=BEFORE)
    lose_disk(sandbox)
    result = must(sandbox.up(KUBERNETES_VERSION=BEFORE, KUBE_RESTORE_SNAPSHOT="latest"))
    words = f": kubelet {AFTER} is newer than the API's {BEFORE}, which "
    assert (result.err.count("kubelet"), result.err.count(words)) == (1, 1)
    assert words in sandbox.up("--dry-run").err


@pytest.mark.parametrize(
    ("has", "wanted", "words"),
    [
        (AFTER, BEFORE, "what is on {} is Kubernetes 1.37.2 by now, and cannot become 1.36.3"),
        ("1.35.4", AFTER, "Kubernetes 1.35.4, which is on {}, cannot become 1.37.2 in one step"),
    ],
)
def test_what_a_masters_boot_finds_on_the_disk_has_the_last_word(
    cluster: Box, has: str, wanted: str, words: str
) -> None:
    """Whatever the disk's tag says; a master of the right release goes on."""
    disk = named(cluster, "volumes", f"{ID}-master-pd")
    cluster.aws.world.state.disks[disk] = has
    kill_master(cluster)
    settle(cluster)
    said = f"step 7/8 control plane: failed: {words.format(disk)}"
    refused(cluster.up(KUBERNETES_VERSION=wanted, KUBE_WAIT_API_SECONDS=30), 1, said)
    if has == AFTER:
        must(cluster.up(KUBERNETES_VERSION=AFTER))


@pytest.mark.parametrize("why", ["", "KUBE_ETCD_SNAPSHOT_HOURS=0", "your bucket my-own-bucket is not versioned"])
def test_whether_a_snapshot_is_taken_before_is_said_as_it_is(sandbox: Box, why: str) -> None:
    if "my-own-bucket" in why:
        brought(sandbox, versioned=False)
        sandbox.environ["AWS_S3_BUCKET"] = "my-own-bucket"
    must(sandbox.up(KUBERNETES_VERSION=BEFORE))
    result = sandbox.up("--dry-run", KUBERNETES_VERSION=AFTER, KUBE_ETCD_SNAPSHOT_HOURS=0 if "=0" in why else 6)
    start = f"Kubernetes {BEFORE} → {AFTER}: master {master_of(sandbox)} is replaced; the new one "
    if why:
        assert (
            f"warning: {start}upgrades what is on the disk, and takes no snapshot of etcd before: {why}" in result.err
        )
        assert "takes a snapshot" not in result.out
    else:
        assert f"{start}takes a snapshot of etcd and upgrades what is on the disk" in result.out
        assert "no snapshot" not in result.err


def test_a_master_without_its_tag_gets_it_back(cluster: Box) -> None:
    cluster.client("ec2").delete_tags(Resources=[master_of(cluster)], Tags=[{"Key": "KubernetesVersion"}])
    must(cluster.up())
    assert part(cluster, "instances")[master_of(cluster)]["tags"]["KubernetesVersion"] == BEFORE
