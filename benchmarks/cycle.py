"""python -m benchmarks.cycle CALLS OUT: up, rerun and down in the sandbox around it; a JSON object for each to OUT."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARTS = (("up", "kube_up.py"), ("rerun", "kube_up.py"), ("down", "kube_down.py"))


def run(part: str, script: str, calls_file: Path) -> dict[str, Any]:
    """What one run took. `first` is seconds from the process's start to its first AWS call."""
    before = _lines(calls_file)
    with tempfile.TemporaryDirectory() as folder:
        slept, log = Path(folder, "slept"), Path(folder, "log")
        start, ticks = time.time(), time.monotonic()
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.timed", script, str(slept)], stdout=out, stderr=out
            )
            _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - ticks
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{part} ended with {process.returncode}:\n{log.read_text()}")
        calls = [json.loads(line) for line in _lines(calls_file)[len(before) :]]
        return {
            "part": part,
            "calls": len(calls),
            "changes": sum(call["changes"] for call in calls),
            "wall": wall,
            "slept": float(slept.read_text()),
            "served": sum(call["end"] - call["start"] for call in calls),
            "cpu": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss / 1024,
            "first": calls[0]["start"] - start,
        }


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def main(calls_file: str, out_file: str) -> None:
    """Run all three and write what they took."""
    subprocess.run([sys.executable, "-m", "sandbox.inventory"], check=True, stdout=subprocess.DEVNULL)  # it is there
    results = [run(part, script, Path(calls_file)) for part, script in PARTS]
    Path(out_file).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
