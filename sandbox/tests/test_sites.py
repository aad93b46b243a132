"""ECR, registry.k8s.io and Debian's mirror as machines of the sandbox see them."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Box

from sandbox.machines import registry as registries
from sandbox.machines import sites
from sandbox.machines.ecr import Ecr
from sandbox.machines.servers import Server, listen

HOST = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
PUBLIC = "registry.k8s.io"


def archive(path: Path) -> Path:
    """A docker-archive of one image, pause:3.10, of one layer."""
    parts = {
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": ["registry.k8s.io/pause:3.10"], "Layers": ["layer.tar"]}]
        ).encode(),
        "config.json": b"{}",
        "layer.tar": b"a layer",
    }
    with tarfile.open(path, "w") as files:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def registry(sandbox: Box, tmp_path: Path) -> Iterator[str]:
    archives = [archive(tmp_path / "pause.tar")]
    ecr, repositories = Ecr(archives, sandbox.aws.world.ecr_password), registries.Repositories(archives)
    handler = sites.handler(tmp_path, aws=("", 0), who=str, repositories=repositories, ecr=ecr)
    listener = listen(("127.0.0.1", 0))
    server = Server(listener, handler)
    yield "http://{}:{}".format(*listener.getsockname())
    server.close()


def get(
    registry: str, path: str, token: str = "", *, host: str = HOST, method: str = "GET"
) -> tuple[int, bytes, dict[str, str]]:
    headers = {"Host": host} | ({"Authorization": f"Basic {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(registry + path, headers=headers, method=method)) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_the_answer_of_get_authorization_token_opens_the_registry(sandbox: Box, registry: str) -> None:
    (data,) = sandbox.client("ecr").get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == f"https://{HOST}"
    left = data["expiresAt"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(hours=11) < left <= datetime.timedelta(hours=12)
    status, body, headers = get(registry, "/v2/pause/manifests/3.10", data["authorizationToken"])
    assert (status, headers["Content-Type"]) == (200, registries.MANIFEST)
    assert headers["Docker-Content-Digest"] == "sha256:" + hashlib.sha256(body).hexdigest()
    for part in (json.loads(body)["config"], *json.loads(body)["layers"]):
        status, blob, _ = get(registry, f"/v2/pause/blobs/{part['digest']}", data["authorizationToken"])
        assert (status, part["digest"]) == (200, "sha256:" + hashlib.sha256(blob).hexdigest())
        # Else the kubelet would take it for the release's image of that name, pulled with ECR's rights.
        assert blob != b"{}"
    again = get(registry, f"/v2/pause/manifests/{headers['Docker-Content-Digest']}", data["authorizationToken"])
    assert again[:2] == (200, body)


def test_registry_k8s_io_gives_the_images_as_they_are_to_anybody(registry: str) -> None:
    """Also to machines that have them already: with imagePullPolicy Always a kubelet asks all the same."""
    status, body, headers = get(registry, "/v2/pause/manifests/3.10", host=PUBLIC)
    assert (status, headers["Content-Type"]) == (200, registries.MANIFEST)
    assert headers["Docker-Content-Digest"] == "sha256:" + hashlib.sha256(body).hexdigest()
    head = get(registry, "/v2/pause/manifests/3.10", host=PUBLIC, method="HEAD")
    assert (head[0], head[1], head[2]["Docker-Content-Digest"]) == (200, b"", headers["Docker-Content-Digest"])
    config, layer = json.loads(body)["config"], json.loads(body)["layers"][0]
    assert get(registry, f"/v2/pause/blobs/{config['digest']}", host=PUBLIC)[:2] == (200, b"{}")
    assert get(registry, f"/v2/pause/blobs/{layer['digest']}", host=PUBLIC)[:2] == (200, b"a layer")
    assert get(registry, "/v2/pause/manifests/9", host=PUBLIC)[0] == 404
    assert get(registry, "/v2/", host=PUBLIC)[:2] == (200, b"{}")


@pytest.mark.parametrize("token", ["", base64.b64encode(b"AWS:123456789012-auth-token").decode()])
def test_without_it_the_registry_asks_for_basic_auth(registry: str, token: str) -> None:
    status, body, headers = get(registry, "/v2/pause/manifests/3.10", token)
    assert (status, body) == (401, b"Not Authorized\n")
    assert headers["Www-Authenticate"] == f'Basic realm="https://{HOST}/",service="ecr.amazonaws.com"'


def test_what_is_not_there_is_not_found(sandbox: Box, registry: str) -> None:
    token = sandbox.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    for path in ("/v2/pause/manifests/9", "/v2/other/manifests/3.10", f"/v2/pause/blobs/sha256:{'0' * 64}", "/v3/"):
        assert get(registry, path, token)[0] == 404


@pytest.mark.parametrize("host", [sites.DEBIAN, sites.DEBIAN_IN_AWS])
@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ('for last; do :; done; echo "$*" >"$last"', (200, b"http://deb.debian.org/debian/dists/trixie/InRelease")),
        (
            'echo "E: Failed to fetch http://deb.debian.org/x  404  Not Found [IP: 192.0.2.1 80]"; exit 100',
            (404, b"E: "),
        ),
        ('echo "E: Could not connect"; exit 100', (503, b"E: Could not connect")),
    ],
    ids=["there", "not there", "no mirror"],
)
def test_debians_mirror_is_what_this_computers_apt_reaches(
    host: str, registry: str, monkeypatch: pytest.MonkeyPatch, script: str, wanted: tuple[int, bytes]
) -> None:
    monkeypatch.setattr(sites, "APT_HELPER", ("sh", "-c", script, "apt-helper"))
    request = urllib.request.Request(f"{registry}/debian/dists/trixie/InRelease", headers={"Host": host})
    try:
        with urllib.request.urlopen(request) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    assert (status, wanted[1] in body) == (wanted[0], True)
