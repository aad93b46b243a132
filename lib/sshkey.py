"""The ssh key: a local file, and the key pair that EC2 puts on the machines (the original's import-public-key)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lib.aws.changes import one
from lib.aws.client import Aws
from lib.aws.tags import cluster_tags, find_borne, refuse_others, tag_specification, tags_of
from lib.cluster import Cluster
from lib.kubeconfig import nearest_parent
from lib.run.errors import KubeError, MissingProgram, SettingError
from lib.run.files import can_hold, make_private_directory, read_file
from lib.run.programs import PACKAGES, find_program, run_program

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import KeyPairInfoTypeDef

    from lib.settings.config import Config

_LARGEST_KEY = 100_000  # bytes; one of RSA with 16384 bits has 3 KB


def check_key(config: Config) -> None:
    """Raises SettingError when AWS_SSH_KEY can be neither read nor made. Changes nothing."""
    key = Path(config.aws_ssh_key)
    public = public_path(config)
    try:
        _check_files(config, key, public)
    except OSError as error:
        problem = f"{config.aws_ssh_key} cannot be reached ({error.strerror})"
        raise SettingError("AWS_SSH_KEY", problem, "give the path of a private key that you may read") from error


def _check_files(config: Config, key: Path, public: Path) -> None:
    for path in (key, public):
        if os.path.lexists(path) and not (path.is_file() and os.access(path, os.R_OK)):
            problem = f"{path} cannot be read or is no file"
            raise SettingError("AWS_SSH_KEY", problem, "give a private key file that you may read")
    if public.exists():
        _check_public(config, _read_public(public))
    if not (key.exists() and public.exists()) and find_program("ssh-keygen") is None:
        raise MissingProgram("ssh-keygen", package=PACKAGES["ssh-keygen"])
    if not key.exists() and public.exists():
        raise SettingError(
            "AWS_SSH_KEY", f"{public} is there but {key} is not", "put the private key back, or name another file"
        )
    if key.exists() and not public.exists():
        _derive(key)
    parent = nearest_parent(key)
    if not key.exists() and not (parent.is_dir() and can_hold(parent)):
        raise SettingError("AWS_SSH_KEY", f"{key} is not there and cannot be made", "give a path that you may write")


def _check_public(config: Config, public: str) -> None:
    _fingerprint(config, public)
    kind = public.split()[0]
    if kind not in ("ssh-ed25519", "ssh-rsa"):
        raise SettingError(
            "AWS_SSH_KEY", f"{config.aws_ssh_key} is {kind}, which EC2 does not take", "give ed25519 or RSA"
        )


def public_path(config: Config) -> Path:
    """Where the public half stands."""
    return Path(config.aws_ssh_key + ".pub")


def _read_public(public: Path) -> str:
    """The text of a public key; of a file that is larger than any is, its beginning."""
    return read_file(public, most=_LARGEST_KEY).decode(errors="replace")


def ensure_key_files(aws: Aws, config: Config) -> str:
    """The public key's text; both files are made with ssh-keygen where there is none. Never replaces a file.

    Raises SettingError for a private key whose public half can be had in no way, MissingProgram without ssh-keygen.
    """
    key, public = Path(config.aws_ssh_key), public_path(config)
    if not key.exists():
        aws.change("create", f"ssh key {key}", lambda: _generate(config, key))
        if aws.dry_run:
            return ""
    if not public.exists():
        return _derive(key)
    return _read_public(public)


def _generate(config: Config, key: Path) -> None:
    """Make both halves beside their places and move them there whole; the public one can be had from the private."""
    make_private_directory(key.parent)
    with tempfile.TemporaryDirectory(dir=key.parent, prefix=".kube-up.") as folder:
        made = Path(folder) / "key"
        run_program(
            "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"kubernetes-{config.cluster_id}", "-f", str(made)
        )
        made.rename(key)
        made.with_name("key.pub").rename(public_path(config))


def _derive(key: Path) -> str:
    try:
        return run_program("ssh-keygen", "-y", "-P", "", "-f", str(key))
    except KubeError as failed:
        raise SettingError(
            "AWS_SSH_KEY",
            f"{key}.pub is not there, and {key} does not give it up without a passphrase ({failed})",
            f"make it: ssh-keygen -y -f {shlex.quote(str(key))} > {shlex.quote(f'{key}.pub')}",
        ) from failed


def _fingerprint(config: Config, public: str) -> str:
    fields = public.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (IndexError, binascii.Error) as bad:
        raise SettingError(
            "AWS_SSH_KEY", f"{config.aws_ssh_key}.pub is not a public key", "give a key made with ssh-keygen"
        ) from bad
    return "SHA256" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def key_name(config: Config, public: str) -> str:
    """kubernetes-<id>-<fingerprint without colons>: two clusters may share one key file."""
    return f"kubernetes-{config.cluster_id}-{_fingerprint(config, public)}"


def local_key_name(config: Config) -> str:
    """The name of the key pair of this computer's key, '' where its public half cannot be read."""
    try:
        return key_name(config, _read_public(public_path(config)))
    except (OSError, SettingError):
        return ""


def find_key_pair(aws: Aws, name: str) -> KeyPairInfoTypeDef | None:
    """The key pair of that name with its public key, None if there is none."""
    asked = [{"Name": "key-name", "Values": [name]}]
    found: list[KeyPairInfoTypeDef] = aws.every("describe_key_pairs", "KeyPairs", Filters=asked, IncludePublicKey=True)
    return one(f"key pair {name}", found, lambda pair: pair["KeyPairId"])


def ensure_key_pair(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with its key pair's name, imported where it is not there.

    Raises KubeError when one of that name holds another key: a machine must not be opened by a stranger's.
    """
    config = cluster.config
    public = ensure_key_files(aws, config)
    if public:
        name = _ensure_imported(aws, config, public)
    else:  # a dry run, before there is a key to name it by
        aws.make(f"key pair from {public_path(config)}", lambda: "")
        name = f"kubernetes-{config.cluster_id}-(new)"
    return cluster.having(Cluster.key_name, name)


def _ensure_imported(aws: Aws, config: Config, public: str) -> str:
    name, wanted = key_name(config, public), {"Name": config.cluster_id, **cluster_tags(config)}
    found = find_key_pair(aws, name)
    if found:
        refuse_others(config.cluster_id, f"key pair {found['KeyPairId']} {name}", tags_of(found))
        _check_material(found, public)
        aws.repair_tags(found["KeyPairId"], tags_of(found), wanted)
        aws.console.found(f"key pair {name}")
        return name

    def look() -> str | None:
        again = find_key_pair(aws, name)
        return again["KeyName"] if again else None

    tags = tag_specification("key-pair", wanted)
    return (
        aws.make(
            f"key pair from {public_path(config)}",
            lambda: aws.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public.encode(), TagSpecifications=tags)[
                "KeyName"
            ],
            look=look,
        )
        and name
    )


def _check_material(found: KeyPairInfoTypeDef, public: str) -> None:
    there = found.get("PublicKey", "").split()[:2]
    if there and there != public.split()[:2]:
        raise KubeError(
            f"the key pair {found['KeyName']} holds another key than AWS_SSH_KEY",
            hint=f"if nothing uses it: aws ec2 delete-key-pair --key-pair-id {found['KeyPairId']}",
        )


def tagged_key_pairs(aws: Aws, config: Config) -> list[KeyPairInfoTypeDef]:
    """The key pairs with a tag of the cluster's, whatever local file they came from."""
    found: list[KeyPairInfoTypeDef] = find_borne(
        lambda filters: aws.every("describe_key_pairs", "KeyPairs", Filters=filters),
        config.cluster_id,
        lambda pair: pair["KeyPairId"],
    )
    return found


def delete_key_pair(aws: Aws, pair: KeyPairInfoTypeDef) -> None:
    """Remove a key pair of ours from EC2; the local files stay."""
    key_pair_id = pair["KeyPairId"]
    aws.remove("delete", f"key pair {pair['KeyName']}", lambda: aws.ec2.delete_key_pair(KeyPairId=key_pair_id))
