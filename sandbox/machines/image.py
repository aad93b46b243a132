"""The machines' image: Debian 13 as on EC2, of Debian's own list; and a containerd store with the release's images."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.machines import debian
from sandbox.machines.places import Cache, CannotStart

FILES = Path(__file__).parent / "files"
# First what Debian's recipe does after its packages (debian/packages names it: scripts/SYSTEM_BOOT, DEBIAN/11-misc,
# LAST/10-cleanup), then what only a machine on this computer needs: files/README.md has the reasons.
DEBIANS = """
set -e
systemctl --root="$1" --quiet enable systemd-networkd systemd-resolved
sed -i -e 's/^#PasswordAuthentication yes/PasswordAuthentication no/' "$1/etc/ssh/sshd_config"
echo 'ClientAliveInterval 120' >>"$1/etc/ssh/sshd_config"
rm -f "$1/etc/machine-id" "$1/etc/hostname" "$1"/etc/ssh/ssh_host_*
: >"$1/etc/machine-id"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"

systemctl --root="$1" --quiet enable sandbox-prepare
"""
CONTAINERS = """\
systemctl --root="$1" --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \\
	sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount
"""
KERNELS = """\
systemctl --root="$1" --quiet mask apt-daily.timer apt-daily-upgrade.timer getty@tty1.service
cp -r "$2/modules/lib/modules" "$1/usr/lib/"
for modules in "$1"/usr/lib/modules/*; do chroot "$1" depmod "${modules##*/}"; done
"""
LAST = """\
chroot "$1" update-ca-certificates >/dev/null
touch "$1/etc/.updated" "$1/var/.updated"
"""
NO_PACKAGE = "E: Unable to locate package "

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """Folders that are only read: a machine's root, and its containers' store."""

    root: Path
    store: Path | None


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What goes over Debian's packages: these folders, then what a script does; and a kernel where it has one."""

    prefix: str  # of the images' names
    folders: tuple[Path, ...]
    setup: str
    kernel: Path | None = None

    def digest(self, authority: Path) -> str:
        """Changes whenever the image would come out differently."""
        parts = [debian.digest(), self.setup, authority.read_text()]
        for folder in self.folders:
            for file in sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file()):
                parts += [str(file.relative_to(folder)), os.readlink(file) if file.is_symlink() else file.read_text()]
        if self.kernel is not None:
            # The same configuration, built again, may be of a newer source package, and modules go with one kernel.
            parts += [(self.kernel / "inputs").read_text(), *(each.name for each in _modules(self.kernel))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _modules(kernel: Path) -> list[Path]:
    """The folder of its modules, which has its version for a name."""
    return sorted((kernel / "modules/lib/modules").iterdir())


def _recipe(kernel: Path | None) -> _Recipe:
    if kernel is not None:
        return _Recipe("kernel-", (debian.FILES, FILES / "kernel"), DEBIANS + KERNELS + LAST, kernel)
    own = (FILES / "all", FILES / "v1") if is_v1() else (FILES / "all",)
    return _Recipe("debian-", (debian.FILES, *own), DEBIANS + CONTAINERS + LAST)


def ensure(cache: Cache, *, preload: bool, authority: Path, say: Say, kernel: Path | None = None) -> Image:
    """The image, made now where it is not there yet (a minute), with the cache locked. Without `preload`, machines pull
    their images. With `kernel`, the folder that it was built in, it is one for machines with that kernel.

    Raises CannotStart when it cannot be made.
    """
    root = _root(cache, _recipe(kernel), authority, say)
    return Image(root, _store(cache, say) if preload else None)


def is_v1() -> bool:
    """Whether this computer's control groups are of version 1."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()


# --- Debian ----------------------------------------------------------------------------------------------------------


def _root(cache: Cache, recipe: _Recipe, authority: Path, say: Say) -> Path:
    root = cache.machine / f"{recipe.prefix}{recipe.digest(authority)}"
    if not root.exists():
        started = time.monotonic()
        count = len(debian.packages())
        say(f"making the machines' image once: Debian {debian.SUITE}, {count} packages and what they need")
        new = _fresh(root)
        _debootstrap(new, say)
        _set_up(new, recipe, authority)
        new.rename(root)
        say(f"the machines' image is in {root} ({time.monotonic() - started:.0f} s)")
    _drop_others(cache.machine, recipe.prefix, root)
    return root


def _fresh(path: Path) -> Path:
    new = path.with_name(f"{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    new.chmod(0o755)
    return new


def _debootstrap(root: Path, say: Say) -> None:
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(debian.packages())}"]
    command += ["--aptopt=APT::Install-Recommends false", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    command += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]
    words: list[str] = []
    with subprocess.Popen(
        [*command, debian.SUITE, str(root)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            words.append(line)
            if line.startswith("I: ") and line.endswith("..."):
                say(f"  {line.removeprefix('I: ')}")
    if process.returncode:
        shutil.rmtree(root, ignore_errors=True)
        raise CannotStart(_failure(words))


def _failure(words: list[str]) -> str:
    """Why mmdebstrap made no image: above all, a package of the list that Debian no longer has."""
    gone = [line.removeprefix(NO_PACKAGE) for line in words if line.startswith(NO_PACKAGE)]
    if gone:
        named = f"{debian.HERE / 'packages'} names it, and says how to renew the list"
        return f"Debian {debian.SUITE} has no package {', '.join(gone)}: {named}"
    return "mmdebstrap could not make the machines' image:\n" + "\n".join(words[-8:])


def _set_up(root: Path, recipe: _Recipe, authority: Path) -> None:
    for folder in recipe.folders:
        subprocess.run(["cp", "--recursive", "--no-dereference", f"{folder}/.", str(root)], check=True)
    trusted = root / "usr/local/share/ca-certificates/sandbox.crt"
    trusted.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(authority, trusted)
    command = ["sh", "-c", recipe.setup, "sh", str(root), str(recipe.kernel or "")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotStart(f"the machines' image could not be set up: {done.stderr.strip()}")


def _drop_others(folder: Path, prefix: str, keep: Path) -> None:
    """Images of earlier recipes, and what a killed run has left half made. One that a run still uses is kept."""
    for old in folder.glob(f"{prefix}*"):
        if old != keep and not _in_use(old):
            shutil.rmtree(old, ignore_errors=True)


def _in_use(layer: Path) -> bool:
    for mounts in Path("/proc").glob("[0-9]*/mounts"):
        try:
            if str(layer) in mounts.read_text():
                return True
        except OSError:
            continue
    return False


# --- the containers' images ------------------------------------------------------------------------------------------


def archives(cache: Cache) -> list[Path]:
    """The release's container images, as docker-archives."""
    return sorted((cache.release / "images").glob("*.tar"))


def release_mark(cache: Cache) -> str:
    """Changes whenever the release's container images do."""
    names = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in archives(cache)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def _store(cache: Cache, say: Say) -> Path:
    store = cache.machine / f"containers-{release_mark(cache)}"
    if not store.exists():
        started = time.monotonic()
        say(f"putting {len(archives(cache))} container images into the machines' containerd once")
        new = _fresh(store)
        _import(cache, new, say)
        new.rename(store)
        say(f"the containers' images are in {store} ({time.monotonic() - started:.0f} s)")
    _drop_others(cache.machine, "containers-", store)
    return store


IMPORT = """
set -e
mount --make-rprivate /
"$1/bin/containerd" --config "$2/config.toml" >"$2/log" 2>&1 &
daemon=$!
until "$1/bin/ctr" --address "$2/sock" version >/dev/null 2>&1; do
	kill -0 $daemon 2>/dev/null || { tail -n 3 "$2/log"; exit 1; }
	sleep 0.1
done
shift 2
for archive; do
	echo "  ${archive##*/}"
	"$BIN/ctr" --address "$SOCKET" --namespace k8s.io images import --local --snapshotter overlayfs "$archive" \\
		>"$LOG" 2>&1 ||
		{ tail -n 3 "$LOG"; kill $daemon; exit 1; }
done
kill $daemon
wait $daemon || true
"""


CONTAINERD = """version = 3
root = "{store}"
state = "{work}/state"
disabled_plugins = ["io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"]
[grpc]
address = "{work}/sock"
"""


def _import(cache: Cache, store: Path, say: Say) -> None:
    """containerd's own import, by a containerd that runs for this, with its mounts in a namespace of its own."""
    work = _fresh(cache.machine / "importing")
    programs = next(iter((cache.mirror / "github.com/containerd/containerd").rglob("*.tar.gz")), None)
    if programs is None:
        raise CannotStart(f"there is no containerd in {cache.mirror}: make release")
    subprocess.run(["tar", "-xzf", str(programs), "-C", str(work)], check=True)
    (work / "config.toml").write_text(CONTAINERD.format(store=store, work=work))
    environ = {**os.environ, "BIN": f"{work}/bin", "SOCKET": f"{work}/sock", "LOG": f"{work}/import.log"}
    command = ["unshare", "--mount", "--net", "sh", "-c", IMPORT, "sh", str(work), str(work)]
    with subprocess.Popen(
        [*command, *map(str, archives(cache))], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        words = []
        for line in process.stdout:
            words.append(line.rstrip())
            say(words[-1])
    if process.returncode:
        raise CannotStart("the containers' images could not be imported:\n" + "\n".join(words[-5:]))
    shutil.rmtree(work)
