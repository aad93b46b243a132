"""docs/pods.md: a pod's token, verified by what anybody reads, and the role that trusts its service account."""

from __future__ import annotations

import copy
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import documents
import jwt
import yaml

from e2e.stage import REGION, Stage

PAGE = (documents.ROOT / "docs" / "pods.md").read_text(encoding="utf-8")
ROLE = "arn:aws:iam::123456789012:role/reader"
# The image that every node has holds one program; the rest is the node's own, as in web.yaml.
HOST = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64", "ssl": "/etc/ssl"}
MOUNTS = {"usr": "/usr", "lib": "/lib", "lib64": "/lib64", "ssl": "/etc/ssl"}
WHAT = "import boto3; found = boto3.Session().get_credentials(); print(found.access_key, found.method)"


def runnable(pod: Any, name: str) -> Any:
    """The pod by that name, with an image that is here."""
    pod["metadata"]["name"] = name
    (container,) = pod["spec"]["containers"]
    container |= {"image": "registry.k8s.io/pause:3.10.2", "command": ["/usr/bin/sleep", "600"]}
    container.setdefault("volumeMounts", []).extend(
        {"name": volume, "mountPath": path, "readOnly": True} for volume, path in MOUNTS.items()
    )
    pod["spec"].setdefault("volumes", []).extend(
        {"name": volume, "hostPath": {"path": path}} for volume, path in HOST.items()
    )
    return pod


def pods() -> str:
    """The page's two pods, one like the first whose account is another, and one whose account names no role."""
    annotated, explicit = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
    reader, pod = yaml.safe_load_all(annotated)
    (other, others) = yaml.safe_load_all(annotated)
    other["metadata"]["name"] = others["spec"]["serviceAccountName"] = "other"
    plain = {**copy.deepcopy(pod), "spec": {**copy.deepcopy(pod["spec"]), "serviceAccountName": "default"}}
    runs = {"reader": pod, "other": others, "explicit": yaml.safe_load(explicit), "plain": plain}
    items = [reader, other, *(runnable(each, name) for name, each in runs.items())]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


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


def variables(stage: Stage, pod: str) -> dict[str, str]:
    """What a program in the pod finds of AWS in its environment."""
    lines = stage.kubectl("exec", pod, "--", "/usr/bin/env").splitlines()
    return {name: text for name, _, text in (line.partition("=") for line in lines) if name.startswith("AWS_")}


def take_role(stage: Stage, pod: str) -> str:
    """What STS answers to the pod, which signs nothing and shows its token."""
    given = variables(stage, pod)
    action = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=pod"
    shown = ("--data-urlencode", f"WebIdentityToken@{given['AWS_WEB_IDENTITY_TOKEN_FILE']}")
    curl = ("/usr/bin/curl", "--silent", "--show-error", "--max-time", "20", "--data", action)
    url = f"https://sts.{given['AWS_REGION']}.amazonaws.com/"
    return stage.kubectl("exec", pod, "--", *curl, "--data-urlencode", f"RoleArn={given['AWS_ROLE_ARN']}", *shown, url)


def found_by_an_sdk(stage: Stage, pod: str, folder: Path) -> str:
    """Which credentials boto3 takes where it has the pod's variables and token, and nothing else."""
    given, token = variables(stage, pod), folder / "token"
    token.write_text(stage.kubectl("exec", pod, "--", "/usr/bin/cat", given["AWS_WEB_IDENTITY_TOKEN_FILE"]))
    here = {"AWS_ENDPOINT_URL": stage.environ["AWS_ENDPOINT_URL"], "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    environ = {**given, **here, "PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run([sys.executable, "-c", WHAT], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pod_takes_the_role_that_its_service_account_names(stage: Stage, tmp_path: Path) -> None:
    discovery = json.loads(stage.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    issuer = discovery["issuer"]
    assert re.fullmatch(rf"https://kubernetes-oidc-[0-9a-f]{{32}}\.s3\.{REGION}\.amazonaws\.com", issuer)
    make_role(stage, issuer)
    file, names = tmp_path / "pods.json", ("reader", "other", "explicit", "plain")
    file.write_text(pods())
    stage.kubectl("apply", f"--filename={file}")
    stage.kubectl("wait", "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=90s")
    try:
        published = json.loads(stage.fetch("reader", f"{issuer}/.well-known/openid-configuration"))
        assert published == discovery
        keys = json.loads(stage.fetch("reader", published["jwks_uri"]))
        assert keys == json.loads(stage.kubectl("get", "--raw", "/openid/v1/jwks"))

        given = variables(stage, "reader")
        assert (given["AWS_ROLE_ARN"], given["AWS_REGION"], given["AWS_DEFAULT_REGION"]) == (ROLE, REGION, REGION)
        for pod in ("reader", "explicit"):
            token = stage.kubectl(
                "exec", pod, "--", "/usr/bin/cat", variables(stage, pod)["AWS_WEB_IDENTITY_TOKEN_FILE"]
            )
            key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, audience="sts.amazonaws.com", issuer=issuer)
            assert claims["sub"] == "system:serviceaccount:default:reader"
            assert "<AccessKeyId>ASIA" in take_role(stage, pod)
        assert re.fullmatch(r"ASIA\w+ assume-role-with-web-identity", found_by_an_sdk(stage, "reader", tmp_path))

        assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in take_role(stage, "other")
        assert variables(stage, "plain") == {}
    finally:
        stage.kubectl("delete", "pod", *names, "--grace-period=1", "--wait=false")
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
