"""From layers to one checked Config; what of it is remembered, and what cannot change of a cluster that is there."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from lib.run.errors import SettingError, gathered, raise_all
from lib.settings import limits, rules, sizes
from lib.settings.config import OPTIONS, Config
from lib.settings.layers import Layers, expand


def resolve(layers: Layers, *, check: bool = True) -> Config:
    """The settings of a run, checked as far as that needs no call to AWS. SettingError for all that are wrong.

    Without `check` each value is right, but they may not fit together: enough to look for what is remembered, which may
    be what one of them needs.
    """
    values, wrong = dict[str, Any](), list[SettingError]()
    texts = {name: layers.value(name) for name in OPTIONS}
    for name, text in ((each, text) for each, text in texts.items() if text or not OPTIONS[each].computed):
        try:
            values[name] = _parse(name, text)
        except SettingError as error:
            wrong.append(_said_of_memory(error, layers) if layers.source(name) == "remembered" else error)
    raise_all(wrong)
    for name, declared in OPTIONS.items():
        if declared.computed and name not in values:
            text = declared.computed(values)
            values[name] = _parse(name, text) if text else ""
        if declared.is_path:
            values[name] = ":".join(expand(path, environ=layers.environment) for path in values[name].split(":"))
    config = Config(**{name.lower(): value for name, value in values.items()})
    if check:
        useless, config = _without_idle(layers, config)
        raise_all([*useless, *gathered(functools.partial(limits.check_limits, config))])
    return config


def idle(layers: Layers, config: Config) -> list[str]:
    """The options that are set and have no effect, since the one that each needs is not."""
    needing = {name: it for name, it in OPTIONS.items() if it.needs and not getattr(config, it.needs.lower())}
    set_now = {name: layers.value(name) for name in needing}
    return [n for n, text in set_now.items() if text and not _means_the_same(n, text, layers.defaults[n])]


def _means_the_same(name: str, text: str, default: str) -> bool:
    return text == default or (default != "" and _parse(name, text) == _parse(name, default))


def _without_idle(layers: Layers, config: Config) -> tuple[list[SettingError], Config]:
    """What this run asks for without what it needs, to be refused; and the settings without what is remembered so.

    Whoever turns an option off need not forget what goes with it, but for what has made things that depend on both.
    """
    names = [name for name in idle(layers, config) if OPTIONS[name].idle != "always"]
    refused = [name for name in names if layers.asked(name) is not None or OPTIONS[name].idle == "never"]
    kept = {name.lower(): _parse(name, layers.defaults[name]) for name in names if name not in refused}
    return [_useless(name, layers) for name in refused], replace(config, **kept)


def _useless(name: str, layers: Layers) -> SettingError:
    needs, source = OPTIONS[name].needs, layers.source(name)
    is_switch = layers.defaults[needs] in ("true", "false")
    why = f"of no use with {needs}=false" if is_switch else f"about {needs}, and there is none"
    right = f"give {needs}{'=true' if is_switch else ''} too, or leave this out"
    if source in ("KUBE_CONFIG_FILE", "remembered"):  # which cannot be left out, and a run can say otherwise
        where = source if source == "KUBE_CONFIG_FILE" else _memory(layers)
        off = "false" if layers.defaults[name] == "false" else ""
        right = f"it stands in {where}: give {name}={off} beside {needs}"
    return SettingError(name, f"{rules.shown(layers.value(name))} is {why}", right)


def _memory(layers: Layers) -> str:
    return layers.remembered_in or "settings.env"


def _said_of_memory(error: SettingError, layers: Layers) -> SettingError:
    """The same of a value that this run was not told, but remembers."""
    name = error.variable
    problem = f"{error.problem}, and that is remembered in {_memory(layers)}"
    return SettingError(name, problem, f"{error.right}, or run {name}= python kube_up.py, which forgets it")


def resolve_whatever(layers: Layers) -> tuple[Layers, Config]:
    """For kube_down.py: the settings with nothing that is remembered in the way of a removal.

    A remembered value that is refused today, such as a release of long ago, counts as not remembered. Raises
    SettingError for what environment or file say.
    """
    while True:
        try:
            return layers, resolve(layers, check=False)
        except SettingError as wrong:
            found = [each.variable for each in (wrong, *wrong.others) if each.variable in layers.remembered]
            if not found:
                raise
            for name in found:
                layers = layers.without_remembered(name)


def _parse(name: str, text: str) -> Any:
    declared = OPTIONS[name]
    if declared.is_path:
        return declared.rule(name, rules.plain_path(name, text))
    return declared.rule(name, rules.plain(name, text, allowed=declared.may_hold))


# --- what is remembered, and what cannot change


def to_remember(layers: Layers, config: Config) -> dict[str, str]:
    """What settings.env in the bucket is to hold after this run: what was set, and some values as they resolved."""
    if config.kube_use_existing_master:
        return layers.user_set()
    resolved = {name: config.text(name) for name, it in OPTIONS.items() if it.remembered == "as resolved"}
    return layers.user_set() | {name: text for name, text in resolved.items() if text}


def set_before(layers: Layers) -> list[str]:
    """The options that are remembered because somebody set them: not what a run has found out or computed by itself.

    What is remembered as resolved, or to stay as it was computed, counts where its value is another than would be
    computed, or is the default, today.
    """
    kept = {
        name: text
        for name, text in layers.remembered.items()
        if OPTIONS[name].remembered == "if set" and name not in sizes.LADDERS
    }
    by_itself = resolve(replace(layers, remembered=kept), check=False)
    for name in (name for name in OPTIONS if name in layers.remembered and name not in kept):
        if by_itself.text(name) not in ("", layers.remembered[name]):  # '' is what AWS is asked for, such as an image
            kept[name] = layers.remembered[name]
            by_itself = resolve(replace(layers, remembered=kept), check=False)
    return [name for name in layers.defaults if name in kept and layers.source(name) == "remembered"]


def with_sizes(layers: Layers) -> Layers:
    """The layers of a cluster that is there: a size that nobody chose stays what it was computed to be.

    Else NUM_NODES alone would stop the master, or replace all minions. A size that is asked for as empty is computed.
    """
    if not layers.remembered or layers.value("KUBE_USE_EXISTING_MASTER").lower() == "true":
        return layers
    kept = {name: size for name, size in sizes_before(layers).items() if layers.asked(name) is None}
    return layers.with_remembered({**layers.remembered, **kept})


def sizes_before(layers: Layers) -> dict[str, str]:
    """The sizes that are remembered of a cluster, or that were computed of the NUM_NODES that is."""
    was, default = layers.remembered.get("NUM_NODES", ""), layers.defaults["NUM_NODES"]
    nodes = int(was if was.isdecimal() else default)  # what is wrong in memory is said by whoever resolves it
    return {name: layers.remembered.get(name) or size(nodes) for name, size in sizes.LADDERS.items()}


def refuse_changes(layers: Layers, *, has_master: bool, moves: bool = False) -> None:
    """SettingError when environment or file ask for another value than the cluster has of what cannot change in place.

    What it has is what is remembered of it, and the defaults of the rest; of a cluster that is not there yet nothing is
    refused, and of one that `moves` neither its zone nor its subnet.
    """
    if not layers.remembered:
        return
    another_group = layers.value("KUBE_USE_EXISTING_MASTER").lower() == "true"
    config, wrong = resolve(layers, check=False), list[SettingError]()
    for name, declared in OPTIONS.items():
        fixed = declared.fixed
        if fixed is None or not (fixed.from_the_start or has_master):
            continue
        if (another_group and fixed.but_in_another_group) or (moves and fixed.but_in_another_zone):
            continue
        wanted, was = config.text(name), layers.remembered.get(name, layers.defaults[name])
        if layers.asked(name) is not None and wanted not in ("", was):
            problem = f"the cluster has {was or 'its own'}, and it cannot become {rules.shown(wanted)}"
            wrong.append(SettingError(name, problem, fixed.instead))
    raise_all([*wrong, *(_of_one_group_alone(layers) if another_group else _grown_smaller(layers))])


def _of_one_group_alone(layers: Layers) -> list[SettingError]:
    """What a run about one more group may not set: it remembers nothing, so nothing would ever take it back."""
    wrong = list[SettingError]()
    for name in (name for name, it in OPTIONS.items() if it.of_all_groups):
        asked, was = layers.asked(name), layers.remembered.get(name, layers.defaults[name])
        if asked not in (None, "", was):
            problem = f"is of the whole cluster, which has {was or 'none'}, and this run is about one more group"
            right = "leave it out, or set it in a run without KUBE_USE_EXISTING_MASTER first"
            wrong.append(SettingError(name, problem, right))
    return wrong


def of_this_group(layers: Layers) -> list[str]:
    """What a run about one more group is asked for and the cluster has not: it counts now and is not remembered."""
    asked = {name: layers.asked(name) for name, it in OPTIONS.items() if it.remembered != "never"}
    return [n for n, text in asked.items() if text is not None and text != layers.remembered.get(n, layers.defaults[n])]


def _grown_smaller(layers: Layers) -> list[SettingError]:
    wrong = list[SettingError]()
    for name, why in ((name, it.only_grows) for name, it in OPTIONS.items() if it.only_grows):
        asked, was = layers.asked(name) or "", layers.remembered.get(name, "")
        if asked.isdecimal() and was.isdecimal() and int(asked) < int(was):
            wrong.append(SettingError(name, why.format(was=was), f"give {was} or more"))
    return wrong


def option_names() -> tuple[str, ...]:
    """The names of all options, as Config has them."""
    return tuple(OPTIONS)
