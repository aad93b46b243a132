"""The text of a kubeconfig, edited where our entries are: what is not ours stays as it stands, byte for byte.

The places come from the YAML reader's marks; JSON is YAML in flow style. Every edit is read again, and where it does
not say what it should (our entry held somebody's anchor, say), the file is written anew, which loses its comments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

# YAML's C reader where libyaml is there; both come with PyYAML.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


def is_entry(item: Any) -> bool:
    """Whether an item of a section has the form of one: a mapping, and so is what it says, if anything."""
    return isinstance(item, dict) and all(isinstance(item.get(key) or {}, dict) for key in SECTIONS.values())


def entry(data: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """What the section says of `name`, {} for nothing."""
    for item in data.get(section) or []:
        if item.get("name") == name:
            found: dict[str, Any] = item.get(SECTIONS[section]) or {}
            return found
    return {}


def merge(text: str, data: Mapping[str, Any], name: str, wanted: Mapping[str, dict[str, Any]]) -> str:
    """The text with `name`'s entry in each section as wanted, and current. The same text if it is so already."""
    target = _merged(data, name, wanted)
    if target == data:
        return text
    if not data:
        target = {"apiVersion": "v1", "kind": "Config", "preferences": {}, **target}
    return _edited(text, data, target, name)


def without(text: str, data: Mapping[str, Any], name: str) -> str:
    """The text without `name`'s entries, and no current context if that was it."""
    target = {
        key: [item for item in value if item.get("name") != name] if key in SECTIONS and value else value
        for key, value in data.items()
    }
    if target.get("current-context") == name:
        target["current-context"] = ""
    return text if target == data else _edited(text, data, target, name)


def _merged(data: Mapping[str, Any], name: str, wanted: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    target = dict(data)
    for section, body in wanted.items():
        items = list(data.get(section) or [])
        index = next((i for i, item in enumerate(items) if item.get("name") == name), len(items))
        kept = _ours_kept(section, entry(data, section, name))
        items[index : index + 1] = [{"name": name, SECTIONS[section]: {**kept, **body}}]
        target[section] = items
    target["current-context"] = name
    return target


def _ours_kept(section: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a person may have added to our entry and keeps: a proxy, a namespace."""
    kept = {"clusters": ("proxy-url", "tls-server-name"), "contexts": ("namespace",)}.get(section, ())
    return {key: body[key] for key in kept if key in body}


def _edited(text: str, data: Mapping[str, Any], target: dict[str, Any], name: str) -> str:
    """`text`, which says `data`, edited to say `target`."""
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    plain = text.replace("\r\n", "\n") if windows else text
    root = yaml.compose(plain, Loader=yaml.SafeLoader)
    new = _Edit(plain, root, name).apply(data, target) if data else _begun(plain, root, target)
    if not _says(new, target):
        new = json.dumps(target, indent=2) + "\n" if text.lstrip().startswith("{") else _dump(target)
    return new.replace("\n", "\r\n") if windows else new


def _says(text: str, target: dict[str, Any]) -> bool:
    try:
        return bool(yaml.load(text, Loader=LOADER) == target)  # noqa: S506 a safe loader
    except yaml.YAMLError:
        return False


def _dump(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, width=1 << 20))


def _begun(text: str, root: yaml.Node | None, target: dict[str, Any]) -> str:
    """A file that said nothing, or no more than `{}`: what it has of comments stays."""
    start, end = (root.start_mark.index, root.end_mark.index) if root else (len(text), len(text))
    before = text[:start].rstrip(" ")
    return before + ("\n" if before and not before.endswith("\n") else "") + _dump(target) + text[end:].lstrip("\n")


class _Edit:
    """Edits to a document at the places where the YAML reader found its nodes."""

    def __init__(self, text: str, root: yaml.Node | None, name: str) -> None:
        self._text, self._root, self._name = text, root, name
        self._edits: list[tuple[int, int, str]] = []

    def apply(self, data: Mapping[str, Any], target: Mapping[str, Any]) -> str:
        """The edited text; '' for a document that is no mapping."""
        if not isinstance(self._root, yaml.MappingNode):
            return ""
        values = {key.value: value for key, value in self._root.value}
        changed = {key: wanted for key, wanted in target.items() if key not in data or data[key] != wanted}
        for key, wanted in changed.items():
            if key in values:
                self._set(values[key], key, wanted)
        self._add(self._root, {key: wanted for key, wanted in changed.items() if key not in values})
        new = self._text
        for start, end, replacement in sorted(self._edits, reverse=True):
            new = new[:start] + replacement + new[end:]
        return new

    def _add(self, root: yaml.MappingNode, missing: Mapping[str, Any]) -> None:
        """Top-level keys that are not there: behind the last one, before what may end the document."""
        if not missing:
            return
        if root.flow_style:
            at = root.value[-1][1].end_mark.index
            text = "".join(f", {json.dumps(key)}: {json.dumps(wanted)}" for key, wanted in missing.items())
        else:
            at = root.end_mark.index
            text = ("" if self._text[:at].endswith("\n") else "\n") + _dump(dict(missing))
        self._edits.append((at, at, text))

    def _set(self, node: yaml.Node, key: str, wanted: Any) -> None:
        listed = key in SECTIONS and isinstance(node, yaml.SequenceNode) and node.value and wanted
        if isinstance(node, yaml.SequenceNode) and listed:
            (self._set_flow_item if node.flow_style else self._set_item)(node, wanted)
        elif isinstance(self._root, yaml.MappingNode) and self._root.flow_style:
            self._edits.append((node.start_mark.index, node.end_mark.index, json.dumps(wanted)))
        else:
            self._replace_value(node, key, wanted)

    def _replace_value(self, node: yaml.Node, key: str, wanted: Any) -> None:
        """The whole value of a top-level key: a scalar, an empty list, nothing, or a list that becomes empty."""
        start, end = node.start_mark.index, self._end(node)
        text = _dump({key: wanted}).rstrip("\n")[len(key) + 1 :]
        if self._text[start - 1 : start] in (" ", "\n") and not text.startswith("\n"):
            text = text.lstrip(" ")
        if text.startswith("\n") or isinstance(node, yaml.SequenceNode):
            start = self._text.rindex(":", 0, start + 1) + 1  # from behind the key on
            text = text if text.startswith("\n") else " " + text
        self._edits.append((start, max(start, end), text))

    def _set_item(self, node: yaml.SequenceNode, wanted: list[dict[str, Any]]) -> None:
        """Our one item of a list, each on lines of its own: replaced, added behind the last, or taken out."""
        mine, there = self._mine(wanted), self._there(node)
        column = node.value[0].start_mark.column
        text = "" if mine is None else _dump(mine).rstrip("\n").replace("\n", "\n" + " " * column)
        if there is None:
            last, dash = self._line_end(node.value[-1]), node.start_mark.column
            self._edits.append((last, last, "\n" + " " * dash + "-" + " " * (column - dash - 1) + text))
        elif mine is None:
            start = self._text.rindex("\n", 0, there.start_mark.index) + 1
            self._edits.append((start, min(self._line_end(there) + 1, len(self._text)), ""))
        else:
            self._edits.append((there.start_mark.index, self._end(there), text))

    def _set_flow_item(self, node: yaml.SequenceNode, wanted: list[dict[str, Any]]) -> None:
        """The same for a list in brackets."""
        mine, there = self._mine(wanted), self._there(node)
        marks = [(item.start_mark.index, item.end_mark.index) for item in node.value]
        if there is None:
            between = self._text[marks[0][1] : marks[1][0]] if len(marks) > 1 else ", "
            between = between if between.replace(",", "", 1).isspace() else ", "
            self._edits.append((marks[-1][1], marks[-1][1], between + json.dumps(mine)))
            return
        index = node.value.index(there)
        start, end = marks[index]
        if mine is not None:
            self._edits.append((start, end, json.dumps(mine)))
        elif index + 1 < len(marks):
            self._edits.append((start, marks[index + 1][0], ""))
        else:
            self._edits.append((marks[index - 1][1], end, ""))

    def _mine(self, wanted: list[dict[str, Any]]) -> dict[str, Any] | None:
        return next((item for item in wanted if item.get("name") == self._name), None)

    def _there(self, node: yaml.SequenceNode) -> yaml.Node | None:
        return next((item for item in node.value if self._is_mine(item)), None)

    def _is_mine(self, item: yaml.Node) -> bool:
        return isinstance(item, yaml.MappingNode) and any(
            key.value == "name" and value.value == self._name for key, value in item.value
        )

    def _end(self, node: yaml.Node) -> int:
        """Where the node's own text ends; its end mark stands behind the comments and blank lines that follow."""
        start, end = node.start_mark.index, node.end_mark.index
        lines = self._text[start:end].split("\n")
        while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        return int(start + len("\n".join(lines)))

    def _line_end(self, node: yaml.Node) -> int:
        """The end of the line on which the node ends, so that a comment behind it stays where it is."""
        found = self._text.find("\n", self._end(node))
        return len(self._text) if found < 0 else found
