"""python -m sandbox.conformance: a cluster of a master and two minions, the conformance suite in it, and its end.

Runs inside `python -m sandbox --hosts machines [--kernel] --images FOLDER`, as `make conformance` does. CONFORMANCE is
a regular expression: tests whose name it finds are run; the word part alone stands for those that `make e2e` runs.
KUBERNETES_VERSION is one that build.py has made the suite of, and the cluster's. The exit status is 0 when all of them
passed, 1 when not, 2 when the expression is none or finds nothing, there is no suite of the version, or this is not in
the sandbox, 130 after Ctrl-C. The reports are in build/conformance.

"check" runs nothing: it ends with 2 where a run would be refused, KERNEL among the reasons, and with 3 where this
computer lacks something for machines. So nothing is built first that then helps nobody.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import surroundings
from sandbox.conformance import build, part, report
from sandbox.conformance.report import REPORT, RESULTS, Run
from sandbox.conformance.suite import FEWER_PROCESSES, PROCESSES, NoReport, Outcome, Suite, is_alone
from sandbox.machines import image, official, places, requirements

ROOT = Path(__file__).parents[2]
# The driver's images cannot be made here, and the suite begins when all pods of kube-system are Ready.
CLUSTER = {"KUBE_AWS_ZONE": "us-west-2a", "NUM_NODES": "2", "KUBE_ENABLE_EBS_CSI_DRIVER": "false"}
READY = 180  # seconds for the pods of kube-system
PART = "part"  # CONFORMANCE's word for what `make e2e` runs
OWN = "own"  # KERNEL's for machines with a kernel of their own


class CannotRun(Exception):
    """The cluster or the suite did not come up; what it said."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs it, or with "check" looks whether it can be run; returns the exit status."""
    if arguments == ["check"]:
        return check(environ)
    if arguments or not surroundings.is_inside(environ):
        print(f"conformance: {surroundings.OUTSIDE}, or with the word check: make does both", file=sys.stderr)
        return 2
    return whole_run(environ)


def check(environ: Mapping[str, str]) -> int:
    """Whether a run would be refused, before anything is built; returns the exit status."""
    kernel = environ.get("KERNEL", "")
    try:
        if kernel not in ("", OWN):
            raise ValueError(f"KERNEL={kernel}: {OWN}, or nothing for the computer's")
        listed = build.place(environ.get("KUBERNETES_VERSION", "")).lines("tests")
        expression = environ.get("CONFORMANCE", "")
        if listed:
            chosen(listed, expression)
        else:  # not built yet
            pattern(expression)
        cache = places.cache()
        requirements.check(cache, official.wanted(cache, environ), kernel=kernel == OWN)
    except ValueError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    except places.CannotStart as error:
        print(f"conformance: {error}", file=sys.stderr)
        return build.LACKING
    return 0


def whole_run(environ: Mapping[str, str]) -> int:
    """A cluster, the tests in it, and its end; returns the exit status."""
    try:
        made = build.place(environ.get("KUBERNETES_VERSION", ""))
        tests = chosen(made.lines("tests"), environ.get("CONFORMANCE", ""))
    except ValueError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    shutil.rmtree(ROOT / RESULTS, ignore_errors=True)
    (ROOT / RESULTS).mkdir(parents=True)
    load, started = os.getloadavg()[0], time.monotonic()
    try:
        _script("kube_up.py")
        _wait_for_pods()
        kernel = _kernel()
        run, parts = _run(made, tests, environ, FEWER_PROCESSES if kernel else PROCESSES)
    except (CannotRun, NoReport) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("conformance: stopped", file=sys.stderr)
        return 130
    finally:
        _script("kube_down.py", "--yes", stays=True)
    about = _about(made, parts, load, kernel, whole=len(tests) == len(made.lines("tests")))
    page = report.marked(report.page(run, about), made.lines("version")[0], own_kernel=bool(kernel))
    (ROOT / RESULTS / REPORT).write_text(page, encoding="utf-8")
    print(f"\n{report.table(run)}")
    for test in tests:
        if run.verdict(test) != "passed":
            print(f"{run.verdict(test)}: {test}\n    {run.why(test)}")
    minutes = (time.monotonic() - started) / 60
    print(f"conformance: {report.sentence(run)} in {minutes:.0f} minutes; {RESULTS} has the reports")
    return 0 if run.is_good else 1


def chosen(tests: Sequence[str], expression: str) -> list[str]:
    """Those whose name the expression finds; all with an empty one, part.py's with its word. Raises ValueError."""
    if expression == PART:
        return part.of(tests)
    wanted = pattern(expression)
    found = [test for test in tests if wanted.search(test)]
    if not found:
        raise ValueError(f"CONFORMANCE={expression} finds none of {len(tests)} tests")
    return found


def pattern(expression: str) -> re.Pattern[str]:
    """Of CONFORMANCE. Raises ValueError."""
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(f"CONFORMANCE={expression} is no regular expression: {error}") from None


def _run(made: build.Place, tests: Sequence[str], environ: Mapping[str, str], most: int) -> tuple[Run, list[str]]:
    """In two parts, then again what failed, each alone."""
    suite = Suite(made.bin, made.kubectl, environ["KUBECONFIG"], ROOT / RESULTS)
    first, parts = in_parts(suite, tests, most)
    again = suite.again(first, say=_say)
    made_tags = [tag for file in made.images.glob("*.tar") for tag in build.tags(made.lines("asked"), file.stem)]
    return Run(tests, first, again, [each for each in made.lines("asked") if each not in made_tags]), parts


def in_parts(suite: Suite, tests: Sequence[str], most: int) -> tuple[dict[str, Outcome], list[str]]:
    """Those that may run side by side, in so many processes, then the others; and for each part, in words, how long.

    Tests of a second part that ends without a report count as not run. Raises NoReport where the first one does.
    """
    found: dict[str, Outcome] = {}
    said = []
    for name, processes in (("parallel", most), ("serial", 1)):
        if not (of_part := [test for test in tests if is_alone(test) == (name == "serial")]):
            continue
        began = time.monotonic()
        print(f"conformance: {name}, {len(of_part)} tests in {processes} processes", flush=True)
        try:
            found |= suite.run(name, of_part, processes=processes, say=_say)
        except NoReport as error:
            if not found:
                raise
            print(f"conformance: {error}", file=sys.stderr)
            said.append(f"{len(of_part)} {name} without a report")
        else:
            said.append(f"{len(of_part)} {name} in {(time.monotonic() - began) / 60:.0f} minutes")
    return found, said


def _say(words: str) -> None:
    print(f"  {words}", flush=True)


def _script(name: str, *arguments: str, stays: bool = False) -> None:
    """One of the two scripts, its words in a file. Raises CannotRun where it fails; with `stays` that is only said."""
    said = ROOT / RESULTS / f"{name}.out"
    print(f"conformance: {name}", flush=True)
    with open(said, "wb") as out:
        done = subprocess.run(
            [sys.executable, name, *arguments],
            cwd=ROOT,
            env={**os.environ, **CLUSTER},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        words = f"{name} ended with {done.returncode}: see {said}"
        if not stays:
            raise CannotRun(words)
        print(f"conformance: {words}", file=sys.stderr)


def _wait_for_pods() -> None:
    command = ["kubectl", "wait", "--namespace=kube-system", "--for=condition=Ready", "pods", "--all"]
    done = subprocess.run([*command, f"--timeout={READY}s"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"not all pods of kube-system are Ready after {READY} s: {done.stderr.strip()}")


def _kernel() -> str:
    """The release of the nodes' own kernel, as the cluster has it; empty where it is the computer's."""
    command = ["kubectl", "get", "nodes", "--output=jsonpath={.items[0].status.nodeInfo.kernelVersion}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        raise CannotRun(f"the nodes cannot be read: {done.stderr.strip()}")
    return "" if done.stdout == os.uname().release else done.stdout


def _about(made: build.Place, parts: Sequence[str], load: float, kernel: str, *, whole: bool) -> list[str]:
    today = time.strftime("%d %B %Y").lstrip("0")
    groups = "1, cgroupfs driver" if image.is_v1() and not kernel else "2, systemd driver"
    version = made.lines("version")[0]
    hosts = f"`--hosts machines --kernel`, Linux {kernel}" if kernel else "`--hosts machines`"
    where = f"a master and two minions of {hosts}, {os.cpu_count()} processors, load {load:.1f} before"
    what = "the whole suite" if whole else report.A_PART
    return [
        f"{today}, Kubernetes {version}, {what}: {', '.join(parts)}; {where}, control groups of version {groups}. "
        "Without the EBS CSI driver, whose images cannot be built here."
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
