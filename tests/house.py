"""The plan of lib/ as its imports have it: steps, rooms, who knows whom.

`python tests/house.py` renews what docs/architecture.md shows of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
STEPS = "steps"  # what stands flat in lib/
_PICTURE = re.compile(r"```mermaid\n.*?```", re.DOTALL)
_FIGURES = re.compile(r"\| now \| \|\n.*?(?=\n\n)", re.DOTALL)


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
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
