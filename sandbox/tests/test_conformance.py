"""The conformance suite's making, its run and its report, without a cluster."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tarfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lib.node import releases
from sandbox.conformance import __main__ as conformance
from sandbox.conformance import build, images, part, report
from sandbox.conformance.report import Run
from sandbox.conformance.suite import NoReport, Outcome, Suite, area, is_alone, outcomes
from sandbox.machines import official, places, start
from sandbox.machines.registry import Part, Repositories

RELEASE = Path(build.__file__).parents[1] / "release"
ONE, TWO, THREE, FOUR = (
    "[sig-apps] Job should run [Conformance]",
    "[sig-node] Pods should start [Conformance]",
    "[sig-node] Taints evict one pod [Serial] [Conformance]",
    "[sig-node] Images should be pulled [Conformance]",
)
TESTS = [ONE, TWO, THREE, FOUR]


def required(module: Path) -> dict[str, str]:
    """The modules that a go.mod asks for, with their versions."""
    return dict(re.findall(r"^(?:require )?\t?(\S+/\S+) (v\S+)", module.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", sorted(each.name for each in RELEASE.glob("k8s*")))
def test_the_suite_is_of_the_releases_versions(name: str) -> None:
    module = build.SUITE + name.removeprefix("k8s")
    suite, release = required(build.HERE / module / "go.mod"), required(RELEASE / name / "go.mod")
    assert build.module_of(release["k8s.io/kubernetes"]) == module
    differ = {name: (suite.get(name), version) for name, version in release.items() if suite.get(name) != version}
    assert differ == {}


# --- the version


def test_the_suite_is_of_the_clusters_version_and_kept_beside_the_default_ones() -> None:
    default, before = build.place(), build.place("v1.36.3")
    assert default == build.place(releases.default_kubernetes())
    assert (default.module, before.module) == ("suite", "suite-1.36")
    assert before.folder == default.folder.with_name("conformance-1.36")


@pytest.mark.parametrize("version", ["1.36.3", "1.37.2"])
def test_the_suite_is_given_the_kubectl_of_its_version_and_not_the_computers(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = places.cache().mirror / f"dl.k8s.io/release/v{version}/bin/linux/amd64/kubectl"
    file.parent.mkdir(parents=True)
    file.write_text(version)
    start.programs(places.cache(), version)
    assert build.place(version).kubectl.read_text() == version


def test_a_version_without_a_suite_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"KUBERNETES_VERSION": "1.36.9"}
    for run in (partial(build.main, []), partial(build.main, ["where"]), conformance.check, conformance.whole_run):
        assert run(environ) == 2
        assert "KUBERNETES_VERSION=1.36.9: there is a suite of 1.36.3 and of 1.37.2" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_where_the_images_are_is_printed_for_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build.main(["where"], {"KUBERNETES_VERSION": "1.36.3"}) == 0
    assert capsys.readouterr().out == f"{tmp_path}/.cache/kube-up/conformance-1.36/images\n"


GO = """#!/bin/sh
case $1 in
list) grep -om1 'k8s.io/kubernetes v[^ ]*' go.mod | cut -d' ' -f2 ;;
*) for each; do file=$last last=$each; done
    printf '#!/bin/sh\necho "  x.go:1: [sig-a] x [Conformance]"' >"$file"
    chmod +x "$file"; echo "$PWD $*" >"$file.said" ;;
esac
"""


def test_a_suite_is_compiled_of_its_versions_module_and_says_that_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "go").write_text(GO)
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    made_from = set()
    for version in ("1.36.3", "1.37.2"):
        to = build.place(version)
        to.bin.mkdir(parents=True)
        target, sources, make = build._steps(to, ["agnhost"])["e2e.test"]
        make(target)
        made_from.add(sources)
        said = Path(f"{target}.said").read_text()
        assert said.startswith(f"{build.HERE / to.module} test -c")
        assert f"gitVersion=v{version} -X" in said
        assert to.lines("version") == [f"v{version}"]
        assert to.lines("tests") == ["[sig-a] x [Conformance]"]
        build._steps(to, ["agnhost"])["agnhost"][2](to.bin / "agnhost")
        assert (to.bin / "agnhost.said").read_text().startswith(f"{build.HERE / to.module} build")
    assert len(made_from) == 2


def spec(name: str, state: str, *, words: str = "", seconds: float = 1, output: str = "") -> dict[str, Any]:
    area, _, leaf = name.partition(" ")
    failure = {"Message": words, "Location": {"FileName": "/go/test/e2e/x.go", "LineNumber": 7}} if words else None
    return {
        "ContainerHierarchyTexts": [area],
        "LeafNodeText": leaf,
        "LeafNodeType": "It",
        "State": state,
        "RunTime": seconds * 1e9,
        "Failure": failure,
        "CapturedGinkgoWriterOutput": output,
    }


def ginkgo_report(*specs: dict[str, Any]) -> str:
    before = {**spec("[BeforeSuite] x", "passed"), "LeafNodeType": "SynchronizedBeforeSuite"}
    return json.dumps([{"SpecReports": [before, *specs]}, {"SpecReports": None}])


def test_what_was_not_chosen_is_no_outcome_and_what_skipped_itself_is_one() -> None:
    text = ginkgo_report(
        spec(ONE, "passed", seconds=2.5), spec(TWO, "skipped"), spec(THREE, "skipped", words="only for two zones")
    )
    assert outcomes(text) == {
        ONE: Outcome(ONE, "passed", 2.5),
        THREE: Outcome(THREE, "skipped", 1, "only for two zones", "e2e/x.go:7"),
    }


GINKGO = """#!/bin/sh
for each; do case $each in --output-dir=*) dir=${each#*=} ;; --json-report=*) file=${each#*=} ;; esac; done
printf '%s\\n' "$@" >"$dir/arguments"
echo "• [2.0 seconds]"; echo "• [FAILED] [3.0 seconds]"; echo "  said on the way"
REPORT
exit 1
"""


def suite(folder: Path, reports: str) -> Suite:
    programs = folder / "bin"
    programs.mkdir()
    (folder / "report").write_text(reports)
    report_ = f'cp "{folder}/report" "$dir/$file"' if reports else ""
    (programs / "ginkgo").write_text(GINKGO.replace("REPORT", report_))
    (programs / "ginkgo").chmod(0o755)
    (folder / "results").mkdir()
    return Suite(programs, Path("kubectl"), "config", folder / "results")


def test_a_part_is_run_by_its_tests_names_and_progress_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    text = ginkgo_report(spec(ONE, "passed"), spec(TWO, "failed", words="no"), spec(FOUR, "passed"))
    found = suite(tmp_path, text).run("parallel", [ONE, TWO], processes=8, say=said.append)
    assert {name: each.state for name, each in found.items()} == {ONE: "passed", TWO: "failed"}
    arguments = (tmp_path / "results" / "arguments").read_text().splitlines()
    (focus,) = [each.removeprefix("--focus=") for each in arguments if each.startswith("--focus=")]
    assert [bool(re.search(focus, test)) for test in TESTS] == [True, True, False, False]
    assert "--nodes=8" in arguments
    assert "failed" in said[0]
    assert "said on the way" in (tmp_path / "results" / "parallel.out").read_text()


def test_no_test_starts_no_ginkgo(tmp_path: Path) -> None:
    assert suite(tmp_path, "").run("serial", [], processes=1, say=print) == {}


def test_a_suite_that_ends_without_a_report_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(NoReport, match="ginkgo ended with 1 and no report"):
        suite(tmp_path, "").run("serial", [THREE], processes=1, say=print)


def test_a_second_part_without_a_report_takes_nothing_from_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = suite(tmp_path, ginkgo_report(spec(ONE, "passed"), spec(TWO, "failed", words="no")))
    program = tmp_path / "bin/ginkgo"
    program.write_text(program.read_text().replace("cp ", '[ "$file" = serial.json ] || cp '))
    found, said = conformance.in_parts(ran, TESTS, 8)
    assert {name: each.state for name, each in found.items()} == {ONE: "passed", TWO: "failed"}
    assert said == ["3 parallel in 0 minutes", "1 serial without a report"]
    assert "no report: see" in capsys.readouterr().err
    assert ran.again({ONE: PASSED, FOUR: Outcome(FOUR, "skipped", 0)}, say=print) == {}
    assert capsys.readouterr().out == ""
    assert ran.again(found, say=print).keys() == {TWO}
    program.write_text(program.read_text().replace("serial.json", "again.json"))
    (tmp_path / "results" / "again.json").unlink()
    assert ran.again(found, say=print) == {}
    assert "ginkgo ended with 1 and no report: see" in capsys.readouterr().out
    assert Run(TESTS, found, {}).why(THREE) == "it was not run"


# --- the report

PASSED, FAILED = Outcome(ONE, "passed", 1), Outcome(TWO, "failed", 9, "first\nsecond", "e2e/x.go:7")
KITTEN = f"{images.REGISTRY}kitten:1.8"
LACKING = Outcome(FOUR, "failed", 9, "timed out", output=f'Failed to pull image "{KITTEN}": not found')


def test_what_did_not_run_or_has_no_image_is_not_counted_as_passed() -> None:
    run = Run(TESTS, {ONE: PASSED, TWO: FAILED, FOUR: LACKING}, {TWO: FAILED}, [KITTEN])
    assert [run.verdict(test) for test in TESTS] == ["passed", "failed", "not runnable", "not runnable"]
    assert report.sentence(run) == "1 of 4 conformance tests passed, 1 failed, 2 not runnable"
    assert not run.is_good
    assert KITTEN in run.why(FOUR)
    assert run.why(THREE) == "it was not run"
    assert "first / second" in run.why(TWO)
    rows = report.table(run).splitlines()
    assert rows[-2:] == ["| node | 3 | 1 | 0 | 1 | 2 |", "| all | 4 | 2 | 1 | 1 | 2 |"]


def test_a_failure_that_passes_alone_is_said() -> None:
    run = Run([ONE, TWO], {ONE: PASSED, TWO: FAILED}, {TWO: Outcome(TWO, "passed", 3)})
    assert run.is_good
    assert report.sentence(run) == "2 of 2 conformance tests passed, 1 of them when repeated alone"
    assert run.why(TWO).endswith("repeated alone it passed")
    assert "| all | 2 | 2 | 2 (1 repeated alone) | 0 | 0 |" in report.table(run)
    assert f"- `{TWO}`" in report.page(run, [])


def test_a_skipped_test_is_not_runnable_and_nothing_run_is_not_good() -> None:
    assert Run([ONE], {ONE: Outcome(ONE, "skipped", 0, "needs two zones")}, {}).verdict(ONE) == "not runnable"
    assert not Run([ONE], {}, {}).is_good
    assert not Run([], {}, {}).is_good


def test_the_page_keeps_its_own_words_around_the_report_and_those_of_other_versions() -> None:
    old, other, new = (
        report.marked(*each) for each in (("old\n", "v1.36.3"), ("x\n", "v1.37.2"), ("new \\1\n", "v1.36.4"))
    )
    other += report.marked("on kernels of their own\n", "v1.36.3", own_kernel=True)
    assert report.with_report(f"before\n{old}between\n{other}after\n", new) == (f"before\n{new}between\n{other}after\n")
    with pytest.raises(ValueError, match=r"the page has 0 places for the report: <!-- make conformance 1\.36: begin"):
        report.with_report(f"before\n{other}", new)


@pytest.mark.parametrize("version", ["1.36.3", "1.37.2"])
def test_the_seconds_that_the_part_is_chosen_by_are_the_default_versions(version: str, tmp_path: Path) -> None:
    page, seconds = tmp_path / "page.md", tmp_path / "seconds"
    seconds.write_text(f"9.0 {TWO}\n")
    page.write_text(report.marked("", version))
    (tmp_path / report.REPORT).write_text(report.marked("new\n", f"v{version}"))
    (tmp_path / "parallel.json").write_text(ginkgo_report(spec(ONE, "passed", seconds=2.5)))
    report.keep(page, seconds, tmp_path)
    assert page.read_text() == report.marked("new\n", version)
    is_default = version == releases.default_kubernetes()
    assert seconds.read_text() == (f"2.5 {ONE}\n" if is_default else "") + f"9.0 {TWO}\n"


def test_a_report_that_cannot_be_kept_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report.main([]) == 2
    assert capsys.readouterr().err == "conformance: report takes the page, docs/conformance.md\n"
    assert report.main(["page.md"]) == 1
    assert "nothing is kept: " in capsys.readouterr().err


def test_a_part_is_not_put_in_the_place_of_a_whole_run_but_on_kernels_of_the_machines_own(tmp_path: Path) -> None:
    page, seconds = tmp_path / "page.md", tmp_path / "seconds"
    seconds.write_text("")
    for own_kernel in (False, True):
        page.write_text(report.marked("", "v1.36.3", own_kernel=own_kernel))
        last = report.marked(f"{report.A_PART}\n", "v1.36.3", own_kernel=own_kernel)
        (tmp_path / report.REPORT).write_text(last)
        if own_kernel:
            report.keep(page, seconds, tmp_path)
            assert page.read_text() == last
        else:
            with pytest.raises(ValueError, match="of a part of the suite, and the page has whole runs"):
                report.keep(page, seconds, tmp_path)


def test_the_page_has_a_place_for_each_version_that_there_is_a_suite_of() -> None:
    page = (Path(build.__file__).parents[2] / "docs/conformance.md").read_text(encoding="utf-8")
    for module in RELEASE.glob("k8s*"):
        version = required(module / "go.mod")["k8s.io/kubernetes"]
        assert report.with_report(page, report.marked("x\n", version)) != page
    on_own_kernels = report.marked("x\n", releases.default_kubernetes(), own_kernel=True)
    assert report.with_report(page, on_own_kernels) != page


# --- what is chosen


def test_an_expression_chooses_a_part() -> None:
    assert conformance.chosen(TESTS, "") == TESTS
    assert conformance.chosen(TESTS, r"sig-node.*start|Job") == [ONE, TWO]
    recorded = part.recorded(part.SECONDS.read_text())
    assert conformance.chosen(list(recorded), "part") == part.chosen(recorded, recorded)
    assert [is_alone(test) for test in TESTS] == [False, False, True, False]


@pytest.mark.parametrize(("expression", "words"), [("(", "is no regular expression"), ("sig-moon", "finds none of 0")])
def test_an_expression_that_chooses_nothing_ends_with_2_before_there_is_a_cluster(
    expression: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert conformance.whole_run({"CONFORMANCE": expression}) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"CONFORMANCE": "("}, "CONFORMANCE=( is no regular expression"),
        ({"CONFORMANCE": "sig-moon"}, "CONFORMANCE=sig-moon finds none of 4 tests"),
        ({"KERNEL": "yes"}, "KERNEL=yes: own, or nothing for the computer's"),
        ({"KUBERNETES_VERSION": "1.36"}, "KUBERNETES_VERSION=1.36: there is a suite of 1.36.3"),
    ],
)
def test_what_a_run_would_refuse_is_refused_before_the_suite_is_built(
    asked: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    to = build.place()
    to.folder.mkdir(parents=True)
    (to.folder / "tests").write_text("".join(f"{test}\n" for test in TESTS))
    assert conformance.main(["check"], asked) == 2
    assert words in capsys.readouterr().err


def test_a_computer_without_what_machines_need_is_refused_before_the_suite_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert conformance.main(["check"], {"CONFORMANCE": "Job"}) == build.LACKING
    assert "machines need root" in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(official, "unreachable", lambda _: ["a site: no answer"])
    assert conformance.main(["check"], {"KERNEL": "own"}) == build.LACKING
    said = capsys.readouterr().err
    assert "make release (builds Kubernetes into" in said
    assert "make release (builds machines' own kernel into" in said


def test_make_looks_before_it_builds() -> None:
    makefile = (Path(build.__file__).parents[2] / "Makefile").read_text()
    (recipe,) = re.findall(r"^conformance: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert re.findall(r"sandbox\.conformance\S*(?: check| build| where)?", recipe)[:2] == [
        "sandbox.conformance check",
        "sandbox.conformance.build",
    ]


# --- the part of make e2e


def test_the_part_has_of_every_sig_the_first_by_name_that_are_short_and_need_not_be_alone() -> None:
    short = [f"[sig-a] {number:03}" for number in range(part.MOST + 3)]
    seconds = dict.fromkeys([*short, "[sig-b] x [Serial]", "[sig-b] y"], part.LONGEST) | {
        "[sig-b] a": part.LONGEST + 0.1
    }
    tests = [*reversed(short), "[sig-b] x [Serial]", "[sig-b] y", "[sig-b] a", "[sig-b] never recorded"]
    assert part.chosen(tests, seconds) == [*short[: part.MOST], "[sig-b] y"]
    assert part.chosen(tests, seconds, 2) == [*short[:2], "[sig-b] y"]


def test_the_part_touches_every_sig_of_the_recorded_run() -> None:
    seconds = part.recorded(part.SECONDS.read_text())
    chosen = part.chosen(seconds, seconds)
    assert {area(test) for test in chosen} == {area(test) for test in seconds}
    assert part.recorded(part.record(seconds)) == seconds


def test_every_image_of_the_part_can_be_made() -> None:
    assert set(images.RECIPES) - set(part.IMAGES) == {"sample-apiserver"}
    seconds = {f"[sig-a] {part.DEAR} works": 1.0, "[sig-a] works": 1.0}
    assert part.chosen(seconds, seconds) == ["[sig-a] works"]


@pytest.mark.parametrize("arguments", [["whole"], ["part", "x"]])
def test_a_build_of_anything_else_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(arguments, {}) == 2
    assert "takes nothing or the word part" in capsys.readouterr().err


# --- the build


def test_an_image_can_be_pulled_by_every_name_that_the_suite_has_for_it(tmp_path: Path) -> None:
    layer = images.Layer()
    layer.folder("tmp", 0o1777)
    layer.file("bin/busybox", b"program", 0o755)
    layer.link("bin/sh", "bin/busybox")
    asked = [f"{images.REGISTRY}{name}" for name in ("busybox:1", "busybox:2", "busybox-other:1", "agnhost:1")]
    tags = build.tags(asked, "busybox")
    assert tags == asked[:2]
    content = layer.done()
    images.write(tmp_path / "busybox.tar", tags, images.Image([content], {"Cmd": ["sh"]}), "amd64")
    registry = Repositories([tmp_path / "busybox.tar"])
    bodies = [registry.answer(f"/v2/e2e-test-images/busybox/manifests/{tag}")[1] for tag in "12"]
    assert bodies[0] == bodies[1]
    assert isinstance(bodies[0], bytes)
    manifest = json.loads(bodies[0])
    config = registry.answer(f"/v2/e2e-test-images/busybox/blobs/{manifest['config']['digest']}")[1]
    assert isinstance(config, bytes)
    assert json.loads(config)["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    part = registry.answer(f"/v2/e2e-test-images/busybox/blobs/{manifest['layers'][0]['digest']}")[1]
    assert isinstance(part, Part)
    with open(part.file, "rb") as file:
        file.seek(part.offset)
        assert file.read(part.size) == content


def test_what_is_whole_and_of_the_same_sources_is_not_made_again(tmp_path: Path) -> None:
    to, made = build.Place(tmp_path, tmp_path / "coredns", tmp_path / "kubectl"), []

    def make(file: Path) -> None:
        made.append(file.name)
        file.write_text("whole")

    target = to.bin / "program"
    assert not build._is_made(to, "program", target, "sources")
    build._make(to, "program", target, "sources", make)
    assert made == ["program.new"]
    assert build._is_made(to, "program", target, "sources")
    assert not build._is_made(to, "program", target, "other sources")
    target.unlink()
    assert not build._is_made(to, "program", target, "sources")


def test_what_is_cut_short_is_not_taken_for_whole(tmp_path: Path) -> None:
    to = build.Place(tmp_path, tmp_path / "coredns", tmp_path / "kubectl")

    def fail(file: Path) -> None:
        file.write_text("half")
        raise build.CannotBuild("no")

    with pytest.raises(build.CannotBuild):
        build._make(to, "program", to.bin / "program", "sources", fail)
    assert not (to.bin / "program").exists()


def test_an_image_that_is_made_anew_wants_its_programs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a new `make release`: all programs are there, and go need not be."""
    to = build.Place(tmp_path, tmp_path / "coredns", tmp_path / "kubectl")
    to.coredns.write_text("x")

    def make(file: Path) -> None:
        file.write_text("x")

    for name, (target, made_from, _) in build._steps(to, ["busybox"]).items():
        build._make(to, name, target, made_from, make)
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "go" else program)
    with pytest.raises(build.Lacking, match="golang-go"):
        build.build(to, ["busybox"], 0)


def test_a_build_waits_for_another_one_of_the_same_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = build.Place(tmp_path / "out", tmp_path / "coredns", tmp_path / "kubectl")
    ended: list[Exception] = []

    def second() -> None:
        try:
            build.build(to, ["busybox"], 0)
        except build.Lacking as error:  # of what there is not
            ended.append(error)

    waiting, said, end = threading.Thread(target=second, daemon=True), "", time.monotonic() + 60
    with open(f"{to.folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        while not said and time.monotonic() < end:
            said = capsys.readouterr().out
        assert f"another build is making {to.folder}" in said
        assert not ended
    waiting.join(60)
    assert "there is no" in str(ended[0])


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    to = build.Place(tmp_path / "file/out", tmp_path / "coredns", tmp_path / "kubectl")
    with pytest.raises(build.Lacking, match=rf"a folder that can be made \({to.folder}: Not a directory\)"):
        build.build(to, ["busybox"], 0)


def test_all_that_is_missing_is_said_at_once_and_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program in ("go", "bzip2") else program)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 3 * 2**30))
    with pytest.raises(build.Lacking) as caught:
        build.build(build.Place(tmp_path / "out", tmp_path / "coredns", tmp_path / "kubectl"), ["busybox"], build.ROOM)
    for words in ("apt-get install bzip2 golang-go", "make release (there is no", "8 GiB of disk", "has 3.0 left"):
        assert words in str(caught.value)
    assert not (tmp_path / "out" / "bin").exists()


@pytest.mark.parametrize("name", sorted(images.RECIPES))
def test_each_image_is_made_of_what_its_build_compiles(name: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / build.OF_IMAGES.get(name, "agnhost")
    program.write_text("#!/bin/sh\necho sh\n")
    program.chmod(0o755)
    for file in ("agnhost/porter/localhost.crt", "agnhost/porter/localhost.key", f"{name}/html/data.json"):
        (tmp_path / "tree" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / file).write_text("x")
    root, coredns = tmp_path / "root.tar", tmp_path / "coredns"
    coredns.write_text("x")
    with tarfile.open(root, "w") as files:
        for each in ("passwd", "group"):
            files.add(coredns, f"./etc/{each}")
    image = images.RECIPES[name].make(images.Sources(programs, root, tmp_path / "tree", coredns))
    assert image.layers
    assert images.RECIPES[name].stand_in
    assert image.config.get("Entrypoint") or image.config.get("Cmd")
