"""Flatten manifests into facts, `path: value`, for tests/upstream_addons.json and the test that compares ours with it.

`python tests/upstream_addons.py DIRECTORY` writes the file anew from checkouts of the repositories that it names, each
in a folder `owner+name` below DIRECTORY.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FACTS = Path(__file__).parent / "upstream_addons.json"
_POD = ("spec", "template", "spec")
_LOCAL = {"image", "name", "volumeMounts", "ports"}  # names that only have to fit each other


def facts(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What the workloads, and the objects that are no workloads, say: each leaf by its path; and what roles may do."""
    found: dict[str, Any] = {}
    for document in documents:
        kind = document["kind"]
        if kind in ("Deployment", "DaemonSet"):
            found |= _workload(document)
        elif kind in ("Role", "ClusterRole"):
            found |= dict.fromkeys(_rights(document), True)
        elif kind in ("CSIDriver", "APIService"):
            found |= {f"{kind}.{path}": value for path, value in _leaves(document["spec"], "")}
        elif kind == "CustomResourceDefinition":
            found |= dict(_resource(document))
    return found


def _resource(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A resource's names, and of each version that is served its columns and the types and checks of its fields."""
    spec, at = document["spec"], document["spec"]["names"]["plural"]
    yield f"{at} approved", document["metadata"]["annotations"]["api-approved.kubernetes.io"]
    yield from _leaves({key: spec[key] for key in ("group", "scope", "names")}, at)
    for version in spec["versions"]:
        if version["served"]:
            name = f"{at} {version['name']}"
            yield f"{name} stored", version["storage"]
            yield f"{name} subresources", sorted(version.get("subresources", {}))
            for number, column in enumerate(version["additionalPrinterColumns"]):
                yield f"{name} column {number}", [column["name"], column["type"], column["jsonPath"]]
            yield from _fields(version["schema"]["openAPIV3Schema"], name)


def _fields(schema: dict[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key == "properties":
            for name, each in value.items():
                yield from _fields(each, f"{at}.{name}")
        elif key == "x-kubernetes-validations":
            yield f"{at} rules", True
        elif key != "description":
            yield f"{at} {key}", value


def _workload(document: dict[str, Any]) -> dict[str, Any]:
    pod = document["spec"]["template"]["spec"]
    name = document["metadata"]["name"]
    found = {f"{name}.{path}": v for path, v in _leaves({k: v for k, v in pod.items() if k not in _SEPARATE}, "")}
    for container in pod["containers"]:
        at = f"{name}/{container['name']}"
        for word in [*container.get("command", []), *container.get("args", [])]:
            flag, _, value = word.partition("=")
            found[f"{at} {flag}"] = value
        for each in container.get("env", []):
            found[f"{at} env {each['name']}"] = each.get("value", "from elsewhere")
        rest = {k: v for k, v in container.items() if k not in _LOCAL | {"args", "command", "env"}}
        found |= {f"{at}.{path}": value for path, value in _leaves(rest, "")}
    return found


_SEPARATE = {"containers", "volumes", "serviceAccountName"}


def _rights(document: dict[str, Any]) -> Iterator[str]:
    for rule in document.get("rules") or []:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield f"may {verb} {resource}{'.' if group else ''}{group}"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            yield from _leaves(each, f"{path}[{each.get('key', '*')}]")
    elif path:
        yield path, value


def _git(at: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", at, *arguments], capture_output=True, text=True, check=True).stdout


def read(at: Path, tag: str, path: str) -> list[dict[str, Any]]:
    """The documents of a file of a tag's, in the checkout there."""
    return [each for each in yaml.safe_load_all(_git(at, "show", f"{tag}:{path}")) if each]


def listed(at: Path, tag: str, folder: str) -> list[str]:
    """The files directly in a folder of a tag's."""
    return _git(at, "ls-tree", "--name-only", tag, f"{folder}/").splitlines()


def main(directory: str) -> None:
    known = json.loads(FACTS.read_text(encoding="utf-8"))
    for entry in known.values():
        at = Path(directory) / entry["repository"].replace("/", "+")
        documents = [each for path in entry["files"] for each in read(at, entry["tag"], path)]
        entry["facts"] = facts(documents)
        if entry.get("policy"):
            (policy,) = read(at, entry["tag"], entry["policy"])
            entry["actions"] = sorted({action for each in policy["Statement"] for action in each["Action"]})
    FACTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
