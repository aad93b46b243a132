"""Lists in small pages, so that whoever reads the first page only misses something."""

from __future__ import annotations

import copy
import functools
import json
import xml.etree.ElementTree as ET
from typing import Any

import botocore.session

from sandbox.backend.wire import service_model
from sandbox.calls import Answer, Call
from sandbox.faults import note

Item = tuple[ET.Element, ET.Element]  # where it is, and what it is


class Pages:
    """Every list that AWS gives in pages comes in pages of `size`, each a part of what was there at the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: dict[str, Answer] = {}  # token -> what is left of a list

    def before(self, call: Call) -> Answer | None:
        """The next page of a list."""
        for value in call.params.values():
            if isinstance(value, str) and value in self._rest:
                note(call, "a further page")
                return self._page(call, self._rest[value])
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        """The first page of a list, or all of a short one."""
        return answer if answer.refused or not call.number else self._page(call, answer)

    def _page(self, call: Call, answer: Answer) -> Answer:
        paging = _paging(call.service, call.operation)
        kind = answer.body.lstrip()[:1]
        if not paging or kind not in (b"<", b"{"):
            return answer
        return self._json_page(call, answer, paging) if kind == b"{" else self._xml_page(call, answer, paging)

    def _keep(self, call: Call, left: Answer) -> str:
        """The token that what is left of a list is had for."""
        token = f"page-{len(self._rest) + 2}-of-call-{call.number}"
        self._rest[token] = left
        return token

    def _json_page(self, call: Call, answer: Answer, paging: dict[str, Any]) -> Answer:
        told = json.loads(answer.body)
        key = _names(paging["result_key"])[0]
        if len(told.get(key, [])) <= self._size:
            return answer
        left = json.dumps({**told, key: told[key][self._size :]}).encode()
        token = self._keep(call, Answer(answer.status, left, answer.headers))
        page = {**told, key: told[key][: self._size], paging["output_token"]: token}
        return Answer(answer.status, json.dumps(page).encode(), answer.headers)

    def _xml_page(self, call: Call, answer: Answer, paging: dict[str, Any]) -> Answer:
        root = ET.fromstring(answer.body)
        left = copy.deepcopy(root)
        items = _items(call, root, paging)
        if len(items) <= self._size:
            return answer
        for where, item in items[self._size :]:
            where.remove(item)
        for where, item in _items(call, left, paging)[: self._size]:
            where.remove(item)
        token = self._keep(call, Answer(answer.status, _written(left), answer.headers))
        _continue(call, root, paging, token)
        return Answer(answer.status, _written(root), answer.headers)


@functools.cache
def _paging(service: str, operation: str) -> dict[str, Any]:
    """How botocore pages through this list; nothing for what is none."""
    try:
        model = botocore.session.get_session().get_paginator_model(service)
        return dict(model.get_paginator(operation))
    except (ValueError, botocore.exceptions.UnknownServiceError, botocore.exceptions.DataNotFoundError):
        return {}


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _items(call: Call, root: ET.Element, paging: dict[str, Any]) -> list[Item]:
    """The things that the answer lists, in its order."""
    shape = service_model(call.service).operation_model(call.operation).output_shape
    found: list[Item] = []
    for key in _names(paging["result_key"]):
        member = shape.members.get(key)
        if member is None:
            continue
        if member.serialization.get("flattened"):
            name = member.member.serialization.get("name") or member.serialization.get("name") or key
            found += [(root, child) for child in root if _tag(child) == name]
        else:
            name = member.serialization.get("name") or key
            found += [(where, child) for where in root.iter() if _tag(where) == name for child in where]
            if found:
                break
    return found


def _continue(call: Call, root: ET.Element, paging: dict[str, Any], token: str) -> None:
    """Say in the answer that there is more, and where."""
    result = next((child for child in root if _tag(child) == f"{call.operation}Result"), root)
    shape = service_model(call.service).operation_model(call.operation).output_shape
    said = dict.fromkeys((name.partition(" ")[0] for name in _names(paging["output_token"])), token)
    if paging.get("more_results"):
        said[paging["more_results"]] = "true"
    for key, text in said.items():
        member = shape.members[key]
        name = member.serialization.get("name") or key
        for old in [child for child in result if _tag(child) == name]:
            result.remove(old)
        namespace = root.tag.rpartition("}")[0]
        ET.SubElement(result, f"{namespace}}}{name}" if namespace else name).text = text


def _written(root: ET.Element) -> bytes:
    written: bytes = ET.tostring(root, xml_declaration=True, encoding="UTF-8")
    return written


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
