"""The entry in kubeconfig: cluster, user and context of one name, merged in (the original's create-kubeconfig).

What is not ours stays as it stands, byte for byte: the file's text is edited where our entries are, not written anew.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import errno
import functools
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lib.cluster import Cluster, Pki
from lib.kube.api import Client, healthz, server_url
from lib.kube.kubetext import LOADER, SECTIONS, entry, is_entry, merge, without
from lib.run.errors import KubeError, SettingError
from lib.run.files import can_hold, make_private_directory, read_file

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.proxies import Proxy
    from lib.settings.config import Config

RENEW_DAYS = 90
_LOCK_SECONDS = 10.0  # kubectl holds its lock for milliseconds
_LARGEST = 10_000_000  # bytes
_TEMPORARY = ".kube-up."  # short, since the file's own name may be as long as a name can be


def chosen_file(config: Config) -> Path:
    """The file to write: what `_named_file` leads to."""
    path = _named_file(config)
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        raise _out_of_reach(config, error) from error


def _named_file(config: Config) -> Path:
    """Of the files that KUBECONFIG names, as kubectl, the first that is there, else the last."""
    paths = [Path(part) for part in config.kubeconfig.split(os.pathsep) if part]
    if not paths:
        raise SettingError("KUBECONFIG", f"{config.kubeconfig!r} names no file", "give one such as ~/.kube/config")
    try:
        return next((path for path in paths if path.exists()), paths[-1])
    except (OSError, RuntimeError) as error:
        raise _out_of_reach(config, error) from error


def _out_of_reach(config: Config, error: Exception) -> SettingError:
    problem = f"{config.kubeconfig} cannot be reached ({getattr(error, 'strerror', None) or error})"
    return SettingError("KUBECONFIG", problem, "give a file that you may write")


def check_kubeconfig(config: Config) -> None:
    """Raises SettingError when the file is not a kubeconfig or cannot be written. Changes nothing."""
    path = chosen_file(config)
    _load(path)
    parent = nearest_parent(path)
    if not parent.is_dir() or not can_hold(parent) or (path.exists() and not os.access(path, os.W_OK)):
        raise SettingError("KUBECONFIG", f"{path} cannot be written", "give a file that you may write")


def nearest_parent(path: Path) -> Path:
    """The innermost directory above the path that is there: where what is missing would be made."""
    return next(parent for parent in path.absolute().parents if os.path.exists(parent))


def _load(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it says; ('', {}) for one that is not there."""
    if path.exists() and not path.is_file():  # it is replaced as a whole, and a device must not be
        raise SettingError("KUBECONFIG", f"{path} is no regular file", "name one, such as ~/.kube/config")
    try:
        content = read_file(path, most=_LARGEST) if path.exists() else b""
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        text = content.decode()
        data = yaml.load(text, Loader=LOADER) or {}  # noqa: S506 a safe loader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, no such date
        problem = " ".join(str(error).split())
        raise SettingError(
            "KUBECONFIG", f"{path} cannot be read ({problem})", "mend it, or name another file"
        ) from error
    sections = [data.get(section) or [] for section in SECTIONS] if isinstance(data, dict) else [None]
    if not all(isinstance(s, list) and all(is_entry(e) for e in s) for s in sections):
        raise SettingError("KUBECONFIG", f"{path} is not a kubeconfig", "mend it, or name another file")
    return text, data


def ensure_kubeconfig(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its entries in KUBECONFIG, made current, and what its API is asked with.

    A client certificate of this CA with more than 90 days left is kept, so that a rerun changes nothing.
    """
    config, pki = cluster.config, cluster.authority
    # The run itself asks the address: a name that is new may take a while to be known here.
    server, known_by = server_url(config, cluster.public_ip), cluster.master.name
    if config.kube_api_dns_name != known_by:
        aws.console.differs(
            f"the API's certificate has no {config.kube_api_dns_name}, so kubeconfig gets its address: "
            f"KUBE_REPLACE_MASTER={cluster.master.instance_id} python kube_up.py makes it anew"
        )
    path = chosen_file(config)
    text, data = _load(path)
    name = config.context
    client, _ = _client(aws, name, data, server=server, pki=pki)
    cert, key = client.cert, client.key
    wanted: dict[str, dict[str, Any]] = {
        "clusters": {
            "server": server_url(config, known_by or cluster.public_ip),
            "certificate-authority-data": _b64(pki.ca_cert),
        },
        "users": {"client-certificate-data": _b64(cert), "client-key-data": _b64(key)},
        "contexts": {"cluster": name, "user": name},
    }
    merged = merge(text, data, name, wanted)
    if merged == text:
        aws.console.found(f"context {name} in {path}")
    else:

        def write() -> None:
            with _locked(aws, config):
                write_private(path, merge(*_load(path), name, wanted))  # as it is now: others write it too

        aws.change("write", f"context {name} into {path}", write)
        _say_of_current(aws, data, name)
    by = _proxy_url(data, name)
    if kind := aws.unusable_proxy(server, by):
        aws.console.warn(f"a proxy of kind {kind} is not for the API, which is asked directly; one of kind http is")
    client = dataclasses.replace(client, name=known_by)
    return cluster.having(Cluster.client, client)


def find_client(aws: Aws, config: Config, pki: Pki, *, server: str) -> tuple[Client, bool]:
    """What the cluster's API is asked with, and whether its certificate is kubeconfig's; else it is for this run alone.

    Raises SettingError for a kubeconfig that cannot be read.
    """
    return _client(aws, config.context, _load(chosen_file(config))[1], server=server, pki=pki)


def _client(aws: Aws, name: str, data: Mapping[str, Any], *, server: str, pki: Pki) -> tuple[Client, bool]:
    from lib.kube import certificates

    kept = _kept_certificate(entry(data, "users", name), pki)
    cert, key = kept or certificates.make_client_certificate(pki.ca_cert, pki.ca_key, user=name)
    proxy = aws.proxy(server, _proxy_url(data, name))
    return Client(server=server, ca_cert=pki.ca_cert, cert=cert, key=key, proxy=proxy), bool(kept)


def _say_of_current(aws: Aws, data: Mapping[str, Any], name: str) -> None:
    """Say that kubectl's context is another one from now on, and how to have the old one back."""
    was = str(data.get("current-context") or name)
    if was != name:
        now = f"{'would become' if aws.dry_run else 'is now'} {name}"
        aws.console.say(f"kubectl's context {now}; it was {was}: kubectl config use-context {shlex.quote(was)}")


def refuse_another_cluster(aws: Aws, config: Config, *, server: str, ca_cert: Callable[[], bytes]) -> None:
    """Raises SettingError where the context's name in kubeconfig is that of another cluster, whose API answers.

    Of one that does not answer a warning says that it is replaced. `server` is this cluster's API at its elastic IP,
    which is one cluster's at a time, '' where it has none; what has another is told apart by the CA, which `ca_cert`
    reads.
    """
    name, path = config.context, chosen_file(config)
    data = _load(path)[1]
    names = dict.fromkeys([name, str(entry(data, "contexts", name).get("cluster") or name)])
    others = [there for there in (entry(data, "clusters", each) for each in names) if there.get("server")]
    if all(there["server"] == server for there in others):
        return
    ours = _b64(ca_cert())
    for there in others:
        if there["server"] == server or (ours and there.get("certificate-authority-data") == ours):
            continue
        if _answers(aws, there):
            raise SettingError(
                "KUBE_CONFIG_CONTEXT",
                f"{name} is another cluster's in {path}: {there['server']}, which answers",
                f"give another name, such as {name}_{config.region}",
            )
        aws.console.warn(f"{path}: {name} is of {there['server']}, which does not answer, and is replaced")


def _answers(aws: Aws, cluster: Mapping[str, Any]) -> bool:
    """Whether the API server of a cluster's entry is there, by its own CA: others may have its address by now."""
    server, authority = str(cluster["server"]), cluster.get("certificate-authority")
    try:
        ca_cert = base64.b64decode(cluster.get("certificate-authority-data") or "")
        if authority and not ca_cert:
            ca_cert = read_file(authority, most=_LARGEST)
        return healthz(server, ca_cert, proxy=aws.proxy(server, str(cluster.get("proxy-url") or ""))) is not None
    except (OSError, ValueError, TypeError):
        return False


def find_proxy(aws: Aws, config: Config, server: str) -> Proxy | None:
    """The proxy that the cluster's API is asked through, by kubeconfig or the environment; None for none.

    Raises SettingError for a kubeconfig that cannot be read.
    """
    return aws.proxy(server, _proxy_url(_load(chosen_file(config))[1], config.context))


def _proxy_url(data: Mapping[str, Any], name: str) -> str:
    return str(entry(data, "clusters", name).get("proxy-url") or "")


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _kept_certificate(user: Mapping[str, Any], pki: Pki) -> tuple[bytes, bytes] | None:
    from lib.kube import certificates

    try:
        cert = base64.b64decode(user["client-certificate-data"])
        key = base64.b64decode(user["client-key-data"])
    except (KeyError, ValueError, TypeError):
        return None
    if not certificates.is_issued_by(cert, pki.ca_cert) or not certificates.is_pair(cert, key):
        return None
    left = certificates.ends(cert) - datetime.datetime.now(datetime.UTC)
    return (cert, key) if left > datetime.timedelta(days=RENEW_DAYS) else None


def remove_entries(config: Config, servers: Sequence[str], ca_cert: bytes) -> Callable[[Aws, str], None]:
    """A function that takes a context's entries out, if they are the cluster's: by its CA where that is known.

    Else by its addresses, as far as they are still there; one inside a VPC may be another cluster's too. By the CA also
    those under the names that KUBE_CONFIG_CONTEXT had before.
    """

    def remove(aws: Aws, name: str) -> None:
        path = chosen_file(config)
        if not path.is_file():
            return

        def write(each: str) -> None:
            with _locked(aws, config):
                write_private(path, without(*_load(path), each))

        for each in _own_names(_load(path)[1], name, servers, ca_cert):
            aws.remove("remove", f"context {each} from {path}", functools.partial(write, each))

    return remove


def _own_names(data: Mapping[str, Any], name: str, servers: Sequence[str], ca_cert: bytes) -> list[str]:
    """The names of the cluster's entries: `name`, if they are its, and others that have its CA and the form of ours."""
    if not ca_cert:
        return [name] if entry(data, "clusters", name).get("server") in servers else []
    names = [str(item["name"]) for item in data.get("clusters") or [] if "name" in item]
    by_ca = [n for n in names if entry(data, "clusters", n).get("certificate-authority-data") == _b64(ca_cert)]
    return [n for n in by_ca if n == name or _is_of_form(entry(data, "contexts", n), n)]


def _is_of_form(context: Mapping[str, Any], name: str) -> bool:
    return context.get("cluster") == context.get("user") == name


@contextlib.contextmanager
def _locked(aws: Aws, config: Config) -> Iterator[None]:
    """Within, nobody else writes the file who minds kubectl's lock: the file's name and ".lock", made exclusively.

    By the name that KUBECONFIG has and, where that is a link, by what it leads to. Raises KubeError when somebody holds
    it for long. client-go's clientcmd/loader.go: lockFile, lockName.
    """
    path = chosen_file(config)
    make_private_directory(path.parent)
    named = _named_file(config)
    names = {named.parent.resolve() / named.name, path}  # two ways to one folder are one lock
    with contextlib.ExitStack() as held:
        for name in sorted(names):
            lock = name.with_name(f"{name.name}.lock")
            if _take_lock(aws, lock):
                held.callback(lock.unlink, missing_ok=True)
        yield


def _take_lock(aws: Aws, lock: Path) -> bool:
    """True once it is ours; False where no such file can be made at all, for kubectl neither."""
    end = aws.clock.monotonic() + _LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError as error:
            if aws.clock.monotonic() >= end:
                raise KubeError(
                    f"{lock} is there for {_LOCK_SECONDS:.0f} s: kubectl or another run writes the file, or was killed",
                    hint=f"where none of them runs, rm {shlex.quote(str(lock))}; then run the same command again",
                ) from error
            aws.clock.sleep(0.1)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise KubeError(
                f"{lock} cannot be made: {error.strerror}", hint="mend that, then run this again"
            ) from error
        else:
            return True


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; it is nobody else's to read from its first byte on.

    Raises KubeError where it cannot be written, and then the file is as it was.
    """
    try:
        _replace(path, text)
    except OSError as error:
        raise KubeError(
            f"{path} cannot be written: {error.strerror}",
            hint="it is as it was; mend that, and run the same command again",
        ) from error


def _replace(path: Path, text: str) -> None:
    make_private_directory(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
