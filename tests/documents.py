"""What README and docs/ tell a person to type, read from their own code blocks; and typing it into a Box."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name
from conftest import Box, Result

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = {"kube_up.py": "up", "kube_down.py": "down"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True)
class Command:
    """A line of a code block: the variables before it, its words, and what a here-document gives it."""

    settings: dict[str, str]
    words: list[str]
    given: str = ""


def section(page: str, heading: str) -> str:
    """What stands below a heading of the second order, up to the next."""
    found = re.search(rf"(?ms)^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page)
    assert found, heading
    return found[1]


def headings(page: str) -> list[str]:
    """The headings of the second order."""
    return re.findall(r"(?m)^## (.+)$", page)


def blocks(page: str) -> list[str]:
    """The code blocks: what is indented after an empty line, and what is fenced without a language or as sh."""
    fenced = re.findall(r"(?ms)^```(?:sh)?\n(.*?)^```$", page)
    page = re.sub(r"(?ms)^```.*?^```$", "", page)
    indented = re.findall(r"(?m)(?:\A|\n)\n((?: {4,}.*\n)(?:(?: {4,}.*)?\n)*)", page)
    return fenced + [re.sub(r"(?m)^ {4,7}", "", each) for each in indented]


def commands(block: str) -> Iterator[Command]:
    """A block's commands, as a shell reads them: joined lines, comments, here-documents, assignments first."""
    lines = iter(block.replace("\\\n", " ").splitlines())
    for line in lines:
        opened = re.search(r"<<'?(\w+)'?", line)
        given = ""
        if opened:
            for inner in lines:
                if inner.strip() == opened[1]:
                    break
                given += inner.strip() + "\n"
        words = shlex.split(line, comments=True)
        before = 0
        while before < len(words) and _ASSIGNMENT.match(words[before]):
            before += 1
        if words:
            pairs = (word.split("=", 1) for word in words[:before])
            yield Command({name: value for name, value in pairs}, words[before:], given)  # noqa: C416  mypy wants it


@dataclass
class Shell:
    """A person's shell in the sandbox, with variables and a folder; other programs than ours and aws it passes over."""

    box: Box
    replaced: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def type(self, block: str) -> None:
        """Type a block. Each run of the two scripts ends with 0, a dry run also with 3."""
        for here, there in self.replaced.items():
            block = block.replace(here, there)
        for command in commands(block):
            self._run(command)

    def _run(self, command: Command) -> None:
        program, *rest = command.words or [""]
        if program == "":
            self.variables |= command.settings
        elif program == "export":
            self.variables |= dict(word.split("=", 1) for word in rest)
        elif program == "cat":
            name = next(word for word in rest if word.startswith(">")).removeprefix(">")
            (self.box.home / name).write_text(command.given)
        elif program in ("python", "python3") and rest[0] in SCRIPTS:
            self._script(command.settings, *rest)
        elif program == "aws":
            _aws(self.box, rest)
        else:
            self.passed_over.append(program)

    def _script(self, settings: dict[str, str], script: str, *flags: str) -> None:
        given = self.variables | settings
        if file := given.get("KUBE_CONFIG_FILE"):
            given["KUBE_CONFIG_FILE"] = str(self.box.home / file)
        unset = {name: self.box.environ.pop(name, "") for name in ("KUBE_AWS_ZONE", "NUM_NODES")}  # the fixture's own
        try:
            result: Result = getattr(self.box, SCRIPTS[script])(*flags, **given)
        finally:
            self.box.environ |= unset
        good = {0, 3} if "--dry-run" in flags else {0}
        assert result.code in good, f"{given} {script} {flags}: {result.code}\n{result.out}{result.err}"
        self.results.append(result)


def _aws(box: Box, words: list[str]) -> None:
    """A command of the AWS CLI, done as it does it, by the service's model."""
    service, operation, *rest = words
    model = aws_operation(service, operation)
    given: dict[str, Any] = {}
    at = 0
    while at < len(rest):
        values = list(_until_flag(rest[at + 1 :]))
        name = aws_parameter(model, rest[at])
        if name:
            shape = model.input_shape.members[name]
            text = _from_file(box, " ".join(values))
            given[name] = _shorthand(values, shape) if shape.type_name == "list" else text
        at += 1 + len(values)
    getattr(box.client(service), xform_name(model.name))(**given)


def _from_file(box: Box, text: str) -> str:
    """What a parameter says, or the file in the shell's folder that it names."""
    name = text.removeprefix("file://")
    return (box.home / name).read_text() if name != text else text


def _until_flag(words: list[str]) -> Iterator[str]:
    for word in words:
        if word.startswith("--"):
            return
        yield word


def _shorthand(values: list[str], shape: Any) -> list[Any]:
    if shape.member.type_name == "structure":
        return [dict(pair.split("=", 1) for pair in value.split(",")) for value in values]
    return values


GLOBAL_FLAGS = {"--profile", "--region", "--query", "--output", "--no-cli-pager", "--endpoint-url"}


def aws_operation(service: str, operation: str) -> Any:
    """The model of what `aws SERVICE OPERATION` calls."""
    model = botocore.session.get_session().get_service_model("s3" if service == "s3api" else service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"aws {service} has no {operation}"
    return model.operation_model(names[operation])


def aws_parameter(model: Any, flag: str) -> str:
    """The parameter that a flag of the AWS CLI gives; empty for one that all commands have."""
    if flag in GLOBAL_FLAGS:
        return ""
    members = model.input_shape.members if model.input_shape else {}
    names = {f"--{xform_name(name, '-')}": name for name in members}
    names |= {f"--no-{xform_name(name, '-')}": name for name in members}
    assert flag in names, f"{model.name} has no {flag}"
    return str(names[flag])
