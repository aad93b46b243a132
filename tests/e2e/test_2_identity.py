"""docs/pods.md: a pod's token, verified by what anybody reads, and the role that trusts its service account."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from typing import Any

import documents
import jwt
import yaml

from e2e.stage import REGION, Stage

PAGE = (documents.ROOT / "docs" / "pods.md").read_text(encoding="utf-8")
ROLE = "arn:aws:iam::123456789012:role/reader"
TOKEN = "/var/run/secrets/aws/token"
# The image that every node has holds one program; the rest is the node's own, as in web.yaml.
HOST = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64", "ssl": "/etc/ssl"}
MOUNTS = {"usr": "/usr", "lib": "/lib", "lib64": "/lib64", "ssl": "/etc/ssl"}


def pod(account: str) -> str:
    """The page's pod with an image that is here, for that service account."""
    (text,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
    found: list[Any] = list(yaml.safe_load_all(text))
    for each in found:
        each["metadata"]["name"] = account
    spec = found[-1]["spec"]
    spec["serviceAccountName"] = account
    (container,) = spec["containers"]
    container |= {"image": "registry.k8s.io/pause:3.10.2", "command": ["/usr/bin/sleep", "600"]}
    container["volumeMounts"] += [{"name": name, "mountPath": path, "readOnly": True} for name, path in MOUNTS.items()]
    spec["volumes"] += [{"name": name, "hostPath": {"path": path}} for name, path in HOST.items()]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found})


def make_role(stage: Stage, issuer: str) -> None:
    """As docs/recipes.md has it."""
    recipe = documents.section(
        (documents.ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), "AWS rights for a pod"
    )
    (trust,) = re.findall(r"(?ms)<<'END'\n(.*?)^ *END$", recipe)
    text = re.sub(
        r"kubernetes-oidc-[0-9a-f]{32}\.s3\.us-west-2\.amazonaws\.com", issuer.removeprefix("https://"), trust
    )
    stage.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=text)


def take_role(stage: Stage, name: str) -> str:
    """What STS answers to the pod, which signs nothing and shows its token."""
    action = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=pod"
    url = f"https://sts.{REGION}.amazonaws.com/"
    given = ("--data", action, "--data-urlencode", f"RoleArn={ROLE}", "--data-urlencode", f"WebIdentityToken@{TOKEN}")
    curl = ("/usr/bin/curl", "--silent", "--show-error", "--max-time", "20", *given, url)
    return stage.kubectl("exec", name, "--", *curl)


def test_a_pod_takes_the_role_that_trusts_its_service_account(stage: Stage, tmp_path: Any) -> None:
    discovery = json.loads(stage.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    issuer = discovery["issuer"]
    assert re.fullmatch(rf"https://kubernetes-oidc-[0-9a-f]{{32}}\.s3\.{REGION}\.amazonaws\.com", issuer)
    make_role(stage, issuer)
    for account in ("reader", "other"):
        file = tmp_path / f"{account}.json"
        file.write_text(pod(account))
        stage.kubectl("apply", f"--filename={file}")
    for account in ("reader", "other"):
        stage.kubectl("wait", "--for=condition=Ready", f"pod/{account}", "--timeout=90s")
    try:
        published = json.loads(stage.fetch("reader", f"{issuer}/.well-known/openid-configuration"))
        assert published == discovery
        keys = json.loads(stage.fetch("reader", published["jwks_uri"]))
        assert keys == json.loads(stage.kubectl("get", "--raw", "/openid/v1/jwks"))

        token = stage.kubectl("exec", "reader", "--", "/usr/bin/cat", TOKEN)
        key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, audience="sts.amazonaws.com", issuer=issuer)
        assert claims["sub"] == "system:serviceaccount:default:reader"

        assert "<AccessKeyId>ASIA" in take_role(stage, "reader")
        assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in take_role(stage, "other")
    finally:
        stage.kubectl("delete", "pod", "reader", "other", "--grace-period=1", "--wait=false")
        stage.client("iam").delete_role(RoleName="reader")


def signing_key(stage: Stage) -> Any:
    """The key of the service accounts, which whoever may read the cluster's bucket has."""
    s3 = stage.client("s3")
    (bucket,) = [
        each["Name"] for each in s3.list_buckets()["Buckets"] if each["Name"].startswith("kubernetes-staging-")
    ]
    content = s3.get_object(Bucket=bucket, Key=f"{REGION}/kubernetes/pki.tar")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        file = archive.extractfile("sa.key")
        assert file
        return file.read()


def test_a_token_of_the_issuer_before_is_good_for_the_api(stage: Stage) -> None:
    """As pods have it of a master that was made before it was turned on; one of neither issuer is refused."""
    account, (key, *_) = (
        stage.get("serviceaccount", "default"),
        json.loads(stage.kubectl("get", "--raw", "/openid/v1/jwks"))["keys"],
    )
    server = stage.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
    bound = {"namespace": "default", "serviceaccount": {"name": "default", "uid": account["metadata"]["uid"]}}
    claims = {"sub": "system:serviceaccount:default:default", "kubernetes.io": bound}
    asked = ("--kubeconfig=/dev/null", f"--server={server}", "--insecure-skip-tls-verify", "auth", "whoami")
    for issuer, good in (("https://kubernetes.default.svc.cluster.local", True), ("https://example.com", False)):
        now = int(time.time())
        whole = claims | {"iss": issuer, "aud": [issuer], "iat": now, "nbf": now, "exp": now + 600}
        token = jwt.encode(whole, signing_key(stage), algorithm="ES256", headers={"kid": key["kid"]})
        done = stage.try_kubectl(*asked, f"--token={token}")
        assert ("system:serviceaccount:default:default" in done.stdout) is good, done.stderr
