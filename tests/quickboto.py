"""What botocore works out anew for each run, client or call, worked out once in the tests' process.

A run makes its own session and clients, so it would read and parse the models of every service, and make a class of
each client, with a method for each of EC2's 700 operations. No stub knows what is replaced here: most names are
botocore's own.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.hooks
import botocore.httpsession
import botocore.loaders
import botocore.parsers
import botocore.regions
import botocore.session
import botocore.useragent
import pytest
from botocore import client
from botocore.model import ServiceModel


@contextmanager
def models_read_once() -> Iterator[None]:
    """Have it so for a while."""
    with pytest.MonkeyPatch.context() as patch:
        _models(patch)
        _clients(patch)
        _calls(patch)
        yield


def _models(patch: pytest.MonkeyPatch) -> None:
    loader = botocore.loaders.create_loader()

    @functools.cache
    def load_model(service_name: str, api_version: str | None = None) -> ServiceModel:
        return ServiceModel(loader.load_service_model(service_name, "service-2", api_version), service_name)

    patch.setattr(botocore.session, "create_loader", lambda *_: loader)
    patch.setattr(client.ClientCreator, "_load_service_model", lambda _self, *args: load_model(*args))


def _clients(patch: pytest.MonkeyPatch) -> None:
    creator: Any = client.ClientCreator
    session: Any = botocore.httpsession.URLLib3Session
    patch.setattr(creator, "_create_client_class", _once(creator._create_client_class, lambda service, _model: service))
    patch.setattr(client.BaseClient, "get_paginator", _paginators(client.BaseClient.get_paginator))
    patch.setattr(session, "_get_ssl_context", _once(session._get_ssl_context, lambda: ""))  # what is asked is http://
    patch.setattr(getattr(botocore.hooks, "_PrefixTrie"), "_recursive_copy", lambda _, trie: _copied(trie))  # noqa: B009
    # The loader gives the same rules each time.
    regions: Any = botocore.regions
    providers: dict[int, Any] = {}
    make_provider = regions.EndpointProvider

    def provider(ruleset_data: Any, **others: Any) -> Any:
        if id(ruleset_data) not in providers:
            providers[id(ruleset_data)] = make_provider(ruleset_data, **others)
        return providers[id(ruleset_data)]

    patch.setattr(regions, "EndpointProvider", provider)


def _paginators(make: Callable[..., Any]) -> Callable[..., Any]:
    """A client's paginators, each of a class of its own, made once."""

    def get_paginator(self: Any, operation_name: str) -> Any:
        known = self.__dict__.setdefault("tests_paginators", {})
        if operation_name not in known:
            known[operation_name] = make(self, operation_name)
        return known[operation_name]

    return get_paginator


def _calls(patch: pytest.MonkeyPatch) -> None:
    aliaser: Any = botocore.hooks.EventAliaser
    patch.setattr(aliaser, "_alias_event_name", _once(aliaser._alias_event_name, lambda event_name: event_name))
    for where, name in (
        (botocore.useragent, "sanitize_user_agent_string_component"),
        (botocore.useragent.UserAgentComponent, "to_string"),
        (botocore.parsers, "DEFAULT_TIMESTAMP_PARSER"),
    ):
        patch.setattr(where, name, functools.cache(getattr(where, name)))
    # A call's own features are not added to what its client calls itself.
    patch.setattr(botocore.useragent.UserAgentString, "rebuild_and_replace_user_agent_handler", lambda *_, **__: None)
    _answers(patch)
    by_signature: Any = getattr(botocore.hooks, "accepts_kwargs")  # noqa: B009

    def accepts_kwargs(function: Any) -> Any:
        code = getattr(function, "__code__", None)
        return bool(code.co_flags & inspect.CO_VARKEYWORDS) if code else by_signature(function)

    patch.setattr(botocore.hooks, "accepts_kwargs", accepts_kwargs)


def _answers(patch: pytest.MonkeyPatch) -> None:
    parser: Any = botocore.parsers.BaseXMLResponseParser
    parse_structure = parser._handle_structure
    bare = functools.cache(lambda tag: re.sub("{.*}", "", tag))  # as botocore has it, for each element

    @functools.cache
    def fields(shape: Any) -> list[tuple[str, str, Any]] | None:
        """Each field's name, its element's and its shape; None where there is more to a structure than elements."""
        each = shape.members.items()
        if shape.is_tagged_union or shape.metadata.get("exception") or any(odd(member) for _, member in each):
            return None
        return [(name, parser._member_key_name(None, member, name), member) for name, member in each]

    def odd(member: Any) -> bool:
        return bool({"location", "eventheader", "xmlAttribute"} & member.serialization.keys())

    def handle_structure(self: Any, shape: Any, node: Any) -> Any:
        known = fields(shape)
        if known is None:
            return parse_structure(self, shape, node)
        there = self._build_name_to_xml_node(node)
        return {name: self._parse_shape(member, there[element]) for name, element, member in known if element in there}

    patch.setattr(parser, "_node_tag", lambda _, node: bare(node.tag))
    patch.setattr(parser, "_handle_structure", handle_structure)


def _once(method: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    """The method, whose result depends on `key` of its arguments alone, whichever object it is of."""
    known: dict[Any, Any] = {}

    def once(self: Any, *args: Any) -> Any:
        asked = key(*args)
        if asked not in known:
            known[asked] = method(self, *args)
        return known[asked]

    return once


def _copied(trie: dict[str, Any]) -> dict[str, Any]:
    """The structure of a trie of handlers, without asking of each part what it is."""
    return {"_root": _copied_node(trie["_root"])}


def _copied_node(node: dict[str, Any]) -> dict[str, Any]:
    values = node["values"]
    return {
        "chunk": node["chunk"],
        "children": {name: _copied_node(child) for name, child in node["children"].items()},
        "values": values and type(values)(values.first[:], values.middle[:], values.last[:]),
    }
