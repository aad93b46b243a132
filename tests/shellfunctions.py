"""What the functions of a shell script read and set, from its syntax tree. Nothing is run.

Bash has dynamic scope: a function sees its callers' locals, and what it sets without `local` is everybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

OF_BASH = {"BASH_COMMAND", "LINENO", "SECONDS"}
_PARSER = Parser(Language(tree_sitter_bash.language()))
_SETS = re.compile(r"Sets: (.*)")
# They set what they are given as a word, or run a text: not understood here, so not to be used.
_UNREAD = {"declare", "eval", "getopts", "let", "read", "readarray", "typeset", "unset"}


@dataclass
class Names:
    """The variables of one function, or of what stands outside of all; `line` is the function's, from 1."""

    name: str
    line: int
    says: set[str]  # that it sets, in its comment
    locals: set[str] = field(default_factory=set)
    exported: set[str] = field(default_factory=set)  # of the locals those that are for programs
    sets: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Script:
    """What a script has outside of functions, and its functions in order."""

    top: Names
    functions: list[Names]


def tree(text: str) -> Node:
    """A script's syntax tree. Raises ValueError with the line for what is not understood."""
    root = _PARSER.parse(text.encode()).root_node
    for node in below(root):
        if node.is_error or node.is_missing:
            raise ValueError(f"line {node.start_point.row + 1} is not understood: {text_of(node)}")
    return root


def below(node: Node) -> Iterator[Node]:
    """A node and all in it, in the script's order."""
    yield node
    for child in node.children:
        yield from below(child)


def text_of(node: Node | None) -> str:
    """What the script has there, '' where there is nothing."""
    return ((node and node.text) or b"").decode()


def read(text: str) -> Script:
    """The names of a script. Raises ValueError with the line for what is not understood."""
    root = tree(text)
    script = Script(Names("", 1, set()), [])
    comment: list[Node] = []
    for node in root.children:
        if node.type == "function_definition":
            script.functions.append(_function(node, comment))
        elif node.type != "comment":
            _names(node, script.top)
        if node.type == "comment":
            comment = [*(comment if _follows(comment, node) else []), node]
    return script


def faults(script: Script, settings: set[str]) -> list[str]:
    """Each read of another function's variable, and each setting for others that the comment lacks, with its line.

    `settings` are variables that the script gets from elsewhere.
    """
    shared = {name for each in script.functions for name in each.says}
    constants = script.top.sets | script.top.locals
    known = constants | settings | shared | OF_BASH
    found = []
    for each in script.functions:
        words = {
            "reads {}, which is neither its own nor said to be set": each.reads - each.locals - known,
            "sets {}, and its comment does not say so": each.sets - each.locals - each.says,
            "says that it sets {}, and does not": each.says - each.sets,
            "has its own {}, which others read": (each.locals - each.exported) & known
            | each.says & (constants | settings),
        }
        for said, names in words.items():
            found += [f"{each.name} (line {each.line}) {said.format(name)}" for name in sorted(names)]
    return found


def _function(node: Node, comment: list[Node]) -> Names:
    name = node.child_by_field_name("name")
    body = node.child_by_field_name("body")
    assert name
    assert body
    names = Names(text_of(name), node.start_point.row + 1, set())
    words = " ".join(text_of(line).lstrip("# ") for line in comment)
    if _follows(comment, node) and (said := _SETS.search(words)):
        names.says = {each.strip() for each in re.sub(r"\([^)]*\)", "", said[1]).split(",")}
    _names(body, names)
    return names


def _follows(comment: list[Node], node: Node) -> bool:
    return bool(comment) and comment[-1].end_point.row + 1 >= node.start_point.row


def _names(node: Node, names: Names) -> None:
    """Add what the node and all below it declare, set and read."""
    if node.type == "function_definition":
        raise ValueError(f"line {node.start_point.row + 1}: a function within a function")
    if node.type == "command":
        _command(node, names)
    if node.type == "declaration_command":
        _declared(node, names)
    elif node.type == "variable_assignment":
        target = node.child_by_field_name("name")
        assert target
        names.sets.add(text_of(target.children[0] if target.type == "subscript" else target))
        _below([*target.children[1:], *node.children[1:]], names)
    elif node.type == "for_statement":
        names.sets.add(text_of(node.children[1]))
        _below(node.children[2:], names)
    elif node.type == "variable_name":
        if not text_of(node).isdigit():
            names.reads.add(text_of(node))
    else:
        _below(node.children, names)


def _below(nodes: list[Node], names: Names) -> None:
    for node in nodes:
        _names(node, names)


def _declared(node: Node, names: Names) -> None:
    """local, export, readonly: what follows is declared; read is what stands on the right of an equals sign."""
    kind, exported = text_of(node.children[0]), any(text_of(each) == "-x" for each in node.children)
    if kind in _UNREAD:
        raise ValueError(f"line {node.start_point.row + 1}: {kind} is not understood")
    for each in node.children[1:]:
        inner = Names("", 0, set())
        if each.type == "variable_name":
            inner.sets.add(text_of(each))
        else:
            _names(each, inner)
        names.reads |= inner.reads
        if kind == "local":
            names.locals |= inner.sets
            names.exported |= inner.sets if exported else set()
        else:
            names.sets |= inner.sets


def _command(node: Node, names: Names) -> None:
    words = [text_of(each) for each in node.children if each.type in ("command_name", "word")]
    if words[:1] == ["mapfile"]:
        names.sets.add(words[-1])
    elif words and (words[0] in _UNREAD or words[:2] == ["printf", "-v"]):
        raise ValueError(f"line {node.start_point.row + 1}: {words[0]} is not understood")
