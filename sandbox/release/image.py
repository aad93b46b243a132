"""Write a container image of single files as a docker-archive.

image.py OUT.tar NAME:TAG[,NAME:TAG...] [--entrypoint PATH] [--base ROOTFS.tar] FILE=PATH...
A PATH that ends in / keeps the file's name. With --base the files go on top of that root file system.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path


def layer_of(files: list[tuple[Path, str]]) -> bytes:
    """One layer that holds the files, root-owned and executable, and a /tmp."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(tmp)
        for source, target in files:
            info = tarfile.TarInfo((target + source.name if target.endswith("/") else target).lstrip("/"))
            info.size, info.mode = source.stat().st_size, 0o755
            with source.open("rb") as content:
                layer.addfile(info, content)
    return buffer.getvalue()


def config_of(digests: list[str], entrypoint: str | None) -> bytes:
    """The image's configuration, as the image specification of Docker 1.2 has it."""
    config = {
        "architecture": os.environ.get("GOARCH", "amd64"),
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": [entrypoint] if entrypoint else None,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "files"} for _ in digests],
    }
    return json.dumps(config).encode()


def write_archive(out: str, tags: list[str], layers: list[bytes], entrypoint: str | None) -> None:
    """The layers and their configuration as an archive that docker load and ctr images import read."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    config = config_of(digests, entrypoint)
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": name, "RepoTags": tags, "Layers": names}]).encode()
    with tarfile.open(out, "w") as archive:
        for path, data in [(name, config), *zip(names, layers, strict=True), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def pair(argument: str) -> tuple[Path, str]:
    """FILE=PATH."""
    file, _, path = argument.partition("=")
    return Path(file), path


def main() -> None:
    """Write the archive that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("tags")
    parser.add_argument("--entrypoint")
    parser.add_argument("--base", type=Path)
    parser.add_argument("files", nargs="+", type=pair)
    args = parser.parse_args()
    base = [args.base.read_bytes()] if args.base else []
    write_archive(args.out, args.tags.split(","), [*base, layer_of(args.files)], args.entrypoint)


if __name__ == "__main__":
    main()
