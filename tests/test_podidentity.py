"""AWS rights for pods: the cluster's issuer, its documents, the provider in IAM, and who may take which role."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import tarfile
import time
import urllib.error
import urllib.request
from typing import Any

import boto3
import jwt
import pytest
from conftest import REGION, Box
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import (
    TAGS,
    lose_settings,
    master_of,
    master_settings,
    must,
    only,
    part,
    read_object,
    refused,
    refused_untouched,
    user_data,
    watched,
)
from test_options import addons
from upstream_pod_identity import FACTS

from lib.addons import TEMPLATES
from lib.kube.certificates import key_set
from sandbox.backend import cloud
from sandbox.calls import Call, Refusal
from sandbox.faults import denials

ON = {"KUBE_ENABLE_POD_IDENTITY": "true"}
CALLS = {"s3control:GetPublicAccessBlock", "iam:GetOpenIDConnectProvider", "s3:GetBucketPolicy"}


def buckets(box: Box, start: str) -> list[str]:
    return [name for name in box.inventory().get("s3", {}) if name.startswith(start)]


def issuers_bucket(box: Box) -> str:
    return str(only(buckets(box, "kubernetes-oidc-")))


def issuer(box: Box) -> str:
    return f"https://{issuers_bucket(box)}.s3.{REGION}.amazonaws.com"


def providers(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = box.inventory().get("iam", {}).get("identity providers", {})
    return found


def document(box: Box, name: str) -> Any:
    return json.loads(read_object(box, name, issuers_bucket(box)))


def signing_key(box: Box) -> Any:
    """The key that the API server signs tokens with."""
    content = read_object(box, f"{REGION}/kubernetes/pki.tar", only(buckets(box, "kubernetes-staging-")))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        file = archive.extractfile("sa.key")
        assert file
        return serialization.load_pem_private_key(file.read(), password=None)


def key_id(key: Any) -> str:
    """As the API server names a key: kubernetes/pkg/serviceaccount/jwt.go, keyIDFromPublicKey."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_key().public_bytes(serialization.Encoding.DER, form)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def token(box: Box, account: str = "web:reader", *, key: Any = None, seconds: int = 3600, **claims: Any) -> str:
    """What a pod of a service account has in its volume."""
    key = key or signing_key(box)
    subject, now = f"system:serviceaccount:{account}", int(time.time())
    known = {"iss": issuer(box), "sub": subject, "aud": ["sts.amazonaws.com"], "iat": now, "exp": now + seconds}
    return jwt.encode(known | claims, key, algorithm="ES256", headers={"kid": key_id(key)})


def role_for(box: Box, account: str = "web:reader", name: str = "reader") -> str:
    """A role that trusts one service account; its ARN."""
    host = issuer(box).removeprefix("https://")
    conditions = {f"{host}:aud": "sts.amazonaws.com", f"{host}:sub": f"system:serviceaccount:{account}"}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": only(providers(box))},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": conditions},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = box.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    return str(made["Role"]["Arn"])


def assume(box: Box, role: str, given: str) -> Any:
    return box.client("sts").assume_role_with_web_identity(RoleArn=role, RoleSessionName="pod", WebIdentityToken=given)


def refusal(box: Box, role: str, given: str) -> str:
    sts = box.client("sts")
    with pytest.raises(sts.exceptions.ClientError) as caught:
        assume(box, role, given)
    return str(caught.value.response["Error"]["Code"])


# --- what is made


def test_the_documents_are_public_and_nothing_else_is(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    name = issuers_bucket(sandbox)
    found = sandbox.inventory()["s3"][name]
    assert set(found["objects"]) == {".well-known/openid-configuration", "openid/v1/jwks"}
    assert found["tags"] == TAGS
    assert document(sandbox, ".well-known/openid-configuration") == {
        "issuer": issuer(sandbox),
        "jwks_uri": f"{issuer(sandbox)}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    statement = only(found["policy"]["Statement"])
    assert (statement["Principal"], statement["Action"]) == ("*", "s3:GetObject")
    assert statement["Resource"] == [f"arn:aws:s3:::{name}/{key}" for key in found["objects"]]
    assert providers(sandbox) == {
        f"arn:aws:iam::123456789012:oidc-provider/{name}.s3.{REGION}.amazonaws.com": {
            "audiences": ["sts.amazonaws.com"],
            "tags": TAGS,
        }
    }
    staging = sandbox.inventory()["s3"][only(buckets(sandbox, "kubernetes-staging-"))]
    assert staging["public access blocked"]


def anybody_reads(box: Box, bucket: str, key: str) -> bytes:
    """What S3 answers to whoever signs nothing."""
    asked = urllib.request.Request(f"{box.endpoint}/{bucket}/{key}", headers={"Host": f"s3.{REGION}.amazonaws.com"})
    with urllib.request.urlopen(asked) as answer:
        return bytes(answer.read())


def test_anybody_reads_the_documents_and_nothing_else(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    name, staging = issuers_bucket(sandbox), only(buckets(sandbox, "kubernetes-staging-"))
    sandbox.client("s3").put_object(Bucket=name, Key="other", Body=b"x")
    for key in (".well-known/openid-configuration", "openid/v1/jwks"):
        assert json.loads(anybody_reads(sandbox, name, key)) == document(sandbox, key)
    for bucket, key in ((name, "other"), (name, ""), (staging, f"{REGION}/kubernetes/pki.tar")):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            anybody_reads(sandbox, bucket, key)


def test_a_pods_token_verifies_against_the_published_keys(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    keys = jwt.PyJWKSet.from_dict(document(sandbox, "openid/v1/jwks"))
    given = token(sandbox)
    key = keys[jwt.get_unverified_header(given)["kid"]]
    options: Any = {"verify_exp": False, "verify_iat": False}  # the tests have a clock of their own
    claims = jwt.decode(given, key, audience="sts.amazonaws.com", issuer=issuer(sandbox), options=options)
    assert claims["sub"] == "system:serviceaccount:web:reader"


def test_a_key_of_rsa_is_published_too() -> None:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found = key_set(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    given = jwt.encode({"sub": "x"}, key, algorithm="RS256", headers={"kid": key_id(key)})
    assert jwt.decode(given, jwt.PyJWKSet.from_dict(found)[key_id(key)]) == {"sub": "x"}


def test_the_role_is_for_the_service_account_that_it_trusts(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    role = role_for(sandbox)
    answer = assume(sandbox, role, token(sandbox))
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/reader/pod"
    assert answer["SubjectFromWebIdentityToken"] == "system:serviceaccount:web:reader"
    # An SDK takes no credentials that have ended.
    lasts = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=30) < lasts <= datetime.timedelta(hours=1)
    assert refusal(sandbox, role, token(sandbox, "web:writer")) == "AccessDenied"
    assert refusal(sandbox, role, token(sandbox, "other:reader")) == "AccessDenied"
    assert refusal(sandbox, role, token(sandbox, aud=["https://kubernetes.default.svc"])) == "InvalidIdentityToken"
    assert refusal(sandbox, role, token(sandbox, seconds=-1)) == "ExpiredTokenException"
    assert refusal(sandbox, role, token(sandbox, iss="https://example.com")) == "InvalidIdentityToken"
    assert refusal(sandbox, role, token(sandbox)[:-4] + "AAAA") == "InvalidIdentityToken"
    sandbox.client("s3").put_public_access_block(
        Bucket=issuers_bucket(sandbox),
        PublicAccessBlockConfiguration=dict.fromkeys(("BlockPublicPolicy", "RestrictPublicBuckets"), True),
    )
    assert refusal(sandbox, role, token(sandbox)) == "InvalidIdentityToken"
    assert "public access blocked → by policies allowed" in must(sandbox.up()).out
    assume(sandbox, role, token(sandbox))


def test_the_api_signs_as_the_issuer_and_takes_tokens_of_the_old_one(sandbox: Box) -> None:
    sandbox.cluster()
    before = master_of(sandbox)
    turned_on = must(sandbox.up(**ON, APISERVER_TEST_ARGS="--max-requests-inflight=500"))
    assert master_of(sandbox) == before
    assert f"KUBE_REPLACE_MASTER={before}" in turned_on.out + turned_on.err
    must(sandbox.up(KUBE_REPLACE_MASTER=before))
    at = issuer(sandbox)
    assert master_settings(sandbox)["APISERVER_TEST_ARGS"].split() == [
        "--max-requests-inflight=500",
        f"--service-account-issuer={at}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-jwks-uri={at}/openid/v1/jwks",
    ]
    assert must(sandbox.up()).changing == []


def test_the_api_server_is_told_to_write_into_pods_what_sdks_read(sandbox: Box) -> None:
    """What it then writes: tests/e2e/test_0_policy.py."""
    sandbox.cluster(**ON)
    (policy, binding) = addons(sandbox)["pod-identity"]
    (mutation,) = policy["spec"]["mutations"]
    assert f'["AWS_REGION", "{REGION}"]' in mutation["jsonPatch"]["expression"]
    assert policy["spec"]["failurePolicy"] == "Ignore"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    # The manifest travels in the bucket: user-data has little room.
    assert "role-arn" not in user_data(sandbox, master_of(sandbox))


def test_the_policy_knows_what_upstreams_webhook_writes() -> None:
    """Each text of the webhook's own cases; that the policy does the same with them needs an API server."""
    text = (TEMPLATES / "pod-identity.yaml").read_text(encoding="utf-8")
    cases = json.loads(FACTS.read_text(encoding="utf-8"))["cases"].values()
    containers = [each for case in cases for each in case["containers"].values()]
    written = {name for each in containers for name in each["env"]}
    written |= {str(mount[key]) for each in containers for mount in each["mounts"] for key in ("name", "mountPath")}
    written |= {f"eks.amazonaws.com/{name}" for case in cases for name in case["account"]}
    written |= {name for case in cases for name in case["annotations"]}
    assert len(written) == 12
    assert {each for each in written if f'"{each}"' not in text} == set()


# --- rerun, change, dry run, down


def test_by_default_nothing_of_it_is_asked_or_made(sandbox: Box) -> None:
    with watched(sandbox, reads=True) as calls:
        must(sandbox.up())
        assert "pod-identity" not in addons(sandbox)
        must(sandbox.up())
        must(sandbox.down())
    assert not CALLS & {f"{call.service}:{call.operation}" for call in calls}
    assert sandbox.inventory() == {}


def test_a_rerun_repairs_what_somebody_changed(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    assert must(sandbox.up()).changing == []
    before, name, arn = sandbox.inventory(), issuers_bucket(sandbox), only(providers(sandbox))
    s3, iam = sandbox.client("s3"), sandbox.client("iam")
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": []}))
    s3.put_object(Bucket=name, Key="openid/v1/jwks", Body=b"{}")
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "KubernetesCluster", "Value": "kubernetes"}]})
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["KubernetesCluster"])
    must(sandbox.up())
    assert sandbox.inventory()["iam"] == before["iam"]
    assert sandbox.inventory()["s3"][name] == before["s3"][name]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    must(sandbox.up())
    assert sandbox.inventory()["iam"] == before["iam"]


def test_a_provider_for_others_alone_is_said(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    iam, arn, given = sandbox.client("iam"), only(providers(sandbox)), [{"Key": k, "Value": v} for k, v in TAGS.items()]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    iam.create_open_id_connect_provider(Url=issuer(sandbox), ClientIDList=["theirs"], ThumbprintList=[], Tags=given)
    said = must(sandbox.up())
    assert "has not the audience sts.amazonaws.com" in said.out + said.err
    assert said.changing == []


def test_s3_may_learn_late_that_public_policies_are_allowed(sandbox: Box) -> None:
    left = [2]

    def late(call: Call) -> None:
        if call.operation == "PutBucketPolicy" and left[0]:
            left[0] -= 1
            words = "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access"
            raise Refusal("AccessDenied", words, 403)

    sandbox.aws.hooks.rules.append(late)
    must(sandbox.up(**ON))
    assert left == [0]


def test_a_policy_that_is_refused_is_said_at_once(sandbox: Box) -> None:
    sandbox.aws.hooks.before.append(denials.Deny("s3:PutBucketPolicy").before)
    refused(sandbox.up(**ON), 1, "s3:PutBucketPolicy")
    assert [call.operation for call in sandbox.calls].count("PutBucketPolicy") == 1


def test_a_dry_run_makes_none_of_it_and_says_all(sandbox: Box) -> None:
    sandbox.cluster()
    before = sandbox.inventory()
    dry = sandbox.up("--dry-run", **ON)
    assert (dry.code, dry.changing) == (3, [])
    for words in (
        "bucket kubernetes-oidc-",
        "issuer's openid/v1/jwks",
        "OpenID Connect provider https://kubernetes-oidc-",
    ):
        assert words in dry.out
    assert sandbox.inventory() == before


def test_turned_off_again_it_is_removed(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    dry = sandbox.up("--dry-run", KUBE_ENABLE_POD_IDENTITY="false")
    assert f"OpenID Connect provider {issuer(sandbox)}" in dry.out
    deny = denials.Deny("iam:DeleteOpenIDConnectProvider")
    sandbox.aws.hooks.before.append(deny.before)
    refused(sandbox.up(KUBE_ENABLE_POD_IDENTITY="false"), 1, "iam:DeleteOpenIDConnectProvider")
    sandbox.aws.hooks.before.remove(deny.before)
    must(sandbox.up(KUBE_ENABLE_POD_IDENTITY="false"))
    assert providers(sandbox) == {}
    assert buckets(sandbox, "kubernetes-oidc-") == []
    must(sandbox.up(KUBE_REPLACE_MASTER=master_of(sandbox)))
    assert master_settings(sandbox)["APISERVER_TEST_ARGS"] == ""
    assert "pod-identity" not in addons(sandbox)
    assert must(sandbox.up()).changing == []


def test_turned_on_later_the_master_that_is_made_anew_has_the_policy(sandbox: Box) -> None:
    sandbox.cluster()
    assert f"made again: KUBE_REPLACE_MASTER={master_of(sandbox)}" in must(sandbox.up(**ON)).err
    assert "pod-identity" not in addons(sandbox)
    must(sandbox.up(KUBE_REPLACE_MASTER=master_of(sandbox)))
    assert "pod-identity" in addons(sandbox)
    assert must(sandbox.up()).changing == []


@pytest.mark.parametrize("settings", [{}, {"KUBE_ENABLE_POD_IDENTITY": "false"}])
def test_down_takes_it_away(sandbox: Box, settings: dict[str, str]) -> None:
    sandbox.cluster(**ON)
    dry = sandbox.down("--dry-run", **settings)
    assert f"OpenID Connect provider {issuer(sandbox)}" in dry.out
    must(sandbox.down(**settings))
    assert sandbox.inventory() == {}


def test_down_finds_it_where_the_settings_are_lost(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    lose_settings(sandbox)
    must(sandbox.down())
    assert providers(sandbox) == {}
    assert buckets(sandbox, "kubernetes-oidc-") == []


def test_what_is_another_clusters_is_left(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    arn = only(providers(sandbox))
    theirs = [{"Key": "KubernetesCluster", "Value": "other"}, {"Key": "kubernetes.io/cluster/kubernetes", "Value": ""}]
    sandbox.client("iam").tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=theirs)
    refused(sandbox.up(), 1, "is tagged for cluster other")
    sandbox.down()
    assert only(providers(sandbox)) == arn


# --- refused


def block_account(box: Box, *settings: str) -> None:
    block = {name: name in settings for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")}
    block["RestrictPublicBuckets"] = "RestrictPublicBuckets" in settings
    control = boto3.client(
        "s3control",
        region_name=REGION,
        endpoint_url=box.environ["AWS_ENDPOINT_URL_S3_CONTROL"],
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )
    control.put_public_access_block(AccountId=cloud.ACCOUNT, PublicAccessBlockConfiguration=block)


@pytest.mark.parametrize("setting", ["BlockPublicPolicy", "RestrictPublicBuckets"])
def test_an_account_that_blocks_public_buckets_is_said_before_anything_is_made(sandbox: Box, setting: str) -> None:
    block_account(sandbox, setting)
    refused_untouched(sandbox, sandbox.up(**ON), 2, f"account 123456789012 blocks public buckets ({setting})")
    block_account(sandbox, "BlockPublicAcls", "IgnorePublicAcls")
    must(sandbox.up(**ON))


def test_where_the_account_may_not_be_asked_that_is_said(sandbox: Box) -> None:
    sandbox.aws.hooks.before.append(denials.Deny("s3:GetAccountPublicAccessBlock").before)
    assert "needs s3:GetAccountPublicAccessBlock" in must(sandbox.up(**ON)).out


def public_bucket(box: Box, name: str = "company-oidc") -> str:
    s3 = box.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.delete_public_access_block(Bucket=name)
    read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [read]}))
    return name


def test_a_brought_bucket_is_used_and_left_as_it_was(sandbox: Box) -> None:
    name = public_bucket(sandbox)
    sandbox.client("s3").put_object(Bucket=name, Key=f"{REGION}/kubernetes/theirs", Body=b"x")
    before = sandbox.inventory()
    must(sandbox.up(**ON, KUBE_OIDC_BUCKET=name))
    prefix = f"{REGION}/kubernetes"
    at = f"https://{name}.s3.{REGION}.amazonaws.com/{prefix}"
    assert json.loads(read_object(sandbox, f"{prefix}/.well-known/openid-configuration", name))["issuer"] == at
    assert f"--service-account-issuer={at}" in master_settings(sandbox)["APISERVER_TEST_ARGS"]
    assert only(providers(sandbox)).endswith(at.removeprefix("https://"))
    assert must(sandbox.up()).changing == []
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_down_finds_the_issuer_in_a_brought_bucket_where_the_settings_are_lost(sandbox: Box) -> None:
    name = public_bucket(sandbox)
    before = sandbox.inventory()
    must(sandbox.up(**ON, KUBE_OIDC_BUCKET=name))
    lose_settings(sandbox)
    refused_untouched(sandbox, sandbox.up(), 2, "KUBE_ENABLE_POD_IDENTITY: is not set", f"{name}.s3.")
    must(sandbox.down())
    assert sandbox.inventory() == before


def test_who_may_not_list_issuers_is_told_where_none_was_looked_for(sandbox: Box) -> None:
    sandbox.cluster()
    lose_settings(sandbox)
    sandbox.aws.hooks.before.append(denials.Deny("iam:ListOpenIDConnectProviders").before)
    assert "not looked for: an issuer in a KUBE_OIDC_BUCKET" in must(sandbox.down()).err


def test_another_bucket_is_another_issuer(sandbox: Box) -> None:
    name = public_bucket(sandbox)
    must(sandbox.up(**ON))
    must(sandbox.up(KUBE_OIDC_BUCKET=name))
    assert buckets(sandbox, "kubernetes-oidc-") == []
    assert f"/{name}.s3." in only(providers(sandbox))


def test_a_bucket_that_will_not_do_is_refused(sandbox: Box) -> None:
    said = "KUBE_OIDC_BUCKET: there is no bucket company-oidc"
    refused_untouched(sandbox, sandbox.up(**ON, KUBE_OIDC_BUCKET="company-oidc"), 2, said)
    sandbox.client("s3").create_bucket(Bucket="company-oidc", CreateBucketConfiguration={"LocationConstraint": REGION})
    said = "company-oidc is not public"
    refused_untouched(sandbox, sandbox.up(**ON, KUBE_OIDC_BUCKET="company-oidc"), 2, said)
    same = {"KUBE_OIDC_BUCKET": "company-oidc", "AWS_S3_BUCKET": "company-oidc"}
    refused_untouched(sandbox, sandbox.up(**ON, **same), 2, "holds the cluster's secrets")


def test_a_run_of_one_more_group_leaves_the_issuer_alone(sandbox: Box) -> None:
    sandbox.cluster(**ON)
    before = providers(sandbox), sandbox.inventory()["s3"][issuers_bucket(sandbox)]
    must(sandbox.up(KUBE_USE_EXISTING_MASTER="true", NODE_SIZE="t3.large", NUM_NODES=1))
    assert (providers(sandbox), sandbox.inventory()["s3"][issuers_bucket(sandbox)]) == before
    assert len(part(sandbox, "groups")) == 2


def test_an_issuer_is_not_forgotten_where_the_settings_are_lost(sandbox: Box) -> None:
    """A run that was not told of it wrote that there is none, and down left it behind without a word."""
    sandbox.cluster(**ON)
    before = sandbox.inventory()
    lose_settings(sandbox)
    said = refused_untouched(sandbox, sandbox.up(), 2, "KUBE_ENABLE_POD_IDENTITY: is not set", issuer(sandbox))
    assert "true to keep it, false to have it removed" in said
    must(sandbox.up(**ON))
    assert sandbox.inventory()["iam"] == before["iam"]
    assert must(sandbox.up()).changing == []

    lose_settings(sandbox)
    must(sandbox.up(KUBE_ENABLE_POD_IDENTITY="false"))
    assert (providers(sandbox), buckets(sandbox, "kubernetes-oidc-")) == ({}, [])
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_run_that_finds_the_bucket_lost_removes_no_issuer(sandbox: Box) -> None:
    """It makes the bucket again and stops; whoever puts the CA back is asked then."""
    sandbox.cluster(**ON)
    before, name, s3 = providers(sandbox), only(buckets(sandbox, "kubernetes-staging-")), sandbox.client("s3")
    versions = s3.list_object_versions(Bucket=name)["Versions"]
    objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions]
    s3.delete_objects(Bucket=name, Delete={"Objects": objects})
    s3.delete_bucket(Bucket=name)
    refused(sandbox.up(), 1, "the cluster's CA, is gone")
    refused_untouched(sandbox, sandbox.up(), 2, "KUBE_ENABLE_POD_IDENTITY: is not set")
    assert providers(sandbox) == before
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_who_may_not_look_for_an_issuer_goes_on_without_settings(sandbox: Box) -> None:
    sandbox.cluster()
    lose_settings(sandbox)
    sandbox.aws.hooks.before.append(denials.Deny("iam:GetOpenIDConnectProvider").before)
    assert "not looked for: the issuer" in must(sandbox.up()).err
