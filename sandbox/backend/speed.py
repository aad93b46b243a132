"""moto's slow places, made fast enough for a thousand instances. Nothing here changes what is answered."""

from __future__ import annotations

import functools
from typing import Any
from xml.sax.saxutils import escape, quoteattr

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


def install() -> None:
    """Replace moto's slow functions by quick ones of the same result."""
    _tags()
    _attributes()
    _xml()
    _lookups()
    _private_keys()


def _private_keys() -> None:
    """moto makes an RSA key for every key of KMS, symmetric ones too, which never use it."""
    from moto.kms import models, utils

    models.generate_private_key = functools.cache(utils.generate_private_key)  # type: ignore[attr-defined]


def _tags() -> None:
    """moto matches every resource's tags by regular expression to find those of one."""
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    def get_tags(self: Any) -> list[dict[str, str]]:
        tags = self.ec2_backend.tags.get(self.id) if self.id else None
        if not tags:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in tags.items()
        ]

    TaggedEC2Resource.get_tags = get_tags  # type: ignore[method-assign]


def _attributes() -> None:
    """moto works out anew, for each field of each thing, under which names the field may be found."""
    from moto.core.constants import MISSING
    from moto.core.serialize import AttributePickerContext, ResponseSerializer, XFormedAttributePicker
    from moto.core.utils import get_value

    original = getattr(ResponseSerializer.get_value, "moto_original", ResponseSerializer.get_value)
    names_of: dict[tuple[Any, str, type], list[str]] = {}

    def find_names(self: Any, value: Any, key: str, shape: Any) -> list[str]:
        context = AttributePickerContext(value, key, shape, self.operation_model, self.service_model, "")
        return list(dict.fromkeys(self._value_picker.get_possible_keys(context)))

    def pick(self: Any, value: Any, key: str, shape: Any) -> Any:
        if not isinstance(self._value_picker, XFormedAttributePicker):
            return original(self, value, key, shape)
        known = (shape, key, type(value))
        names = names_of.get(known) or names_of.setdefault(known, find_names(self, value, key, shape))
        result = None
        for name in names:
            found = get_value(value, name, MISSING)
            if found is not MISSING:
                result = found
                break
        if not self._value_picker.response_transformers:
            return result
        transform = _transform(self._value_picker, f"{'.'.join(self.path)}.{key}")
        return transform(result) if transform else result

    pick.moto_original = original  # type: ignore[attr-defined]
    ResponseSerializer.get_value = pick  # type: ignore[method-assign]


def _transform(picker: Any, path: str) -> Any:
    known = picker.__dict__.setdefault("sandbox_transforms", {})
    if path not in known:
        found = (change for end, change in picker.response_transformers.items() if path.endswith(end))
        known[path] = next(found, None)
    return known[path]


def _lookups() -> None:
    """moto lists its own folder, and its classes' methods, for every call."""
    from moto import backends
    from moto.core import responses, utils

    if not hasattr(backends.list_of_moto_modules, "cache_info"):
        modules = backends.list_of_moto_modules
        backends.list_of_moto_modules = functools.cache(lambda: tuple(modules()))
        responses.method_names_from_class = functools.cache(utils.method_names_from_class)  # type: ignore[attr-defined]


def _xml() -> None:
    """xmltodict goes through a SAX generator for each element."""
    from moto.core.serialize import EC2Serializer, QuerySerializer

    def serialize(_self: Any, body: Any) -> str:
        parts: list[str] = []
        for name, value in body.items():
            _write(parts, name, value)
        return "".join(parts)

    def serialize_with_declaration(self: Any, body: Any) -> str:
        return DECLARATION + serialize(self, body)

    QuerySerializer._serialize_body = serialize  # type: ignore[method-assign,assignment]
    EC2Serializer._serialize_body = serialize_with_declaration  # type: ignore[method-assign]


def _write(parts: list[str], name: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _write(parts, name, item)
    elif isinstance(value, dict):
        _write_structure(parts, name, value)
    elif value is None or value == "":
        parts.append(f"<{name}/>")
    else:
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        parts.append(f"<{name}>{escape(text)}</{name}>")


def _write_structure(parts: list[str], name: str, value: dict[str, Any]) -> None:
    """A dict as xmltodict takes it: "@name" is an attribute, "#text" the text."""
    attributes = "".join(f" {key[1:]}={quoteattr(str(v))}" for key, v in value.items() if key[0] == "@")
    start = len(parts)
    parts.append(f"<{name}{attributes}>")
    for key, child in value.items():
        if key == "#text":
            parts.append(escape(str(child)))
        elif key[0] != "@":
            _write(parts, key, child)
    if len(parts) == start + 1:
        parts[start] = f"<{name}{attributes}/>"
    else:
        parts.append(f"</{name}>")
