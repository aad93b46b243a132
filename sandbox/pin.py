"""Pin the sums of the default downloads: python -m sandbox.pin (make pin), where the release sites can be reached.

Replaces the SHA256_ lines of templates/releases.env by what the sites' own sum files say now, for both architectures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lib.node import releases
from lib.run.errors import KubeError

ARCHITECTURES = ("amd64", "arm64")


def main(argv: Sequence[str]) -> int:
    """Write the lines and print them; 1, and nothing written, when a sum cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.pin", description=__doc__.partition("\n")[0])
    parser.add_argument("--mirror", default="", help="what stands in for the sites, as KUBE_DOWNLOAD_MIRROR does")
    parser.add_argument("--file", type=Path, default=releases.RELEASES, help="templates/releases.env")
    options = parser.parse_args(argv)
    try:
        lines = pinned(options.mirror)
        kept = [line for line in options.file.read_text().splitlines() if not line.startswith("SHA256_")]
        options.file.write_text("\n".join([*kept, *lines, ""]))
    except (KubeError, OSError) as error:
        print(f"pin: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def pinned(mirror: str) -> list[str]:
    """A line for each file of the default versions."""
    return [
        f"SHA256_{each.name}_{architecture.upper()}={releases.sum_in(releases.read_text(time.sleep, each.sums), each)}"
        for architecture in ARCHITECTURES
        for each in releases.published(releases.default_kubernetes(), architecture, mirror=mirror)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
