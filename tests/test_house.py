"""Who may know whom in this tree: the plan of the house, docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path

import house
import pytest

GRAPH = house.modules()
KNOWN = house.rooms(GRAPH)


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {house.STEPS}))
def test_a_room_knows_no_step(name: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module, known in GRAPH.items()
        if module != "lib" and house.room(module) == name
        for other in sorted(known)
        if other.startswith("lib.") and house.room(other) == house.STEPS
    ]
    assert wrong == [], "a room is machinery that any step may use: hand it what it needs as an argument"


def test_nothing_imports_in_a_circle_not_even_for_types() -> None:
    assert house.circles(GRAPH) == []
    assert house.circles(KNOWN) == []


def test_lib_knows_nothing_of_what_it_is_tried_with() -> None:
    outside = {"sandbox", "tests", "benchmarks", "moto", "conftest", "kube_up", "kube_down"}
    wrong = {module for module, known in GRAPH.items() if {each.split(".")[0] for each in known} & outside}
    assert wrong == set()


def test_a_new_moto_breaks_one_folder() -> None:
    assert house.knows_moto() == {"sandbox/backend"}, "what needs moto belongs there, for others to call"


def test_the_rules_would_find_what_they_forbid(tmp_path: Path) -> None:
    (tmp_path / "lib" / "aws").mkdir(parents=True)
    (tmp_path / "lib" / "aws" / "client.py").write_text("def late():\n    from lib import vpc\n")
    (tmp_path / "lib" / "vpc.py").write_text("if TYPE_CHECKING:\n    from lib.aws.client import Aws\n")
    graph = house.modules(tmp_path)
    assert graph == {"lib.aws.client": {"lib.vpc"}, "lib.vpc": {"lib.aws.client"}}
    assert house.circles(graph) == [{"lib.aws.client", "lib.vpc"}]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text("def server():\n    import moto.server\n")
    assert house.knows_moto(tmp_path) == {"tests"}


def test_below_the_scripts_nothing_exits_and_only_the_layers_read_the_environment() -> None:
    wrong = []
    for path in sorted((house.ROOT / "lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if words in ("sys.exit", "os.environ", "os.getenv") and not _is_an_entry(path):
                wrong.append(f"{path.relative_to(house.ROOT)}: {words}")
    assert wrong == []


def test_each_step_is_whole() -> None:
    """What is added without one of its parts is told here, by the file (test_step_added.py walks it)."""
    assert house.missing_parts() == []


def test_no_two_modules_have_a_function_of_one_name() -> None:
    """A name says which: delete_group is the minions', delete_security_group the other."""
    assert house.doubled_names() == {}, "call each after what it finds or changes, such as find_subnets: both are read"


def test_a_doubled_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "lib" / "aws").mkdir(parents=True)
    (tmp_path / "lib" / "aws" / "keys.py").write_text("def tell(): ...\ndef _own(): ...\ndef main(): ...\n")
    (tmp_path / "lib" / "images.py").write_text("def tell(): ...\ndef _own(): ...\ndef main(): ...\n")
    assert house.doubled_names(tmp_path) == {"tell": ["lib/aws/keys.py", "lib/images.py"]}


def test_what_comments_and_docstrings_speak_of_is_there() -> None:
    assert house.stale_names() == [], "say what it is called now; what is another program's goes into house._OTHERS"


def test_a_name_that_nothing_has_any_more_is_found(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    text = (
        '"""See find_vpc, lib/vpc.py and lib/gone.py; https://host/old_page."""\ndef find_vpc(): ...  # not find_net\n'
    )
    (tmp_path / "lib" / "vpc.py").write_text(text)
    assert house.stale_names(tmp_path) == ["lib/vpc.py speaks of find_net", "lib/vpc.py speaks of lib/gone.py"]


def test_a_cluster_more_of_an_e2e_test_goes_also_after_a_failure() -> None:
    """What one test left filled the account's five VPCs and the computer's inotify instances: 15 others failed."""
    of_their_own = {"test_4_down.py", "test_9_kernel.py"}  # each removes the cluster of its whole sandbox
    for path in sorted((house.ROOT / "tests" / "e2e").glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name not in of_their_own:
            assert "kube_down.py" not in text, f"{path.name}: Stage.removing runs it"
        named = text.count('"KUBE_AWS_INSTANCE_PREFIX": ') + text.count("removing(KUBE_AWS_INSTANCE_PREFIX=")
        assert text.count(".removing(") == named, f"{path.name}: with stage.removing(...): stage.up(...)"


def test_the_stories_are_short() -> None:
    lines = {name: len((house.ROOT / name).read_text(encoding="utf-8").splitlines()) for name in house.STORIES}
    too_long = "a story is a line a step: what a step decides, and whether it has anything to do, is in its module"
    assert lines["kube_up.py"] <= 150, too_long
    assert lines["kube_down.py"] <= 120, too_long


def _is_an_entry(path: Path) -> bool:
    """A module that `python -m` runs is a script too: it takes the environment and exits there."""
    return '__name__ == "__main__"' in path.read_text(encoding="utf-8")


def test_the_page_shows_the_house_as_it_is() -> None:
    text = house.PAGE.read_text(encoding="utf-8")
    assert text == house.with_picture(text), "make docs"
