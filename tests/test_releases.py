"""lib/node/releases.py: the sums of what nodes download, pinned ones, a mirror's, and how they come to be pinned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Box
from helpers import minion_settings
from releasesite import Site

from lib.node import releases
from sandbox import pin


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A releases.env that has the sums of all files of the default versions."""
    lines = [f"SHA256_{name}_AMD64={number:064x}\n" for number, name in enumerate(releases.NAMES, start=1)]
    path = tmp_path / "releases.env"
    path.write_text(releases.RELEASES.read_text() + "".join(lines))
    monkeypatch.setattr(releases, "RELEASES", path)
    return path


@pytest.fixture
def site(_clean_environment: None) -> Iterator[Site]:
    """The default version, for both architectures."""
    there = Site()
    for architecture in pin.ARCHITECTURES:
        there.publish(releases.default_kubernetes(), architecture)
    yield there
    there.close()


def test_pinned_sums_are_those_of_the_sites_own_files(sandbox: Box, pinned: Path) -> None:
    sandbox.cluster(KUBE_DOWNLOAD_MIRROR="")
    found = minion_settings(sandbox)
    assert found["URL_KUBELET"].startswith("https://dl.k8s.io/")
    assert [found[f"SHA256_{name}"] for name in releases.NAMES] == [
        f"{number:064x}" for number in range(1, len(releases.NAMES) + 1)
    ]


def test_a_mirrors_own_sums_count_for_what_is_on_it(sandbox: Box, pinned: Path, site: Site) -> None:
    sandbox.cluster(KUBE_DOWNLOAD_MIRROR=site.url)
    found = minion_settings(sandbox)
    for name in releases.NAMES:
        content = site.files[site.path(found[f"URL_{name}"])]
        assert found[f"SHA256_{name}"] == hashlib.sha256(content).hexdigest()


def test_pinned_sums_are_not_those_of_another_kubernetes(pinned: Path) -> None:
    found = {each.name: each.pinned for each in releases.published("1.36.1", "amd64")}
    assert [name for name in releases.NAMES if not found[name]] == ["KUBEADM", "KUBELET", "KUBECTL"]
    assert all(each.pinned for each in releases.published(releases.default_kubernetes(), "amd64"))


def test_pinning_writes_what_the_sites_say(site: Site, pinned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [line for line in pinned.read_text().splitlines() if not line.startswith("SHA256_")]
    assert pin.main(["--mirror", site.url, "--file", str(pinned)]) == 0
    lines = pinned.read_text().splitlines()
    assert lines[: len(before)] == before
    assert lines[len(before) :] == capsys.readouterr().out.splitlines()
    for architecture in pin.ARCHITECTURES:
        wanted = releases.published(releases.default_kubernetes(), architecture, mirror=site.url)
        here = {each.name: each.pinned for each in releases.published(releases.default_kubernetes(), architecture)}
        assert here == {each.name: hashlib.sha256(site.files[site.path(each.url)]).hexdigest() for each in wanted}


def test_pinning_changes_nothing_when_a_sum_is_missing(
    site: Site, pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pinned.read_text()
    del site.files[next(path for path in site.files if path.endswith("arm64/kubelet.sha256"))]
    assert pin.main(["--mirror", site.url, "--file", str(pinned)]) == 1
    assert pinned.read_text() == before
    assert "arm64/kubelet.sha256 is not there (HTTP 404)" in capsys.readouterr().err
