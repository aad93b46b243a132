"""Upstream's release for machines, from a site on loopback: downloaded once, checked, kept, and preferred."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from releasesite import Site

from lib.node import releases
from sandbox.machines import official, requirements, sites, start
from sandbox.machines.official import Official
from sandbox.machines.places import Cache, CannotStart
from sandbox.machines.requirements import Choice
from sandbox.machines.servers import Server, listen

# Debian's skopeo as far as it is asked here: it writes the archive that its last argument names, and may fail then.
SKOPEO = """#!/bin/sh
for last; do :; done
part=${last#docker-archive:}
part=${part%%:*}
[ ! -e "$part" ] || exit 9
echo half >"$part"
[ ! -e "$0-fails" ] || { echo 'level=fatal msg="connection reset"' >&2; exit 1; }
echo "$*" >"$part"
"""


@pytest.fixture
def site(_clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """The site has the version that is wanted, and there is a skopeo."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "skopeo").write_text(SKOPEO)
    (programs / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    there = Site()
    there.publish("1.37.2")
    yield there
    there.close()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "kept")


@pytest.fixture
def wanted(cache: Cache, site: Site) -> Official:
    return Official(cache.official / "v1.37.2", "1.37.2", "amd64", site.url)


def fetch(wanted: Official) -> str:
    said: list[str] = []
    official.fetch(wanted, said.append, sleep=lambda _: None)
    return "\n".join(said)


def build(cache: Cache) -> None:
    """Something that `make release` could have left."""
    for place in ("mirror/dl.k8s.io/kubelet", "images/pause.tar", "inputs"):
        (cache.built / place).parent.mkdir(parents=True, exist_ok=True)
        (cache.built / place).touch()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def url(wanted: Official, name: str) -> str:
    return next(each.url for each in wanted.downloads() if each.name == name)


def test_everything_is_downloaded_once_and_kept(wanted: Official, site: Site) -> None:
    assert not official.is_complete(wanted)
    said = fetch(wanted)
    assert official.is_complete(wanted)
    assert site.fetched() == {path.rsplit("/", 1)[-1] for path in site.files if "sha256" not in path} - {""}
    assert {f"mirror{path}" for path in site.files if "/v2/" not in path} < files(wanted.folder)
    assert "kubelet" in said
    assert not [name for name in files(wanted.folder) if name.endswith(".part")]
    fetch(wanted)
    assert site.fetched() == set()


def test_images_are_kubeadms_and_those_of_all_addons(wanted: Official) -> None:
    said = fetch(wanted)
    names = {file.name for file in wanted.images.iterdir()}
    assert {"kube-apiserver_v1.37.2.tar", "coredns_coredns_v1.14.6.tar"} < names
    for part in ("snapshot-controller", "csi-snapshotter"):
        assert any(f"{part}_v8.6.0" in name for name in names), part
    for part in ("aws-ebs-csi-driver", "csi-provisioner", "cluster-autoscaler", "cloud-controller-manager", "metrics"):
        assert any(part in name for name in names), part
        assert f" registry.k8s.io/{part}" in said or f"/{part}" in said
    content = (wanted.images / "kube-apiserver_v1.37.2.tar").read_text()
    assert "--override-arch=amd64 copy" in content
    assert "docker://registry.k8s.io/kube-apiserver:v1.37.2 " in content
    assert content.endswith(":registry.k8s.io/kube-apiserver:v1.37.2\n")


def test_nodes_find_the_files_and_their_sums_in_it(wanted: Official) -> None:
    fetch(wanted)
    handler = sites.handler(wanted.mirror, aws=("", 0), who=str)
    listener = listen(("127.0.0.1", 0))
    server = Server(listener, handler)
    mirror = "http://{}:{}".format(*listener.getsockname())
    for each in releases.published("1.37.2", "amd64", mirror=mirror):
        text = releases.read_text(lambda _: None, each.sums)
        kept = wanted.mirror / each.url.removeprefix(f"{mirror}/")
        assert releases.sum_in(text, each) == hashlib.sha256(kept.read_bytes()).hexdigest()
    server.close()


def test_a_file_with_another_sum_is_refused_and_not_kept(wanted: Official, site: Site) -> None:
    last = url(wanted, releases.NAMES[-1])
    right = site.files[site.path(last)]
    site.files[site.path(last)] = b"something else"
    with pytest.raises(CannotStart) as caught:
        fetch(wanted)
    assert not isinstance(caught.value, official.Unreachable)  # what was built must not hide it
    assert str(caught.value).startswith(f"the sha256 of {last} is ")
    assert "\n" not in str(caught.value)
    assert not [name for name in files(wanted.folder) if "ecr-" in name]
    assert not official.is_complete(wanted)
    site.files[site.path(last)] = right
    site.fetched()
    fetch(wanted)
    assert site.fetched() == {last.rsplit("/", 1)[-1]}


def test_what_was_damaged_is_fetched_again(wanted: Official, site: Site) -> None:
    fetch(wanted)
    wanted.place(url(wanted, "RUNC")).write_bytes(b"")
    (wanted.images / "coredns_coredns_v1.14.6.tar").write_text("cut")
    assert not official.is_complete(wanted)
    site.fetched()
    fetch(wanted)
    assert site.fetched() == {"runc.amd64"}
    assert "coredns:v1.14.6" in (wanted.images / "coredns_coredns_v1.14.6.tar").read_text()
    assert official.is_complete(wanted)


def test_a_pinned_sum_that_the_site_contradicts_is_refused(
    wanted: Official, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = [dataclasses.replace(each, pinned="1" * 64) for each in wanted.downloads()]
    monkeypatch.setattr(Official, "downloads", lambda _: pinned)
    with pytest.raises(CannotStart, match=r"templates/releases\.env says 1111"):
        fetch(wanted)
    assert site.fetched() == set()


def test_a_download_that_breaks_off_is_taken_up_again(wanted: Official, site: Site) -> None:
    site.cut[site.path(url(wanted, "KUBELET"))] = 2
    fetch(wanted)
    assert wanted.place(url(wanted, "KUBELET")).read_bytes() == b"KUBELET 1.37.2 amd64"


def test_nothing_half_made_is_left_where_a_site_keeps_breaking_off(wanted: Official, site: Site) -> None:
    path = site.path(url(wanted, "CONTAINERD"))
    site.cut[path] = 99
    with pytest.raises(official.Unreachable, match="cannot be downloaded: it ended 18 bytes too early"):
        fetch(wanted)
    assert not [name for name in files(wanted.folder) if "containerd-static" in name or name.endswith(".part")]
    assert not official.is_complete(wanted)
    site.cut.clear()
    site.fetched()
    fetch(wanted)
    assert not {"kubeadm", "kubelet", "kubectl"} & site.fetched()
    assert official.is_complete(wanted)


def test_an_image_that_cannot_be_pulled_is_not_left_half(wanted: Official, tmp_path: Path) -> None:
    fails = tmp_path / "programs" / "skopeo-fails"
    fails.touch()
    with pytest.raises(official.Unreachable, match=r'skopeo cannot pull registry\.k8s\.io/kube-apiserver.*reset"'):
        fetch(wanted)
    assert files(wanted.images) == set()
    fails.unlink()
    (wanted.images / "kube-apiserver_v1.37.2.tar.part").write_text("of a sandbox that was killed")
    fetch(wanted)
    assert official.is_complete(wanted)


def test_another_version_of_an_addon_replaces_its_image_only(
    wanted: Official, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetch(wanted)
    before = {file.name: file.stat().st_mtime_ns for file in wanted.images.iterdir()}
    text = releases.RELEASES.read_text()
    version = releases.versions("1.37.2")["METRICS_SERVER_VERSION"]
    (tmp_path / "releases.env").write_text(
        text.replace(f"METRICS_SERVER_VERSION={version}", "METRICS_SERVER_VERSION=v9")
    )
    monkeypatch.setattr(releases, "RELEASES", tmp_path / "releases.env")
    assert not official.is_complete(wanted)
    site.fetched()
    fetch(wanted)
    after = {file.name: file.stat().st_mtime_ns for file in wanted.images.iterdir()}
    assert set(before.items()) ^ set(after.items()) == {
        (old := f"metrics-server_metrics-server_{version}.tar", before[old]),
        (new := "metrics-server_metrics-server_v9.tar", after[new]),
    }
    assert site.fetched() == set()


def test_the_version_that_is_asked_for_is_downloaded(cache: Cache) -> None:
    assert official.wanted(cache, {"KUBERNETES_VERSION": "v1.36.4"}).folder == cache.official / "v1.36.4"
    default = official.wanted(cache, {})
    assert default.version == official.wanted(cache, {"KUBERNETES_VERSION": "../x"}).version == "1.37.2"


def test_upstreams_is_preferred_to_what_was_built(wanted: Official, cache: Cache) -> None:
    build(cache)
    assert requirements.choose(cache, wanted).use == "download"
    used = start.pick(cache, wanted, Choice("download"), lambda _: None)
    assert (used.mirror, used.release) == (wanted.mirror, wanted.folder)
    assert (used.mirror / "dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubelet").exists()


def test_the_command_has_the_kubectl_of_the_version_that_is_asked_for(cache: Cache) -> None:
    for version in ("1.36.3", "1.37.2"):
        file = cache.mirror / f"dl.k8s.io/release/v{version}/bin/linux/amd64/kubectl"
        file.parent.mkdir(parents=True)
        file.write_text(version)
    found = {version: Path(start.programs(cache, version)) / "kubectl" for version in ("1.36.3", "1.37.2")}
    assert {version: file.read_text() for version, file in found.items()} == {each: each for each in found}


def test_what_is_kept_is_used_where_the_sites_cannot_be_reached(wanted: Official, cache: Cache, site: Site) -> None:
    fetch(wanted)
    site.files.clear()
    assert requirements.choose(cache, wanted) == Choice("kept")
    assert start.pick(cache, wanted, Choice("kept"), lambda _: None).release == wanted.folder


def test_what_was_built_is_used_where_a_site_cannot_be_reached(wanted: Official, cache: Cache, site: Site) -> None:
    build(cache)
    del site.files[f"/{official.REGISTRY}/v2/"]
    choice = requirements.choose(cache, wanted)
    said: list[str] = []
    assert start.pick(cache, wanted, choice, said.append).release == cache.built
    assert said == [f"the release that was built is used, {cache.built}: {site.url}/registry.k8s.io/v2/: HTTP 404"]


def test_with_neither_the_refusal_names_make_release(
    wanted: Official, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nowhere = dataclasses.replace(wanted, sites="http://127.0.0.1:1")
    with pytest.raises(CannotStart) as caught:
        requirements.check(cache, nowhere)
    assert f"make release (builds Kubernetes into {cache.built})" in str(caught.value)
    assert "http://127.0.0.1:1/registry.k8s.io/v2/: " in str(caught.value)


def test_a_site_that_never_answers_is_not_waited_for(wanted: Official) -> None:
    with listen(("127.0.0.1", 0)) as silent:
        deaf = dataclasses.replace(wanted, sites="http://{}:{}".format(*silent.getsockname()))
        assert len(official.unreachable(deaf, patience=0.05)) == 4


def test_skopeo_is_asked_for_only_when_nothing_was_built(
    wanted: Official, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    there = shutil.which
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "skopeo" else there(program))
    with pytest.raises(CannotStart, match=r"apt-get install .*\bskopeo"):
        requirements.check(cache, wanted)
    build(cache)
    choice = requirements.choose(cache, wanted)
    assert choice.use == "built"
    assert "apt-get install skopeo" in choice.why[0]


def test_a_site_that_fails_on_the_way_leaves_what_was_built(wanted: Official, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "programs" / "skopeo-fails").touch()
    with pytest.raises(CannotStart, match="skopeo cannot pull"):
        start.pick(cache, wanted, Choice("download"), lambda _: None)
    build(cache)
    said: list[str] = []
    assert start.pick(cache, wanted, Choice("download"), said.append).release == cache.built
    assert "skopeo cannot pull" in said[-1]


# --- what the kernel gives


@pytest.mark.parametrize(
    ("free", "words"),
    [(100, ""), (99, "enough for 4 machines"), (40, "enough for 2 machines"), (0, "enough for 0 machines")],
)
def test_inotify_instances_that_are_few_are_said_with_what_to_type(free: int, words: str) -> None:
    said = requirements.inotify_words(free)
    assert bool(said) == bool(words)
    assert words in said
    if said:
        assert said.startswith("sysctl fs.inotify.max_user_instances=")


def test_inotify_instances_are_counted_by_the_kernel_and_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert requirements.free_inotify(3) == 3
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_machine_for_which_too_few_are_left_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 19
    monkeypatch.setattr(requirements, "free_inotify", lambda asked: min(asked, most))
    assert requirements.too_few("i-1").startswith("i-1 may not come up: sysctl fs.inotify.max_user_instances=1024 (")
    most = 128
    assert requirements.too_few("i-1") == ""


def test_a_computer_without_enough_for_two_machines_is_refused(
    wanted: Official, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "free_inotify", lambda: 39)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "choose", lambda *_: Choice("kept"))
    with pytest.raises(CannotStart, match=r"max_user_instances=1024 \(root has 39 inotify instances left"):
        requirements.check(cache, wanted)
