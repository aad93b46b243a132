"""python -m sandbox.conformance.build [part]: what the conformance suite needs, of Go modules and Debian's packages.

KUBERNETES_VERSION is one of the versions that `make release` builds; without it, it is the default one. Each has a
module that says what its suite is made of, suite or suite-1.36 here, and a folder of its own:

~/.cache/kube-up/conformance/, or conformance-1.36/
    bin/e2e.test, bin/ginkgo  the suite, of that version of Kubernetes, and what runs it in several processes
    bin/...                   the programs of its images
    root.tar                  the Debian below its images
    images/*.tar              its images, as docker-archives, by the names and tags that the suite asks for
    version, tests, asked     the suite's version, its conformance tests and the images it knows, one a line

"part" makes only what tests/e2e needs, of the default version; "where" makes nothing and prints the images' folder.
What is there and of the same sources is kept, so a build that was cut short goes on. Needs what `make release` needs
and has made, and make and bzip2 for busybox. The first time it takes some ten minutes on 2 cores, the part half of
that. The exit status is 1 where something could not be made, 2 where there is no suite of the version, 3 where this
computer lacks something that is needed for it, and 130 after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.conformance import images, part
from sandbox.machines import places

HERE = Path(__file__).parent
E2E = "k8s.io/kubernetes/test/e2e"
SUITE = "suite"
PROGRAMS = {  # name -> module's folder here (SUITE stands for that of the version), package
    "ginkgo": (SUITE, "github.com/onsi/ginkgo/v2/ginkgo"),
    "agnhost": (SUITE, "k8s.io/kubernetes/test/images/agnhost"),
    "nnp": (SUITE, "k8s.io/kubernetes/test/images/nonewprivs"),
    "sample-apiserver": ("sample", "k8s.io/sample-apiserver"),
}
OF_IMAGES = {"nonewprivs": "nnp", "sample-apiserver": "sample-apiserver", "busybox": "busybox"}  # else agnhost
BUSYBOX = HERE / "busybox.sh"
NEEDED = {"go": "golang-go", "gcc": "gcc", "make": "make", "bzip2": "bzip2", "mmdebstrap": "mmdebstrap"}
GIB = 1 << 30
ROOM, ROOM_OF_PART = 8, 4  # GiB, what is added to Go's cache among them
LACKING = 3  # exit status
LACKS = "the suite needs what is not here: "


class CannotBuild(Exception):
    """What a program said that failed."""


class Lacking(CannotBuild):
    """All that this computer lacks."""


class NoSuite(ValueError):
    """There is no suite of the version that was asked for; the words say of which there is one."""


@dataclass(frozen=True)
class Place:
    """Where it all is."""

    folder: Path
    coredns: Path  # the release's program
    kubectl: Path  # of the cluster's version, whichever the computer has
    module: str = SUITE  # the folder here that says what the suite is made of

    @property
    def bin(self) -> Path:
        """The programs."""
        return self.folder / "bin"

    @property
    def images(self) -> Path:
        """The images' archives."""
        return self.folder / "images"

    def lines(self, name: str) -> list[str]:
        """The lines of one of its small files; none where it is not there yet."""
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []


def place(version: str = "") -> Place:
    """Beside the release, in the cache of the person who runs this; of the default version with an empty one.

    Raises NoSuite.
    """
    module = module_of(version)
    cache = places.cache()
    folder = cache.folder / f"conformance{module.removeprefix(SUITE)}"
    kubectl = cache.programs(_kubernetes(HERE / module / "go.mod")) / "kubectl"
    return Place(folder, cache.built / "bin/coredns/coredns", kubectl, module)


def module_of(version: str) -> str:
    """The folder here whose go.mod asks for that version of Kubernetes. Raises NoSuite."""
    found = {_kubernetes(file): file.parent.name for file in HERE.glob(f"{SUITE}*/go.mod")}
    module = found.get(version.removeprefix("v")) if version else SUITE
    if module is None:
        raise NoSuite(f"KUBERNETES_VERSION={version}: there is a suite of {' and of '.join(sorted(found))}")
    return module


def _kubernetes(file: Path) -> str:
    return str(re.findall(r"^\t?(?:require )?k8s\.io/kubernetes v(\S+)", file.read_text(), re.MULTILINE)[0])


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Make it; returns the exit status."""
    if arguments not in ([], ["part"], ["where"]):
        print("conformance: build takes nothing or the word part or where", file=sys.stderr)
        return 2
    try:
        if arguments == ["part"]:
            build(place(), part.IMAGES, ROOM_OF_PART)
            return 0
        to = place(environ.get("KUBERNETES_VERSION", ""))
        if arguments == ["where"]:
            print(to.images)
        else:
            build(to, sorted(images.RECIPES), ROOM)
    except NoSuite as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    except CannotBuild as error:
        print(f"conformance: {error}", file=sys.stderr)
        return LACKING if isinstance(error, Lacking) else 1
    except KeyboardInterrupt:
        print("conformance: stopped; the next build goes on from here", file=sys.stderr)
        return 130
    return 0


def build(to: Place, names: Sequence[str], room: int) -> None:
    """The suite, and the images of these names, where there are so many GiB of disk. Raises CannotBuild."""
    if not _is_all_made(to, names):
        with _alone(to):
            _make_all(to, names, room)
    version, count = to.lines("version")[0], len(to.lines("tests"))
    print(f"conformance: Kubernetes {version}, {count} tests, {len(names)} images in {to.folder}")


def _make_all(to: Place, names: Sequence[str], room: int) -> None:
    if _is_all_made(to, names):  # by the build that this one has waited for
        return
    _look(to, room)
    for name, (target, made_from, make) in _steps(to, names).items():
        if not _is_made(to, name, target, made_from):
            _make(to, name, target, made_from, make)
    for name in names:
        _make_image(to, name)


def _is_all_made(to: Place, names: Sequence[str]) -> bool:
    steps = _steps(to, names)
    programs = all(_is_made(to, name, target, made_from) for name, (target, made_from, _) in steps.items())
    return programs and to.coredns.exists() and all(_is_image_made(to, name) for name in names)


@contextlib.contextmanager
def _alone(to: Place) -> Iterator[None]:
    """While no other build has this folder, which is made. Raises Lacking where it or its lock cannot be."""
    try:
        to.folder.mkdir(parents=True, exist_ok=True)
        lock = open(f"{to.folder}.lock", "w")  # noqa: SIM115  below
    except OSError as error:
        raise Lacking(f"{LACKS}a folder that can be made ({to.folder}: {error.strerror})") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"conformance: another build is making {to.folder}, this one waits for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _look(to: Place, room: int) -> None:
    absent = sorted(package for program, package in NEEDED.items() if shutil.which(program) is None)
    problems = [f"apt-get install {' '.join(absent)}"] if absent else []
    if not to.coredns.exists():
        problems.append(f"make release (there is no {to.coredns})")
    free = shutil.disk_usage(to.folder).free
    if free < room * GIB:
        problems.append(f"{room} GiB of disk ({to.folder} has {free / GIB:.1f} left)")
    if problems:
        raise Lacking(LACKS + "; ".join(problems))


# --- what is made once -----------------------------------------------------------------------------------------------

Step = tuple[Path, str, Callable[[Path], None]]  # the file, what it is made from, how it is made


def _steps(to: Place, names: Sequence[str]) -> dict[str, Step]:
    wanted = {"ginkgo", *(OF_IMAGES.get(name, "agnhost") for name in names)}
    steps: dict[str, Step] = {"e2e.test": (to.bin / "e2e.test", _sources(to.module, E2E), _compile_suite(to))}
    for name, (folder, package) in PROGRAMS.items():
        if name in wanted:
            module = to.module if folder == SUITE else folder
            steps[name] = (to.bin / name, _sources(module, package), _compile(module, package))
    if "busybox" in wanted:
        steps["busybox"] = (to.bin / "busybox", _digest(BUSYBOX.read_text(), images.DEBIAN), _compile_busybox)
    steps["root"] = (to.folder / "root.tar", _digest(*images.PACKAGES, images.DEBIAN), _debian)
    return steps


def _sources(module: str, package: str) -> str:
    """Changes whenever another program would come out."""
    files = [HERE / module / name for name in ("go.mod", "go.sum")]
    flags = inspect.getsource(_flags) + inspect.getsource(_go)
    return _digest(*(file.read_text() for file in files), package, flags)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_made(to: Place, name: str, target: Path, made_from: str) -> bool:
    return target.exists() and to.lines(f"made/{name}") == [made_from]


def _make(to: Place, name: str, target: Path, made_from: str, make: Callable[[Path], None]) -> None:
    """A file by way of another name, so that one that is there is whole."""
    print(f"conformance: making {name}", flush=True)
    for folder in (target.parent, to.folder / "made"):
        folder.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f"{target.name}.new")
    new.unlink(missing_ok=True)
    make(new)
    new.rename(target)
    (to.folder / "made" / name).write_text(f"{made_from}\n")


def _compile(module: str, package: str) -> Callable[[Path], None]:
    return lambda file: _go(module, "build", *_flags(""), "-o", str(file), package)


def _compile_suite(to: Place) -> Callable[[Path], None]:
    """Tests choose their pods by the suite's own version, so that is stamped as upstream does it."""

    def make(file: Path) -> None:
        version = _said(["go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"], cwd=HERE / to.module).strip()
        minor, stamp = version.split(".")[1], "k8s.io/component-base/version"
        stamps = {"gitVersion": version, "gitMajor": "1", "gitMinor": minor}
        values = " ".join(f"-X {stamp}.{name}={value}" for name, value in stamps.items())
        _go(to.module, "test", "-c", *_flags(values), "-o", str(file), E2E)
        (to.folder / "version").write_text(f"{version}\n")
        _list(to, file)

    return make


def _list(to: Place, suite: Path) -> None:
    """The names of its conformance tests, and the images that it knows."""
    listed = _said([str(suite), "--list-tests"])
    names = re.findall(r"^ *\S+:\d+: (.*\[Conformance\].*)$", listed, re.MULTILINE)
    (to.folder / "tests").write_text("".join(f"{name}\n" for name in sorted(names)))
    asked = re.findall(rf"^{images.REGISTRY}\S+$", _said([str(suite), "--list-images"]), re.MULTILINE)
    (to.folder / "asked").write_text("".join(f"{name}\n" for name in sorted(set(asked))))


def _flags(stamps: str) -> list[str]:
    return ["-mod=readonly", "-trimpath", "-ldflags", f"-s -w {stamps}".strip()]


def _go(module: str, *arguments: str) -> None:
    _said(["go", *arguments], cwd=HERE / module, more={"CGO_ENABLED": "0", "GOWORK": "off"})


def _compile_busybox(file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _said([str(BUSYBOX), folder, str(file), images.DEBIAN])


def _debian(file: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(images.PACKAGES)}"]
    command += ["--aptopt=APT::Install-Recommends false", "--format=tar"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    command += ['--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*']
    _said([*command, images.DEBIAN, str(file)])


def _said(command: Sequence[str], *, cwd: Path | None = None, more: Mapping[str, str] | None = None) -> str:
    """What a program prints. Raises CannotBuild with the end of its words when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(more or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise CannotBuild(f"{' '.join(command[:3])} failed:\n" + "\n".join(words))
    return done.stdout


# --- images ----------------------------------------------------------------------------------------------------------


def tags(asked: Sequence[str], name: str) -> list[str]:
    """The names, with tags, under which the suite asks for an image."""
    return [each for each in asked if each.removeprefix(images.REGISTRY).partition(":")[0] == name]


def _make_image(to: Place, name: str) -> None:
    if not _is_image_made(to, name):
        step = f"image-{name}"
        _make(to, step, _archive(to, name), _image_sources(to, name), lambda new: _write_image(to, name, new))


def _is_image_made(to: Place, name: str) -> bool:
    return _is_made(to, f"image-{name}", _archive(to, name), _image_sources(to, name))


def _archive(to: Place, name: str) -> Path:
    return to.images / f"{name}.tar"


def _image_sources(to: Place, name: str) -> str:
    parts = [*to.lines(f"made/{OF_IMAGES.get(name, 'agnhost')}"), *to.lines("made/root")]
    parts += [str(to.coredns.stat().st_mtime_ns), *tags(to.lines("asked"), name)]
    return _digest(Path(images.__file__).read_text(), *parts)


def _write_image(to: Place, name: str, file: Path) -> None:
    named = tags(to.lines("asked"), name)
    module = _said(["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"], cwd=HERE / to.module).strip()
    sources = images.Sources(to.bin, to.folder / "root.tar", Path(module) / "test/images", to.coredns)
    architecture = _said(["go", "env", "GOARCH"]).strip()
    images.write(file, named, images.RECIPES[name].make(sources), architecture)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
