"""templates/addons/pod-identity.yaml, in the API servers of both releases, against what EKS' webhook writes into pods.

tests/upstream_pod_identity.json has the cases of the webhook's own tests; tests/upstream_pod_identity.py renews them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import documents
import pytest
import yaml
from upstream_pod_identity import FACTS

from e2e.apiserver import PROGRAMS, RELEASES, ApiServer, started
from e2e.stage import REGION, wait
from lib import addons

CASES: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))["cases"]
_NO_WINDOWS = "the path of Windows: no node has it"
DIFFERENT = {"windowsPodWithoutVolumes": _NO_WINDOWS, "betaWindowsPodWithoutVolumes": _NO_WINDOWS}

ROLE, TOKEN = "arn:aws:iam::123456789012:role/reader", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
REGIONS = {"AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}
USUAL = {
    **REGIONS,
    "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    "AWS_ROLE_ARN": ROLE,
    "AWS_WEB_IDENTITY_TOKEN_FILE": TOKEN,
}
PREFIX = "eks.amazonaws.com/"

pytestmark = pytest.mark.skipif(not PROGRAMS.exists(), reason="no release is built: make release")


def manifest() -> list[dict[str, Any]]:
    settings = {"KUBERNETES_VERSION": "1.37.2", "AWS_REGION": REGION}
    return list(yaml.safe_load_all(addons.manifest("pod-identity", settings)))


def account(name: str, **annotations: str) -> dict[str, Any]:
    named = {f"{PREFIX}{key.replace('_', '-')}": value for key, value in annotations.items()}
    metadata = {"name": name, "namespace": "default", "annotations": named}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def pod(service_account: str, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    spec = {**(spec or {"containers": [{"name": "main", "image": "main"}]}), "serviceAccountName": service_account}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **metadata}, "spec": spec}


@pytest.fixture(scope="module", params=RELEASES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the policy, an account for each case, and three more."""
    with started(request.param, tmp_path_factory.mktemp("api")) as found:
        found.apply(*manifest())
        cases = [account(name.lower(), **_asked(case)) for name, case in CASES.items()]
        found.apply(*cases, account("plain"), account("empty", role_arn=""), account("reader", role_arn=ROLE))
        # The API learns of them in their order.
        wait("the policy", lambda: written(found.would_make(pod("reader"))))
        yield found


def _asked(case: Any) -> dict[str, str]:
    """The webhook's flag for regional endpoints is off where no case says otherwise; ours is on."""
    asked = {"sts-regional-endpoints": "false", **case["account"]}
    return {name.replace("-", "_"): text for name, text in asked.items()}


def written(found: Any) -> dict[str, Any]:
    """What a pod has of it, in the form of the facts; nothing where it has no such volume."""
    spec = found["spec"]
    volumes = [each for each in spec.get("volumes", []) if each["name"] == "aws-iam-token"]
    if not volumes:
        return {}
    volumes[0].get("projected", {}).pop("defaultMode", None)
    return {
        "volume": volumes[0],
        "containers": {
            f"{kind}/{number}": {
                "env": {each["name"]: each["value"] for each in container.get("env", [])},
                "mounts": [each for each in container.get("volumeMounts", []) if each["name"] == "aws-iam-token"],
            }
            for kind in ("initContainers", "containers")
            for number, container in enumerate(spec.get(kind, []))
        },
    }


def expected(case: Any) -> dict[str, Any]:
    """What upstream's webhook writes where it is told this region, as kops tells it."""
    containers = {}
    for at, each in case["containers"].items():
        env = {name: REGION if text == case["region"] else text for name, text in each["env"].items()}
        if "AWS_ROLE_ARN" in env and not env.keys() & REGIONS.keys():
            env |= REGIONS
        kind, number = at.split("/")
        given = case["spec"][kind][int(number)].get("volumeMounts", [])
        containers[at] = {"env": env, "mounts": [*given, *each["mounts"]]}
    (own, *_) = [*(each for each in case["spec"].get("volumes", []) if each["name"] == "aws-iam-token"), case["volume"]]
    if "hostPath" in own:
        own = {**own, "hostPath": {**own["hostPath"], "type": ""}}  # the API's default
    return {"volume": own, "containers": containers}


def given(case_name: str) -> dict[str, Any]:
    case = CASES[case_name]
    spec = json.loads(json.dumps(case["spec"]))
    for each in spec.get("initContainers", []):
        each["name"] = f"init-{each['name']}"  # one case has the same name twice, which the API refuses
    return pod(case_name.lower(), spec, annotations=case["annotations"])


def test_the_policy_writes_what_the_webhook_writes(server: ApiServer) -> None:
    found = {name: written(server.would_make(given(name))) for name in CASES}
    right = {name: expected(case) for name, case in CASES.items()}
    assert len(CASES) > 15
    assert {name: found[name] for name in CASES if name not in DIFFERENT} == {
        name: right[name] for name in CASES if name not in DIFFERENT
    }
    assert [name for name in DIFFERENT if found[name] == right[name]] == []


def test_who_has_no_role_is_left_alone(server: ApiServer) -> None:
    label = {f"{PREFIX}skip-pod-identity-webhook": "true"}
    for each in (pod("plain"), pod("empty"), pod("reader", labels=label)):
        made = server.would_make(each)
        assert written(made) == {}
        assert "env" not in made["spec"]["containers"][0]


def test_every_container_gets_the_token_and_the_variables(server: ApiServer) -> None:
    spec = {
        "automountServiceAccountToken": False,
        "initContainers": [{"name": "before", "image": "main"}],
        "containers": [
            {"name": "main", "image": "main", "env": [{"name": "A", "value": "b"}]},
            {"name": "beside", "image": "main"},
        ],
    }
    found = written(server.would_make(pod("reader", spec)))
    mount = {"name": "aws-iam-token", "mountPath": TOKEN.rpartition("/")[0], "readOnly": True}
    assert found["containers"] == {
        "initContainers/0": {"env": USUAL, "mounts": [mount]},
        "containers/0": {"env": {"A": "b", **USUAL}, "mounts": [mount]},
        "containers/1": {"env": USUAL, "mounts": [mount]},
    }
    (source,) = found["volume"]["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "audience": "sts.amazonaws.com",
        "expirationSeconds": 86400,
        "path": "token",
    }


@pytest.mark.parametrize(
    ("said", "seconds"), [("7200", 7200), ("-1", 600), ("soon", 86400), ("", 86400), ("99999999999", 86400)]
)
def test_a_tokens_time_is_as_said_or_the_usual(server: ApiServer, said: str, seconds: int) -> None:
    found = written(server.would_make(pod("reader", annotations={f"{PREFIX}token-expiration": said})))
    assert found["volume"]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == seconds


def test_the_pod_of_the_documents_keeps_what_it_says(server: ApiServer) -> None:
    """docs/pods.md, Without the annotation: also where its account has it."""
    page = (documents.ROOT / "docs" / "pods.md").read_text(encoding="utf-8")
    (_, text) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", page)
    own = yaml.safe_load(text)
    made = server.would_make(own)
    (container,) = made["spec"]["containers"]
    assert container["env"][:3] == own["spec"]["containers"][0]["env"]
    assert {each["name"] for each in container["env"][3:]} == {"AWS_STS_REGIONAL_ENDPOINTS"}
    assert own["spec"]["volumes"][0]["name"] in {each["name"] for each in made["spec"]["volumes"]}


def test_a_mount_of_ones_own_at_the_tokens_place_stays_the_only_one(server: ApiServer) -> None:
    """Two at one path would be refused."""
    mount = {"name": "own", "mountPath": TOKEN.rpartition("/")[0]}
    container = {"name": "main", "image": "main", "volumeMounts": [mount]}
    made = server.would_make(pod("reader", {"containers": [container], "volumes": [{"name": "own", "emptyDir": {}}]}))
    mounts = made["spec"]["containers"][0]["volumeMounts"]
    assert [each["name"] for each in mounts if each["mountPath"] == mount["mountPath"]] == ["own"]


def test_a_policy_that_fails_stands_in_no_pods_way(server: ApiServer) -> None:
    """Last: this server's policy is another then."""
    (policy, binding) = manifest()
    (role,) = (each for each in policy["spec"]["variables"] if each["name"] == "role")
    role["expression"] = 'string(params.metadata.annotations["not there"])'
    server.apply(policy, binding)
    wait("the broken policy", lambda: written(server.would_make(pod("reader"))) == {})
    assert "env" not in server.would_make(pod("reader"))["spec"]["containers"][0]
