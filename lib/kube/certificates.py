"""Certificates and keys, made and checked with the cryptography library. Nothing here asks AWS.

Imported where it is used: it takes a tenth of a second to load, and a run's first call need not wait for it.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Mapping
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FILES = ("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub")
CA_DAYS = 3650
CLIENT_DAYS = 365
# kubeadm binds this group to cluster-admin and can take that away again, which it cannot from system:masters.
ADMIN_GROUP = "kubeadm:cluster-admins"


def public_key_hash(cert: bytes) -> str:
    """sha256:<hex> of a certificate's public key, by which a joining node knows its CA (kubeadm's discovery form).

    Raises ValueError for what is no certificate.
    """
    spki = (
        _load(cert)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return "sha256:" + hashlib.sha256(spki).hexdigest()


def ends(cert: bytes) -> datetime.datetime:
    """When a certificate (PEM) ends, in UTC."""
    return _load(cert).not_valid_after_utc


def shown_ends(cert: bytes) -> datetime.datetime:
    """When a certificate that a server shows (DER) ends, in UTC."""
    return x509.load_der_x509_certificate(cert).not_valid_after_utc


def shown_names(cert: bytes) -> list[str]:
    """The DNS names that a certificate that a server shows (DER) is good for."""
    try:
        names = x509.load_der_x509_certificate(cert).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def is_issued_by(cert: bytes, ca_cert: bytes) -> bool:
    """Whether the CA signed the certificate. False also for what is no certificate."""
    try:
        _load(cert).verify_directly_issued_by(_load(ca_cert))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_pair(cert: bytes, key: bytes) -> bool:
    """Whether the key is the certificate's. False also for what is no key."""
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        return False
    return private.public_key() == _load(cert).public_key()


def _load(cert: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(cert)


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


def check_files(files: Mapping[str, bytes]) -> None:
    """Raises ValueError where one of the files that `make_files` makes is missing, or no key is its certificate's."""
    missing = [name for name in FILES if name not in files]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    for name in ("ca", "front-proxy-ca"):
        if not is_pair(files[f"{name}.crt"], files[f"{name}.key"]):
            raise ValueError(f"{name}.key is not the key of {name}.crt")
    serialization.load_pem_private_key(files["sa.key"], password=None)


def key_set(public_key: bytes) -> dict[str, list[dict[str, str]]]:
    """The keys (PEM) that tokens of service accounts are signed with, as the API server publishes them (JWKS).

    kubernetes/pkg/serviceaccount: jwkFromPublicKey, keyIDFromPublicKey; RFC 7517 and 7518.
    """
    key = serialization.load_pem_public_key(public_key)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    known = {"use": "sig", "kid": _base64url(hashlib.sha256(der).digest())}
    if isinstance(key, ec.EllipticCurvePublicKey):
        numbers, size = key.public_numbers(), (key.curve.key_size + 7) // 8
        bits = {256: "256", 384: "384", 521: "512"}[key.curve.key_size]
        x, y = (_base64url(number.to_bytes(size)) for number in (numbers.x, numbers.y))
        known |= {"kty": "EC", "alg": f"ES{bits}", "crv": f"P-{key.curve.key_size}", "x": x, "y": y}
    elif isinstance(key, rsa.RSAPublicKey):
        of_rsa = key.public_numbers()
        n, e = (_base64url(number.to_bytes((number.bit_length() + 7) // 8)) for number in (of_rsa.n, of_rsa.e))
        known |= {"kty": "RSA", "alg": "RS256", "n": n, "e": e}
    else:
        raise ValueError("the service accounts' key is neither of RSA nor of elliptic curves")
    return {"keys": [known]}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


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


def make_client_certificate(ca_cert: bytes, ca_key: bytes, *, user: str) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM, with which `user` is an administrator of the cluster for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = cast("ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(ca_key, password=None))
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, ADMIN_GROUP), x509.NameAttribute(NameOID.COMMON_NAME, user)]
    )
    certificate = (
        _certificate(name, key.public_key(), days=CLIENT_DAYS)
        .issuer_name(_load(ca_cert).subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, True, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
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
