"""The plan of lib/ as its imports have it: steps, rooms, who knows whom.

`python tests/house.py` renews what docs/architecture.md shows of it.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
STORIES = ("kube_up.py", "kube_down.py")
STEPS = "steps"  # what stands flat in lib/
_PICTURE = re.compile(r"```mermaid\n.*?```", re.DOTALL)
_FIGURES = re.compile(r"\| now \| \|\n.*?(?=\n\n)", re.DOTALL)


def parsed(path: Path) -> ast.Module:
    """A module's syntax tree, which nobody may change: files of the same text share it."""
    return _parsed(path.read_text(encoding="utf-8"))


@functools.cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a module's syntax tree, which nobody may change either."""
    return _nodes(path.read_text(encoding="utf-8"))


@functools.cache
def _nodes(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_parsed(text)))


def modules(root: Path = ROOT) -> dict[str, set[str]]:
    """Each module of lib/ with what it imports of this tree, be it for its types alone or within a function."""
    return {_name(path, root): set(_imported(path, root)) for path in sorted((root / "lib").rglob("*.py"))}


def knows_moto(root: Path = ROOT) -> set[str]:
    """The folders whose modules import moto, in all of the tree."""
    files = [path for top in ("*.py", "*/**/*.py") for path in root.glob(top) if ".venv" not in path.parts]
    found = {path for path in files if any(each.split(".")[0] == "moto" for each in _imported(path, root))}
    return {str(path.parent.relative_to(root)) for path in found}


def _name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path, root: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (root / Path(*inner.split("."))).with_suffix(".py").exists()
                yield inner if is_module else node.module


def room(module: str) -> str:
    """The room that a module of lib/ is in, or STEPS."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (ROOT / "lib" / parts[-1]).is_dir() else STEPS


def rooms(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Each room, and the steps, with those that it knows."""
    found: dict[str, set[str]] = {}
    for module, known in graph.items():
        if module != "lib":
            here = found.setdefault(room(module), set())
            here |= {room(each) for each in known if each.startswith("lib.")} - {room(module)}
    return found


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of modules (or rooms) that know each other all round."""
    reach = {start: _reached(graph, start) for start in graph}
    return [
        ring
        for start in graph
        if len(ring := {each for each in reach[start] if start in reach.get(each, ())} | {start}) > 1
        and start == min(ring)
    ]


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [*graph.get(start, ())]
    while ahead:
        module = ahead.pop()
        if module not in seen:
            seen.add(module)
            ahead += graph.get(module, ())
    return seen


# The steps that have no test of their own name: which one shows them.
SHOWN_BY = {
    "tests/test_up.py": "address alarms dhcp disk gateway interface master minions routetable securitygroups subnet "
    "vpc",
    "tests/test_userdata_addons.py": "addons",
    "tests/test_down.py": "loadbalancers volumes",
    "tests/test_damaged.py": "pki",
    "tests/test_roll.py": "launchtemplate",
    "tests/test_self_heal.py": "selfheal",
    "tests/test_this_computer.py": "sshkey",
    "tests/test_upstream_cluster.py": "upstream",
}


def missing_parts(root: Path = ROOT) -> list[str]:
    """What a step lacks to be whole, each by the file that lacks it: see "To change it" in README.md.

    A step is a module of lib/ with an ensure_ or delete_; it is named in the stories, its kinds in lib/teardown.py.
    """
    up, down, removal = (parsed(root / name) for name in ("kube_up.py", "kube_down.py", "lib/removal.py"))
    steps = {path.stem: parsed(path) for path in sorted((root / "lib").glob("*.py"))}
    used = {each for tree in [down, removal, *steps.values()] for each in _attributes(tree)}
    doomed = next(n for n in steps["teardown"].body if isinstance(n, ast.ClassDef) and n.name == "Doomed")
    kinds = {n.target.id for n in doomed.body if isinstance(n, ast.AnnAssign) and "_kind(" in ast.unparse(n)}  # type: ignore[union-attr]
    methods = {n.name: n for n in doomed.body if isinstance(n, ast.FunctionDef)}
    known = {n.target.id for n in doomed.body if isinstance(n, ast.AnnAssign)} | set(methods)  # type: ignore[union-attr]
    asked = {
        name.removeprefix("doomed.") for tree in (down, removal) for name in _attributes(tree) if "doomed." in name
    }
    reached = asked | {n.split(".")[1] for m in asked & set(methods) for n in _attributes(methods[m]) if "self." in n}
    shown = {step: test for test, names in SHOWN_BY.items() for step in names.split()}
    return [
        *(
            f"lib/{name}.py is not there, and {script} imports it"
            for script, tree in (("kube_up.py", up), ("kube_down.py", down))
            for name in _from_lib(tree)
            if name not in steps and not (root / "lib" / name).is_dir()
        ),
        *(
            f"kube_up.py does not call {step}.{name}, which lib/{step}.py has"
            for step, tree in steps.items()
            for name in _functions_of(tree, "ensure_", first=("aws", "cluster"))
            if f"{step}.{name}" not in _attributes(up)
        ),
        *(
            f"kube_down.py does not use {step}.{name}, which lib/{step}.py has"
            for step, tree in steps.items()
            for name in _functions_of(tree, "delete_")
            if f"{step}.{name}" not in used and name not in _names(tree)
        ),
        *(f"kube_down.py removes no {kind}, which lib/teardown.py finds" for kind in sorted(kinds - reached)),
        *(f"lib/teardown.py has no kind {name}, which kube_down.py removes" for name in sorted(asked - known)),
        *(
            f"{test} is not there: what shows lib/{step}.py?"
            for step, tree in steps.items()
            if _functions_of(tree, "ensure_") or _functions_of(tree, "delete_")
            for test in [shown.get(step, f"tests/test_{step}.py")]
            if not (root / test).exists()
        ),
    ]


def _attributes(tree: ast.AST) -> set[str]:
    """Every name.attribute in it."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def _names(tree: ast.AST) -> set[str]:
    """Every name that is read in it."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _from_lib(tree: ast.AST) -> list[str]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "lib"]
    return [alias.name for node in found for alias in node.names]


def _functions_of(tree: ast.Module, start: str, *, first: tuple[str, ...] = ()) -> list[str]:
    """The functions of a module whose names begin so, and whose first arguments are these."""
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith(start)
        and tuple(each.arg for each in node.args.args)[: len(first)] == first
    ]


def doubled_names(root: Path = ROOT) -> dict[str, list[str]]:
    """The public functions and classes that two modules of lib/ define, but for `main`, where `python -m` begins."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "lib").rglob("*.py")):
        for node in parsed(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(root)))
    return {name: places for name, places in found.items() if len(places) > 1 and name != "main"}


# What prose names and is not of this tree: functions of the original, files of other programs, an example.
_OTHERS = {"get_vpc_id", "get_subnet_id", "ssh_config", "kube_time_server"}
_SNAKE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
_FILE = re.compile(r"\b(?:lib|templates|tests|sandbox|docs)/[\w./-]+\.\w+\b")
_URL = re.compile(r"https?://\S+")


def stale_names(root: Path = ROOT) -> list[str]:
    """The names and files that comments and docstrings of lib/ and the two scripts speak of, and nothing is called."""
    files = [*sorted((root / "lib").rglob("*.py")), *(root / name for name in STORIES)]
    read = {path: _code_and_prose(path) for path in files if path.exists()}
    known = {word for code, _ in read.values() for word in re.findall(r"\w+", code)} | _OTHERS
    known |= {path.stem for path in (root / "tests").rglob("*.py")}
    return [
        f"{path.relative_to(root)} speaks of {name}"
        for path, (_, prose) in read.items()
        for name in dict.fromkeys(_SNAKE.findall(prose) + _FILE.findall(prose))
        if name not in known and not (root / name).exists()
    ]


def _code_and_prose(path: Path) -> tuple[str, str]:
    """A module's text without comments and docstrings, and these without addresses of pages."""
    text = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    prose = [ast.get_docstring(node) or "" for node in nodes(path) if isinstance(node, documented)]
    starts = {
        node.value.lineno for node in nodes(path) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    code = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            prose.append(token.string)
        elif token.type != tokenize.STRING or token.start[0] not in starts:
            code.append(token.string)
    return " ".join(code), _URL.sub("", "\n".join(prose))


def picture(graph: Mapping[str, set[str]]) -> str:
    """The rooms as a drawing (mermaid), an arrow for "knows", without those that another arrow says already."""
    known = rooms(graph)
    lines = ["```mermaid", "flowchart TD", '  stories["kube_up.py, kube_down.py"] --> steps']
    lines += [f'  {name}["{_label(name)}"]' for name in sorted(known)]
    for name, others in sorted(known.items()):
        lines += [f"  {name} --> {other}" for other in sorted(others) if not _said(known, name, other)]
    return "\n".join([*lines, "```"])


def _label(name: str) -> str:
    return "lib/, the steps" if name == STEPS else f"lib/{name}"


def _said(known: Mapping[str, set[str]], name: str, other: str) -> bool:
    return any(other in _reached(known, between) for between in known[name] - {other})


def figures(graph: Mapping[str, set[str]]) -> str:
    """What can be counted of lib/ and the two scripts, as a table."""
    files = [*sorted((ROOT / "lib").rglob("*.py")), ROOT / "kube_up.py", ROOT / "kube_down.py"]
    longest, name = max(_functions(files))
    flat = sum(room(module) == STEPS for module in graph) - 1  # not lib itself
    rows = {
        "lines of lib/": sum(len(path.read_text().splitlines()) for path in files[:-2]),
        "lines of kube_up.py, kube_down.py": ", ".join(str(len(path.read_text().splitlines())) for path in files[-2:]),
        "modules, of them flat in lib/": f"{sum(path.name != '__init__.py' for path in files[:-2])}, {flat}",
        "longest function": f"{longest} lines, `{name}`",
        "circles of imports, types among them": len(circles(graph)),
    }
    return "\n".join(["| now | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows.items())])


def _functions(files: list[Path]) -> Iterator[tuple[int, str]]:
    for path in files:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{path.stem}.{node.name}"


def with_picture(text: str) -> str:
    """docs/architecture.md with the rooms as they are now."""
    return _PICTURE.sub(lambda _: picture(modules()), text)


def with_figures(text: str) -> str:
    """docs/architecture.md with what can be counted as it is now."""
    return _FIGURES.sub(lambda _: figures(modules()), text)


if __name__ == "__main__":
    PAGE.write_text(with_figures(with_picture(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
