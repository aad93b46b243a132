"""python -m benchmarks.aws: the sandbox with quotas raised to what 990 minions need."""

from __future__ import annotations

import sys

from sandbox import cli
from sandbox.backend import images

RAISED = {("vpc", "L-93826ACB"): 1000.0, ("ec2", "L-1216C47A"): 4096.0}  # routes of a table, vCPUs

if __name__ == "__main__":
    for code, value in RAISED.items():
        images.QUOTAS[code] = (images.QUOTAS[code][0], value)
    sys.exit(cli.main(sys.argv[1:]))
