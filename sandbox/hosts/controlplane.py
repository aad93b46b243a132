"""Simulated hosts: a master that answers at its elastic IP with the cluster's own certificates, minions that join it.

A host does what its user-data says as far as others can see it: it reads the CA and the token from the bucket as the
bootstrap does, says its steps on the console, attaches its disk, and is a node. Nothing runs on it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import ipaddress
import re
import shlex
import tarfile
import threading
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sandbox.backend import cloud, launching, nodes
from sandbox.hosts import apiserver
from sandbox.world import World

SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_QUOTES = re.compile(r"[\s'\"\\]")
MASTER_STEPS = ("settings", "host", "downloads", "containerd", "disk", "secrets", "control plane", "addons")
MINION_STEPS = ("settings", "host", "downloads", "containerd", "master", "join")


class NotYet(Exception):
    """A host's step fails; the words are what its console says."""

    def __init__(self, words: str, step: str = "secrets") -> None:
        super().__init__(words)
        self.step = step


@dataclass(slots=True)
class Host:
    """One instance as a host: what its user-data says, and how far it has come."""

    id: str
    instance: Any
    region: str
    settings: dict[str, str]
    server: apiserver.Server | None = None
    said: str = ""
    authority: bytes = field(default=b"", repr=False)
    applied: bool = False

    @property
    def role(self) -> str:
        """KUBE_ROLE: master, minion, or nothing for a foreign instance."""
        return self.settings.get("KUBE_ROLE", "")

    @property
    def address(self) -> str:
        """Its private address."""
        return nodes.address(self.instance)


class Hosts:
    """All simulated hosts of the account."""

    def __init__(self, world: World, lock: threading.RLock) -> None:
        self._world, self._lock = world, lock
        self._hosts: dict[str, Host] = {}

    def tick(self) -> None:
        """Let hosts start and end by the instances' states and the clock."""
        up = {key for key, due in self._world.state.hosts.items() if due <= self._world.now}
        for key in [key for key in self._hosts if key not in up]:
            self._stop(self._hosts.pop(key))
        for region in cloud.regions_in_use() if up else []:
            for instance_id, instance in nodes.running(region).items():
                if instance_id in up:
                    self._step(self._host(region, instance_id, instance))

    def close(self) -> None:
        """Stop all of them."""
        for host in self._hosts.values():
            self._stop(host)
        self._hosts.clear()

    def _host(self, region: str, instance_id: str, instance: Any) -> Host:
        host = self._hosts.get(instance_id)
        if host is None:
            host = self._hosts[instance_id] = Host(instance_id, instance, region, settings_of(instance))
        return host

    def _step(self, host: Host) -> None:
        """One attempt at what is not done yet."""
        if host.role == "master":
            self._master(host)
        elif host.role == "minion" and not host.said:
            self._join(host)

    # --- master ---

    def _master(self, host: Host) -> None:
        wanted = nodes.reachable_at(host.region, host.instance, _port(host))
        if host.server is not None and host.server.address != wanted:
            self._stop(host)
        if not host.authority:
            self._boot(host)
        if host.authority and not host.applied:
            self._apply(host)
        if host.authority and host.server is None and wanted is not None:
            self._serve(host, wanted)
        if self._has_controller(host):
            self._initialize(host)
            nodes.make_routes(host.region, host.instance, self._minions(host), host.settings)

    def _has_controller(self, host: Host) -> bool:
        """Whether the cloud controller manager runs: an addon, which etcd on the master's disk has once it was applied.

        Or which a snapshot has, that the disk was made from.
        """
        if not host.authority:
            return False
        has = host.settings.get("MASTER_DISK_ID", "") in self._world.state.kube.applied
        return has or bool(host.settings.get("KUBE_RESTORE_VERSION"))

    def _initialize(self, master: Host) -> None:
        """Its part of each node that has joined."""
        self._world.state.kube.initialized.update(host.id for host in (master, *self._minions(master)))

    def _boot(self, host: Host) -> None:
        try:
            disk = host.settings.get("MASTER_DISK_ID", "")
            attached = nodes.attach_disk(host.region, host.instance, disk)
            host.authority = _read(host.settings, "pki.tar")
            _authority(host.authority)
            if attached:
                _upgrade(self._world.state.disks, disk, host.settings.get("KUBERNETES_VERSION", ""))
        except NotYet as reason:
            host.authority = b""
            self._say(host, MASTER_STEPS, failed=(reason.step, str(reason)))

    def _apply(self, host: Host) -> None:
        """The addons, each fetched from the bucket once (bootstrap-master.sh, addons)."""
        applied = self._world.state.kube.applied
        try:
            for entry in [] if host.id in applied else host.settings.get("ADDONS", "").split():
                _manifest(host.settings, entry.partition(":")[2])
        except NotYet as reason:
            self._say(host, MASTER_STEPS, failed=(reason.step, str(reason)))
        else:
            host.applied = True
            applied.update((host.id, host.settings.get("MASTER_DISK_ID", "")))
            self._say(host, MASTER_STEPS)

    def _serve(self, host: Host, address: tuple[str, int]) -> None:
        certificate, key = _authority(host.authority)
        identity = apiserver.identity(certificate, key, names(host.settings, address[0]))

        def answer(path: str, user: apiserver.User, accept: str) -> apiserver.Reply:
            with self._lock:
                return apiserver.answer(self._cluster(host), path, user, accept)

        def change(method: str, path: str, user: apiserver.User, body: bytes) -> apiserver.Reply:
            with self._lock:
                return apiserver.change(self._cluster(host), method, path, user, body)

        try:
            host.server = apiserver.Server(address, identity, answer, change)
        except OSError as error:
            words = f"{address[0]}:{address[1]} cannot be listened on: {error.strerror}"
            self._say(host, MASTER_STEPS, failed=("control plane", words))

    def _cluster(self, master: Host) -> nodes.Cluster:
        kube = self._world.state.kube
        hosts = [host for host in (master, *self._minions(master)) if host.id not in kube.deleted]
        members = [nodes.Member(host.instance, host.region, host.settings) for host in hosts]
        return nodes.Cluster(members, master.settings, kube)

    def _minions(self, master: Host) -> list[Host]:
        """The running minions that know this master, by its address, its CA and its token."""
        return [
            host
            for host in self._hosts.values()
            if host.said == "joined" and nodes.is_running(host.instance) and _knows(host, master)
        ]

    # --- minion ---

    def _join(self, host: Host) -> None:
        master = next((other for other in self._hosts.values() if other.role == "master" and _knows(host, other)), None)
        if master is None or not master.authority:
            return
        try:
            _check_trust(host, master)
        except NotYet as reason:
            self._say(host, MINION_STEPS, failed=("join", str(reason)))
        else:
            host.said = ""
            self._say(host, MINION_STEPS)
            host.said = "joined"
            if self._has_controller(master):
                self._initialize(master)

    def _say(self, host: Host, steps: tuple[str, ...], failed: tuple[str, str] | None = None) -> None:
        """The bootstrap's lines on the console, once for each different outcome."""
        outcome = f"failed {failed}" if failed else "ok"
        if host.said == outcome:
            return
        host.said = outcome
        console = self._world.state.consoles.setdefault(host.id, [])
        for number, step in enumerate(steps, 1):
            if failed and step == failed[0]:
                console.append(f"kube-bootstrap: step {number}/{len(steps)} {step}: failed: {failed[1]}")
                return
            console.append(f"kube-bootstrap: step {number}/{len(steps)} {step}: ok")
        console.append("kube-bootstrap: done after 1 s")

    @staticmethod
    def _stop(host: Host) -> None:
        if host.server is not None:
            host.server.close()
            host.server = None


def settings_of(instance: Any) -> dict[str, str]:
    """The settings in an instance's user-data: its lines NAME=value, quoted for a shell. Empty for any other data."""
    try:
        data = launching.user_data(instance)
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (OSError, ValueError, EOFError):
        return {}
    found: dict[str, str] = {}
    for name, value in SETTING.findall(text):
        if name not in found:  # the settings come first; the bootstrap's own variables do not change them
            found[name] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    if not _QUOTES.search(value):
        return value
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def _port(host: Host) -> int:
    return int(host.settings.get("KUBE_API_PORT") or 443)


def _knows(minion: Host, master: Host) -> bool:
    return (
        minion.region == master.region
        and minion.settings.get("MASTER_INTERNAL_IP") == master.address
        and nodes.in_one_vpc(minion.instance, master.instance)
    )


def _read(settings: dict[str, str], name: str) -> bytes:
    """An object under the cluster's prefix, as the master reads it."""
    key = settings.get("KUBE_BUCKET_PREFIX", "") + name
    found = cloud.find_object(settings.get("KUBE_BUCKET", ""), key)
    if found is None:
        raise NotYet(f"s3://{settings.get('KUBE_BUCKET')}/{key}: 404")
    return found


def _manifest(settings: dict[str, str], sha256: str) -> None:
    """An addon's, as the bootstrap takes it (bootstrap-master.sh, addon). Raises NotYet."""
    name = f"addons/{sha256}"
    try:
        content = _read(settings, name)
    except NotYet as missing:
        raise NotYet(str(missing), "addons") from missing
    if hashlib.sha256(content).hexdigest() != sha256:
        place = f"s3://{settings.get('KUBE_BUCKET')}/{settings.get('KUBE_BUCKET_PREFIX', '')}{name}"
        raise NotYet(f"{place} has another content", "addons")


def _upgrade(disks: dict[str, str], disk: str, wanted: str) -> None:
    """Have the disk become of that release, as far as the bootstrap lets it (bootstrap-master.sh, upgrading)."""
    has = disks.get(disk, wanted)
    before, after = _numbers(has), _numbers(wanted)
    if after < before:
        words = f"what is on {disk} is Kubernetes {has} by now, and cannot become {wanted}"
        raise NotYet(words, "control plane")
    if after[:2] > (before[0], before[1] + 1):
        words = f"Kubernetes {has}, which is on {disk}, cannot become {wanted} in one step"
        raise NotYet(words, "control plane")
    disks[disk] = wanted


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)) or (0, 0)


def _authority(archive: bytes) -> tuple[x509.Certificate, Any]:
    """CA certificate and key out of pki.tar."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            content = {member.name.removeprefix("./"): files.extractfile(member) for member in files if member.isfile()}
            parts = {name: file.read() for name, file in content.items() if file is not None}
        certificate = x509.load_pem_x509_certificate(parts["ca.crt"])
        return certificate, serialization.load_pem_private_key(parts["ca.key"], None)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise NotYet(f"pki.tar: {error}") from error


def _check_trust(minion: Host, master: Host) -> None:
    """kubeadm join's two checks: the CA by its hash, and the token."""
    certificate, _ = _authority(master.authority)
    public = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if minion.settings.get("CA_CERT_HASH", "") != "sha256:" + hashlib.sha256(public).hexdigest():
        raise NotYet("cluster CA found does not match the hash in CA_CERT_HASH")
    token = _read(master.settings, "join-token").decode().strip()
    if minion.settings.get("KUBE_JOIN_TOKEN", "") != token:
        raise NotYet("the token is not known to the cluster")


def _is_address(text: str) -> bool:
    return text.replace(".", "").isdigit()


def names(settings: dict[str, str], public: str) -> list[x509.GeneralName]:
    """What the API server's certificate is good for (the original's list)."""
    domain = settings.get("DNS_DOMAIN") or "cluster.local"
    hosts = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{domain}"]
    hosts += [settings["MASTER_NAME"]] if settings.get("MASTER_NAME") else []
    hosts += [name for name in settings.get("MASTER_PUBLIC_IP", "").split(", ") if name and not _is_address(name)]
    addresses = [public, settings.get("MASTER_INTERNAL_IP", ""), settings.get("KUBERNETES_SERVICE_IP", "")]
    unique = dict.fromkeys(address for address in addresses if address)
    return [*(x509.DNSName(name) for name in hosts), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in unique)]
