"""Which programs a shell script calls: every word that stands where a command stands. Nothing is run."""

from __future__ import annotations

from shellfunctions import below, text_of, tree
from tree_sitter import Node

BUILTINS = {
    *("[", ":", ".", "break", "cd", "command", "continue", "declare", "echo", "eval", "exec", "exit", "export"),
    *("false", "kill", "local", "mapfile", "printf", "pwd", "read", "readonly", "return", "set", "shift", "source"),
    *("test", "trap", "true", "type", "umask", "unset", "wait"),
}


def called(script: str, *, runners: dict[str, int]) -> set[str]:
    """The programs, without the shell's own words and the script's functions.

    `runners` are functions that run a command of their arguments: how many arguments stand before it. An array that
    stands in a command's place runs the first word that it was given. Raises ValueError for what is not understood.
    """
    functions, found, run, arrays = set(), set(), set(), []
    for node in below(tree(script)):
        if node.type == "function_definition":
            functions.add(text_of(node.child_by_field_name("name")))
        elif node.type == "command":
            for word in _run_by(node, {"command": 0, "exec": 0} | runners):
                array = next((each for each in below(word) if each.type == "subscript"), None)
                if array:
                    run.add(text_of(array.child_by_field_name("name")))
                elif not any(each.type in _FILLED_IN for each in below(word)):
                    found.add(text_of(word).strip("'\""))
        elif node.type == "variable_assignment":
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if value and value.type == "array" and value.named_children:
                arrays.append((text_of(name), text_of(value.named_children[0])))
    return (found | {first for name, first in arrays if name in run}) - functions - BUILTINS


_FILLED_IN = {"simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"}


def _run_by(command: Node, runners: dict[str, int]) -> list[Node]:
    """The word in the command's place, and those that it is given to run."""
    words = [command.child_by_field_name("name"), *command.children_by_field_name("argument")]
    found: list[Node] = []
    before = words[0] and words[0].prev_sibling
    if before and words[0] and before.end_byte == words[0].start_byte:  # a=$b/$c.d is read as a=$b/$ and a command
        return found
    while words and (word := words.pop(0)):
        found.append(word)
        if text_of(word) not in runners:
            break
        del words[: runners[text_of(word)]]
        while words and words[0] and text_of(words[0]).startswith("-"):  # options of `command` or `exec`
            words.pop(0)
    return found
