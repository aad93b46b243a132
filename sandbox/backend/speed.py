"""moto's slow places, made fast enough for a thousand instances. Nothing here changes what is answered."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from moto.core.constants import MISSING
from moto.core.serialize import AttributePickerContext, ResponseSerializer, XFormedAttributePicker
from moto.core.utils import get_value as value_of

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


def install() -> None:
    """Replace moto's slow functions by quick ones of the same result."""
    _tags()
    _attributes()
    _xml()
    _lookups()
    _private_keys()
    _instance_types()
    _backends()
    _requests()
    _random()


def _backends() -> None:
    """moto looks through all services for each look at one."""
    from moto.core.base_backend import AccountSpecificBackend, BackendDict

    for owner in (BackendDict, AccountSpecificBackend):
        _quick(owner)


def _quick(owner: Any) -> None:
    """What is there already is found as in any dictionary."""
    if hasattr(owner, "moto_original"):
        return
    owner.moto_original = find = owner.__getitem__

    def get(self: Any, key: str) -> Any:
        found = dict.get(self, key)
        return find(self, key) if found is None else found

    owner.__getitem__ = get


def _requests() -> None:
    """moto looks for the same few access keys and regions in the headers of each request, and takes its URL apart."""
    from moto.core.request import Request
    from moto.core.responses import BaseResponse

    responses: Any = BaseResponse
    if hasattr(responses, "moto_original"):
        return
    responses.moto_original = find_region = responses.get_region_from_url
    responses.access_key_regex = _Searched(responses.access_key_regex)
    known: dict[tuple[str, ...], str] = {}

    def get_region_from_url(self: Any, request: Any, full_url: str) -> str:
        host, headers = full_url.split("?")[0].split("/")[2], request.environ
        told = (host, headers.get("HTTP_USER_AGENT", ""), headers.get("HTTP_AUTHORIZATION", "").partition(",")[0])
        if told not in known:
            known[told] = find_region(self, request, full_url)
        return known[told]

    def raw_url(self: Any) -> str:
        environ = self.environ
        asked = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        return f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{self.raw_path}{asked}"

    enrich = responses._enrich_response

    def enrich_response(headers: Any, body: Any) -> Any:
        if isinstance(body, str) and "<RequestId>" not in body:  # which it is searched for
            return enrich(headers, "")[0], body
        return enrich(headers, body)

    responses._enrich_response = staticmethod(enrich_response)
    responses.get_region_from_url = get_region_from_url
    Request.raw_url = property(raw_url)  # type: ignore[method-assign,assignment]


def _random() -> None:
    """moto draws each letter of each answer's id by itself."""
    from moto.moto_api._internal.moto_random import MotoRandom

    def get_random_string(self: Any, length: int = 20, include_digits: bool = True, lower_case: bool = False) -> str:
        drawn = "".join(self.choices(string.ascii_letters + string.digits * include_digits, k=length))
        return drawn.lower() if lower_case else drawn

    MotoRandom.get_random_string = get_random_string  # type: ignore[method-assign]


class _Searched:
    """A regular expression that is searched for in few texts, each many times."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.search = functools.lru_cache(maxsize=256)(pattern.search)


def _instance_types() -> None:
    """moto goes through all types of EC2, a thousand, for each question about some of them."""
    from moto.ec2.models.instance_types import InstanceTypeBackend, InstanceTypeOfferingBackend

    if hasattr(InstanceTypeBackend, "moto_original"):
        return
    types: Any = InstanceTypeBackend
    types.moto_original = describe = types.describe_instance_types
    known_types: dict[Any, list[Any]] = {}

    def describe_types(self: Any, instance_types: list[str] | None = None, filters: Any = None) -> Any:
        key = (tuple(instance_types or ()), tuple((name, tuple(values)) for name, values in (filters or {}).items()))
        if key not in known_types:
            known_types[key] = describe(self, instance_types, filters)
        return list(known_types[key])

    offers: Any = InstanceTypeOfferingBackend
    all_offers = offers.describe_instance_type_offerings
    known: dict[Any, list[Any]] = {}

    def describe_offers(self: Any, location_type: str | None = None, filters: Any = None) -> Any:
        asked = tuple((name, tuple(values)) for name, values in (filters or {}).items())
        key = (self.region_name, location_type, asked)
        if key not in known:
            known[key] = all_offers(self, location_type, filters)
        return list(known[key])

    types.describe_instance_types = describe_types
    offers.describe_instance_type_offerings = describe_offers


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
    """moto works out anew, for each field of each thing, under which names it may be found, and who writes it."""
    base: Any = ResponseSerializer
    if hasattr(base, "moto_original"):
        return
    base.moto_original = original = base.get_value
    known = _Known()

    def get_value(self: Any, value: Any, key: str, shape: Any) -> Any:
        if not isinstance(self._value_picker, XFormedAttributePicker):
            return original(self, value, key, shape)
        found = _first(value, known.names(self, value, key, shape))
        transform = known.transforms(self, (key,)).get(key)
        return transform(found) if transform else found

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        self.path.append(key or shape.name)
        known.writer(type(self), shape.type_name)(self, serialized, value, shape, key)
        self.path.pop()

    base.get_value = get_value
    base._serialize = serialize
    _structures(base, known)


def _structures(base: Any, known: _Known) -> None:
    """The same, field by field of a structure."""
    write_member, write_structure = base._serialize_structure_member, base._serialize_type_structure

    def serialize_structure(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        ours = type(self)._serialize_structure_member is write_member
        if value is None or not ours or not isinstance(self._value_picker, XFormedAttributePicker):
            write_structure(self, serialized, value, shape, key)
            return
        wrapper = self.MAP_TYPE() if key else serialized
        transforms = known.transforms(self, tuple(shape.members))
        for name, member, names in known.fields(self, value, shape):
            found = _first(value, names)
            if name in transforms:
                found = transforms[name](found)
            if found is not None:
                self._serialize(wrapper, found, member, name)
        if key:
            self._default_serialize(serialized, wrapper, shape, key)

    base._serialize_type_structure = serialize_structure


class _Known:
    """What has been worked out for moto's serializers, which depends on nothing but moto's classes and AWS's models."""

    def __init__(self) -> None:
        self._names: dict[tuple[Any, str, type], list[str]] = {}
        self._fields: dict[tuple[Any, type], list[tuple[str, Any, list[str]]]] = {}
        self._writers: dict[tuple[type, str], Any] = {}
        self._ends: dict[tuple[int, int, str, tuple[str, ...]], dict[str, str]] = {}

    def names(self, serializer: Any, value: Any, key: str, shape: Any) -> list[str]:
        """The names under which a thing may have the field."""
        known = (shape, key, type(value))
        if known not in self._names:
            context = AttributePickerContext(
                value, key, shape, serializer.operation_model, serializer.service_model, ""
            )
            self._names[known] = list(dict.fromkeys(serializer._value_picker.get_possible_keys(context)))
        return self._names[known]

    def fields(self, serializer: Any, value: Any, shape: Any) -> list[tuple[str, Any, list[str]]]:
        """All fields of a structure: key, shape, names."""
        known = (shape, type(value))
        if known not in self._fields:
            for member in shape.members.values():
                member.parent = shape  # as moto does: names depend on it
            self._fields[known] = [
                (key, member, self.names(serializer, value, key, member)) for key, member in shape.members.items()
            ]
        return self._fields[known]

    def writer(self, serializer: type, kind: str) -> Any:
        """The function that writes a value of this kind."""
        if (serializer, kind) not in self._writers:
            found = getattr(serializer, f"_serialize_type_{kind}", serializer._default_serialize)  # type: ignore[attr-defined]
            self._writers[serializer, kind] = found
        return self._writers[serializer, kind]

    def transforms(self, serializer: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
        """What moto does to the values of these fields where the answer is now."""
        changes = serializer._value_picker.response_transformers
        if not changes:
            return {}
        known = (id(changes), len(changes), ".".join(serializer.path), keys)  # some are given another value, some added
        if known not in self._ends:
            ends = {key: next((end for end in changes if f"{known[2]}.{key}".endswith(end)), "") for key in keys}
            self._ends[known] = {key: end for key, end in ends.items() if end}
        return {key: changes[end] for key, end in self._ends[known].items()}


def _first(value: Any, names: Iterable[str]) -> Any:
    """What the first of these names that the thing has leads to, None where it has none of them."""
    if type(value) is dict:
        for name in names:
            if name in value:
                return value[name]
        names = [name for name in names if "." in name]  # a way through what is in it
    has_items = hasattr(value, "__getitem__")
    for name in names:
        found = value_of(value, name, MISSING) if has_items or "." in name else getattr(value, name, MISSING)
        if found is not MISSING:
            return found
    return None


def _lookups() -> None:
    """moto lists its own folder, and its classes' methods, for every call."""
    from moto import backends
    from moto.core import responses, utils

    if not hasattr(backends.list_of_moto_modules, "cache_info"):
        modules = backends.list_of_moto_modules
        backends.list_of_moto_modules = functools.cache(lambda: tuple(modules()))
        responses.method_names_from_class = functools.cache(utils.method_names_from_class)  # type: ignore[attr-defined]
        backends._import_backend = functools.cache(backends._import_backend)


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
