"""The cluster's certificate authorities and keys, made once on the client (the original's create-certs).

They are one object, pki.tar, laid out as /etc/kubernetes/pki, so that there is never half of them. kubeadm uses what it
finds there and makes the rest.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import secrets
import string
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lib import bucket as staging
from lib.errors import KubeError

if TYPE_CHECKING:
    from lib.aws import Aws
    from lib.bucket import Bucket

OBJECT = "pki.tar"
TOKEN_OBJECT = "join-token"  # noqa: S105 the name of the object
CA_DAYS = 3650
CLIENT_DAYS = 365
# kubeadm binds this group to cluster-admin and can take that away again, which it cannot from system:masters.
ADMIN_GROUP = "kubeadm:cluster-admins"


@dataclass(frozen=True)
class Pki:
    """The cluster's CA, as what the client needs of it: PEM."""

    ca_cert: bytes
    ca_key: bytes

    def __repr__(self) -> str:  # a key must not get into a traceback or a log
        return f"Pki({self.ca_cert_hash()})"

    def certificate(self) -> x509.Certificate:
        """The CA's certificate."""
        return x509.load_pem_x509_certificate(self.ca_cert)

    def ca_cert_hash(self) -> str:
        """sha256:<hex> of the CA's public key, by which a joining node knows it (kubeadm's discovery form)."""
        spki = (
            self.certificate()
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return "sha256:" + hashlib.sha256(spki).hexdigest()


def ensure_pki(aws: Aws, bucket: Bucket) -> Pki:
    """The CA in the bucket, made there if there is none. Raises KubeError when the object is not a CA."""
    content = staging.read_object(aws, bucket, OBJECT)
    if content is None:
        content = staging.make_object(aws, bucket, OBJECT, _pack(make_files()), words="certificate authorities")
    pki = _unpack(content)
    aws.console.found(
        f"certificate authority {pki.ca_cert_hash()[:23]}… until {pki.certificate().not_valid_after_utc:%Y-%m-%d}"
    )
    return pki


def ensure_join_token(aws: Aws, bucket: Bucket) -> str:
    """The minions' bootstrap token, made in the bucket if there is none: <6>.<16> of lower case and digits."""
    content = staging.read_object(aws, bucket, TOKEN_OBJECT)
    if content is None:
        content = staging.make_object(aws, bucket, TOKEN_OBJECT, _new_token().encode(), words="join token")
    return content.decode().strip()


def _new_token() -> str:
    letters = string.ascii_lowercase + string.digits
    return ".".join("".join(secrets.choice(letters) for _ in range(length)) for length in (6, 16))


def make_files() -> dict[str, bytes]:
    """What is made once for a cluster, by file name under /etc/kubernetes/pki."""
    files: dict[str, bytes] = {}
    for name, common_name in (("ca", "kubernetes"), ("front-proxy-ca", "front-proxy-ca")):
        key = ec.generate_private_key(ec.SECP256R1())
        files[f"{name}.crt"], files[f"{name}.key"] = _pem(make_ca(key, common_name)), key_pem(key)
    service_account = ec.generate_private_key(ec.SECP256R1())
    files["sa.key"] = key_pem(service_account)
    files["sa.pub"] = service_account.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return files


def make_ca(key: ec.EllipticCurvePrivateKey, common_name: str) -> x509.Certificate:
    """A self-signed certificate authority of ten years, as kubeadm makes them."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(True, False, True, False, False, True, False, False, False)
    return (
        _certificate(name, key.public_key(), days=CA_DAYS)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_client_certificate(pki: Pki, *, user: str) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM, with which `user` is an administrator of the cluster for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = cast("ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(pki.ca_key, password=None))
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, ADMIN_GROUP), x509.NameAttribute(NameOID.COMMON_NAME, user)]
    )
    certificate = (
        _certificate(name, key.public_key(), days=CLIENT_DAYS)
        .issuer_name(pki.certificate().subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, True, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    return _pem(certificate), key_pem(key)


def _certificate(name: x509.Name, public: ec.EllipticCurvePublicKey, *, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # a node's clock may be behind ours
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key in the PEM form that kubeadm writes for ECDSA keys."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _pack(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _unpack(content: bytes) -> Pki:
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}  # type: ignore[union-attr]
        pki = Pki(ca_cert=files["ca.crt"], ca_key=files["ca.key"])
        pki.certificate()
    except (tarfile.TarError, KeyError, ValueError) as bad:
        raise KubeError(
            f"the object {OBJECT} in the staging bucket does not hold the cluster's CA",
            hint="put an earlier version of it back; docs/recovery.md tells how",
        ) from bad
    return pki
