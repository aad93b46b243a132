"""Which programs a shell script calls: every word that stands where a command stands. Nothing is run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# After these a command follows; the others of the shell's words are followed by none.
OPENING = {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time"}
CLOSING = {"fi", "done", "esac", "}", "for", "case", "in", "function"}
BUILTINS = {
    *(
        "[",
        ":",
        ".",
        "break",
        "cd",
        "command",
        "continue",
        "declare",
        "echo",
        "eval",
        "exec",
        "exit",
        "export",
        "false",
    ),
    *(
        "kill",
        "local",
        "mapfile",
        "printf",
        "pwd",
        "read",
        "readonly",
        "return",
        "set",
        "shift",
        "source",
        "test",
        "trap",
        "true",
        "type",
    ),
    *("umask", "unset", "wait"),
}
_HEREDOC = re.compile(r"<<(?P<tabs>-?)(?P<quote>['\"]?)(?P<word>\w+)(?P=quote)")
_ASSIGNMENT = re.compile(r"^\w+(\[[^]]*\])?\+?=")
_RUN_ARRAY = re.compile(r"^\"?\$\{(?P<name>\w+)\[@\]\}")


def called(script: str, *, runners: dict[str, int]) -> set[str]:
    """The programs, without the shell's own words and the script's functions.

    `runners` are functions that run a command of their arguments: how many arguments stand before it.
    """
    reader = _Reader(script, runners)
    reader.list(end="")
    found = set(reader.found) | {first for name, first in reader.arrays if name in reader.run}
    functions = set(re.findall(r"^[ \t]*(\w+)\(\)", script, re.MULTILINE))
    return found - functions - BUILTINS


@dataclass
class _Place:
    """Where the next word stands."""

    command: bool = True  # in a command's place,
    skip: int = 0  # after this many others
    in_case: bool = False  # between `case` and its `in`
    in_patterns: bool = False


@dataclass
class _Reader:
    text: str
    runners: dict[str, int]
    at: int = 0
    found: list[str] = field(default_factory=list)
    arrays: list[tuple[str, str]] = field(default_factory=list)  # name and first word
    run: set[str] = field(default_factory=set)  # the arrays that stand in a command's place
    _bodies: list[re.Match[str]] = field(default_factory=list)

    def list(self, *, end: str) -> None:
        """Commands up to the character that ends them: a bracket, or the text's end."""
        place = _Place()
        while self.at < len(self.text):
            if self.text[self.at] == end and not place.in_patterns:
                self.at += 1
                return
            if not self._blank() and not self._separator(place) and not self._redirected():
                word, whole = self._word()
                self._placed(place, word, whole)

    def _blank(self) -> bool:
        """Past a blank, a continued line or a comment."""
        if self.text[self.at] in " \t":
            self.at += 1
        elif self.text.startswith("\\\n", self.at):
            self.at += 2
        elif self.text[self.at] == "#":
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        else:
            return False
        return True

    def _separator(self, place: _Place) -> bool:
        """Past what ends a command, after which another one may begin."""
        if self.text.startswith(";;", self.at):
            self.at += 2
            place.in_patterns = True
        elif self.text[self.at] == "\n":
            self._newline()
        elif self.text[self.at] == ")":
            self.at += 1
            place.in_patterns = False
        elif self.text[self.at] in ";&|(" and not self.text.startswith("&>", self.at):
            self.at += 1
        else:
            return False
        place.command, place.skip = not place.in_patterns, 0
        return True

    def _redirected(self) -> bool:
        found = self.text[self.at] in "<>&" or bool(re.match(r"\d+[<>]", self.text[self.at : self.at + 4]))
        if found:
            self._redirection()
        return found

    def _placed(self, place: _Place, word: str, whole: bool) -> None:
        """What a word means where it stands."""
        if place.in_patterns:
            place.in_patterns = word != "esac"
        elif place.in_case and word == "in":
            place.in_case, place.in_patterns = False, True
        elif place.command and word == "[[":
            self._condition()
            place.command = False
        elif place.command and word in CLOSING:
            place.command, place.in_case = False, word == "case"
        elif place.command and word not in OPENING and not _ASSIGNMENT.match(word):
            self._command(place, word, whole)

    def _command(self, place: _Place, word: str, whole: bool) -> None:
        """Note a word in a command's place, and whether the next stands in one, too."""
        if place.skip:
            place.skip -= 1
            return
        if word.startswith("-"):  # an option of `command` or `exec`
            return
        if array := _RUN_ARRAY.match(word):
            self.run.add(array["name"])
        if whole:
            self.found.append(word)
        runs = {"command": 0, "exec": 0} | self.runners
        place.command, place.skip = word in runs, runs.get(word, 0)

    def _newline(self) -> None:
        """Past a line's end, and past the here-documents that begin below it."""
        self.at += 1
        for mark in self._bodies:
            tabs = r"\t*" if mark["tabs"] else ""
            end = re.compile(rf"^{tabs}{mark['word']}$", re.MULTILINE).search(self.text, self.at)
            stop = end.start() if end else len(self.text)
            if not mark["quote"]:
                self._inside(self.text[self.at : stop])
            self.at = end.end() if end else stop
        self._bodies.clear()

    def _inside(self, text: str) -> None:
        """What a text that the shell fills in runs."""
        inner = _Reader(text, self.runners, found=self.found, arrays=self.arrays, run=self.run)
        while inner.at < len(text):
            if text.startswith("\\", inner.at):
                inner.at += 2
            elif text[inner.at] == "$":
                inner._dollar()
            else:
                inner.at += 1

    def _condition(self) -> None:
        """Past the end of [[ ]]; brackets in it are no commands."""
        while not re.match(r"\s\]\]", self.text[self.at : self.at + 3]):
            if self.text[self.at] == '"':
                self._quoted()
            elif self.text[self.at] == "$":
                self._dollar()
            else:
                self.at += 1
        self.at += 3

    def _redirection(self) -> None:
        here = _HEREDOC.match(self.text, self.at)
        if here:
            self._bodies.append(here)
            self.at = here.end()
            return
        self.at += len(re.match(r"\d*(<<<|<\(|>\(|[<>&]+)", self.text[self.at :])[0])  # type: ignore[index]
        if self.text[self.at - 1] == "(":
            self.list(end=")")
            return
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        self._word()

    def _word(self) -> tuple[str, bool]:
        """The next word, and whether it is one as it stands, with nothing to be filled in."""
        start, whole = self.at, True
        while self.at < len(self.text) and self.text[self.at] not in " \t\n;&|()<>":
            char = self.text[self.at]
            if char == "\\":
                self.at += 2
            elif char == "'":
                self.at = self.text.index("'", self.at + 1) + 1
            elif char == '"':
                before = self.at
                self._quoted()
                whole = whole and "$" not in self.text[before : self.at]
            elif char == "$":
                whole = False
                self._dollar()
            else:
                self.at += 1
        word = self.text[start : self.at]
        if self.text[self.at : self.at + 1] == "(" and word.endswith("="):
            self._array(word.rstrip("+="))
        elif self.text.startswith("()", self.at):  # a function's name
            self.at, whole = self.at + 2, False
            return "{", whole
        return word.strip("'\""), whole and word != ""

    def _array(self, name: str) -> None:
        """Its first word is a program where the array is run."""
        self.at += 1
        first = re.match(r"\s*([\w.+/-]+)", self.text[self.at :])
        if first:
            self.arrays.append((name, first[1]))
        while self.text[self.at] != ")":
            if self.text[self.at] in " \t\n":
                self.at += 1
            else:
                self._word()
        self.at += 1

    def _quoted(self) -> None:
        self.at += 1
        while self.text[self.at] != '"':
            if self.text[self.at] == "\\":
                self.at += 2
            elif self.text[self.at] == "$":
                self._dollar()
            else:
                self.at += 1
        self.at += 1

    def _dollar(self) -> None:
        if self.text.startswith("$((", self.at):
            self.at = self.text.index("))", self.at) + 2
        elif self.text.startswith("$(", self.at):
            self.at += 2
            self.list(end=")")
        elif self.text.startswith("${", self.at):
            self._braces()
        else:
            self.at += 1

    def _braces(self) -> None:
        self.at += 2
        while self.text[self.at] != "}":
            if self.text[self.at] == "\\":
                self.at += 2
            elif self.text[self.at] == '"':
                self._quoted()
            elif self.text[self.at] == "'" and "'" in self.text[self.at + 1 :].split("}")[0]:
                self.at = self.text.index("'", self.at + 1) + 1
            elif self.text[self.at] == "$":
                self._dollar()
            else:
                self.at += 1
        self.at += 1
