"""AssumeRoleWithWebIdentity as AWS's documents have it; moto gives credentials to whoever asks.

The token's issuer must be a provider of the account, whose documents are read as anybody would read them; its signature
one of the keys' there; its audience one of the provider's; it must not have ended; and the role must trust the provider
with what the token says.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import re
import time
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sandbox import policies
from sandbox.backend import cloud
from sandbox.backend.strict_storage import read_by_anybody
from sandbox.calls import Call, Refusal
from sandbox.world import World

# S3's addresses: the bucket in the host's name.
_PLACE = re.compile(r"https://(?P<bucket>[a-z0-9-]+)\.s3\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/(?P<key>.+)")
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


def assume(world: World, call: Call) -> dict[str, Any]:
    """Credentials for the role, where the token is good and the role trusts it."""
    header, claims, signed, signature = _taken_apart(call.params["WebIdentityToken"])
    issuer = str(claims.get("iss", ""))
    arn = f"arn:{cloud.partition(call.region)}:iam::{cloud.ACCOUNT}:oidc-provider/{issuer.removeprefix('https://')}"
    provider = cloud.iam(call.region).open_id_providers.get(arn)
    if provider is None:
        raise Refusal("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
    _check_signature(_key(issuer, header), header, signed, signature)
    ends = float(claims.get("exp", 0))
    if ends <= time.time():  # tokens and credentials have the calendar's time, whatever clock the sandbox runs on
        when = datetime.datetime.fromtimestamp(ends, datetime.UTC)
        raise Refusal("ExpiredTokenException", f"Token expired: it must be used before {when:%Y-%m-%dT%H:%M:%SZ}")
    audiences = policies.listed(claims.get("aud", []))
    if not set(audiences) & set(provider.client_id_list):
        raise Refusal("InvalidIdentityToken", "Incorrect token audience")
    role = next((it for it in cloud.iam(call.region).roles.values() if it.arn == call.params["RoleArn"]), None)
    if role is None or not _trusts(role, arn, issuer, claims, audiences):
        raise Refusal("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    return _credentials(world, call, role, str(claims["sub"]), audiences[0], arn)


def _credentials(world: World, call: Call, role: Any, subject: str, audience: str, arn: str) -> dict[str, Any]:
    name, seconds = call.params["RoleSessionName"], int(call.params.get("DurationSeconds") or 3600)
    seed = hashlib.sha256(f"{role.arn} {name} {world.now}".encode()).hexdigest()
    session = f"arn:{cloud.partition(call.region)}:sts::{cloud.ACCOUNT}:assumed-role/{role.name}/{name}"
    return {
        "Credentials": {
            "AccessKeyId": f"ASIA{seed[:16].upper()}",
            "SecretAccessKey": seed[:40],
            "SessionToken": seed,
            "Expiration": datetime.datetime.fromtimestamp(time.time() + seconds, datetime.UTC),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{name}", "Arn": session},
        "SubjectFromWebIdentityToken": subject,
        "Audience": audience,
        "Provider": arn,
    }


# --- the token


def _taken_apart(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature."""
    try:
        first, second, third = token.split(".")
        header, claims = (json.loads(_decoded(part)) for part in (first, second))
        return header, claims, f"{first}.{second}".encode(), _decoded(third)
    except ValueError:
        raise Refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT.") from None


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _key(issuer: str, header: dict[str, Any]) -> dict[str, Any]:
    """The key that the token's header names, out of the issuer's documents."""
    try:
        discovery = json.loads(_published(f"{issuer}/.well-known/openid-configuration"))
        keys = json.loads(_published(discovery["jwks_uri"]))["keys"]
    except (ValueError, KeyError):
        raise Refusal("InvalidIdentityToken", _NO_KEY) from None
    known = next((key for key in keys if key["kid"] == header.get("kid")), None)
    if discovery["issuer"] != issuer or known is None:
        raise Refusal("InvalidIdentityToken", _NO_KEY)
    found: dict[str, Any] = known
    return found


def _published(url: str) -> bytes:
    """What is at an address of S3's, for whoever asks. Raises ValueError for nothing."""
    place = _PLACE.fullmatch(url)
    bucket = cloud.find_bucket(place["bucket"]) if place else None
    content = read_by_anybody(bucket, place["key"]) if place and bucket is not None else None
    if content is None:
        raise ValueError(url)
    return content


def _check_signature(key: dict[str, Any], header: dict[str, Any], signed: bytes, signature: bytes) -> None:
    numbers = {name: int.from_bytes(_decoded(key[name])) for name in ("x", "y", "n", "e") if name in key}
    try:
        if header.get("alg") == key["alg"] == "ES256" and len(signature) == 64:
            curve = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], ec.SECP256R1())
            pair = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
            curve.public_key().verify(pair, signed, ec.ECDSA(hashes.SHA256()))
        elif header.get("alg") == key["alg"] == "RS256":
            of_rsa = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
            of_rsa.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise InvalidSignature
    except InvalidSignature:
        raise Refusal("InvalidIdentityToken", "Token signature invalid") from None


# --- the role


def _trusts(role: Any, provider: str, issuer: str, claims: dict[str, Any], audiences: list[str]) -> bool:
    """Whether the role's trust policy allows it: a condition's keys are the issuer without https:// and a claim."""
    host = issuer.removeprefix("https://").lower()
    context = {f"{host}:sub": str(claims.get("sub", "")), f"{host}:aud": audiences}
    document = json.loads(role.assume_role_policy_document)
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    effects = {
        each["Effect"]
        for each in statements
        if provider in policies.listed(each["Principal"].get("Federated", []))
        and "sts:AssumeRoleWithWebIdentity" in policies.listed(each["Action"])
        and policies.meets(each.get("Condition", {}), context)
    }
    return effects == {"Allow"}
