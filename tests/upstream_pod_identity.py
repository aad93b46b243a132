"""Take the cases of EKS' pod identity webhook's own tests as facts, for tests/upstream_pod_identity.json.

Each is a file of upstream's: a pod, in its annotations what its service account and the webhook were told, and what the
webhook writes into it. `python tests/upstream_pod_identity.py DIRECTORY` writes the cases anew from a checkout of the
repository in a folder `owner+name` below DIRECTORY.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from upstream_addons import listed, read

FACTS = Path(__file__).parent / "upstream_pod_identity.json"
_TOLD = "testing.eks.amazonaws.com/"
# What the test tells a service account, by its annotations' names; what it tells the webhook that a service account can
# be told too, it tells the account.
_OF_ACCOUNT = {
    "serviceAccount/roleArn": "role-arn",
    "serviceAccount/audience": "audience",
    "handler/injectSTS": "sts-regional-endpoints",
    "serviceAccount/sts-regional-endpoints": "sts-regional-endpoints",
    "handler/expiration": "token-expiration",
    "serviceAccount/token-expiration": "token-expiration",
}


def case(pod: dict[str, Any]) -> dict[str, Any]:
    """What is given, and what is written: the volume, and the variables and further mounts of each container."""
    annotations, spec = pod["metadata"]["annotations"], pod["spec"]
    told = {name.removeprefix(_TOLD): text for name, text in annotations.items() if name.startswith(_TOLD)}
    patch = {each["path"]: each["value"] for each in json.loads(told["expectedPatch"])}
    volumes = [value for path, value in patch.items() if path.startswith("/spec/volumes")]
    for mount in spec["containers"][0].get("volumeMounts", []):
        mount["mountPath"] = mount.pop("path")  # one file has it by that name, which Kubernetes does not know
    containers: dict[str, Any] = {}
    for kind in ("initContainers", "containers"):
        for number, given in enumerate(spec.get(kind, [])):
            written, before = patch[f"/spec/{kind}"][number], {each["name"] for each in given.get("volumeMounts", [])}
            containers[f"{kind}/{number}"] = {
                "env": {each["name"]: each["value"] for each in written.get("env", [])},
                "mounts": [each for each in written.get("volumeMounts", []) if each["name"] not in before],
            }
    return {
        "account": {name: told[said] for said, name in _OF_ACCOUNT.items() if said in told},
        "region": told.get("handler/region", ""),
        "annotations": {name: text for name, text in annotations.items() if not name.startswith(_TOLD)},
        "spec": {key: value for key, value in spec.items() if key != "serviceAccountName"},
        "volume": (volumes[0] if isinstance(volumes[0], dict) else volumes[0][0]) if volumes else None,
        "containers": containers,
    }


def main(directory: str) -> None:
    known = json.loads(FACTS.read_text(encoding="utf-8"))
    at = Path(directory) / known["repository"].replace("/", "+")
    names = [name for name in listed(at, known["tag"], known["folder"]) if name.endswith(".pod.yaml")]
    cases = {name.rpartition("/")[2].removesuffix(".pod.yaml"): read(at, known["tag"], name)[0] for name in names}
    known["cases"] = {name: case(pod) for name, pod in cases.items()}
    FACTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
