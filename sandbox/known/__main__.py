"""Write templates/lost.txt anew: python -m sandbox.known. It needs Go, and what `make release` has compiled.

main.go beside this is run within sandbox/release/k8s-1.36 and k8s, so that each answer is that release's own. Another
release comes in by its go.mod file there, and by its folder here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LOST = HERE.parents[1] / "templates" / "lost.txt"
MODULES = ("k8s-1.36", "k8s")  # the older one first
_HEAD = """\
# What a release of Kubernetes does not know any more, and the minor release before it did: RELEASE KIND NAME. The kind
# is a part of Kubernetes, whose argument NAME is, or gate, admission (a plugin) or api (a version); NAME=VALUE is a
# feature gate that may have that value alone from this release on. Read by lib/checks/lost.py; made by
# `python -m sandbox.known` of the code of Kubernetes {before} and {after}.
"""


def main() -> int:
    """Write the file."""
    (before, older), (after, newer) = (_asked(module) for module in MODULES)
    release = ".".join(after.removeprefix("v").split(".")[:2])
    lines = [f"{release} {name}\n" for name in sorted(lost(older, newer))]
    LOST.write_text(_HEAD.format(before=before, after=after) + "".join(lines), encoding="utf-8")
    print(f"{LOST}: {len(lines)} names")
    return 0


def lost(older: set[str], newer: set[str]) -> set[str]:
    """The names that are gone, and the gates that have one value from now on."""
    names = {name.partition("=")[0] for name in newer}
    gone = {name.partition("=")[0] for name in older} - names
    return gone | {name for name in newer - older if "=" in name}


def _asked(module: str) -> tuple[str, set[str]]:
    """Kubernetes' version in that module, and what it knows."""
    place = HERE.parent / "release" / module

    def go(*words: str) -> str:
        environ = {**os.environ, "CGO_ENABLED": "0"}
        return subprocess.run(
            ["go", *words], cwd=place, env=environ, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    version = go("list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").strip()
    # The flags of sandbox/release/build, by which Go finds what that has compiled.
    told = go("run", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", str(HERE / "main.go"))
    return version, set(told.splitlines())


if __name__ == "__main__":
    sys.exit(main())
