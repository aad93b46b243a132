"""What the cluster costs, by AWS's own Price List, before money is spent: one line, or that the price is not known.

Never a number that AWS did not say. Three seconds are all that it may take; what was learnt is kept for a day.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.aws.errors import FAILURES, error_code
from lib.run.files import make_private_directory

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.run.console import Console
    from lib.settings.config import Config

MONTH = 730  # hours, as AWS's own calculator counts
SECONDS = 3.0
_KEPT_SECONDS = 24 * 3600
REGION = "us-east-1"  # the list is there for all regions of partition aws


@dataclass(frozen=True)
class Item:
    """A part of the cluster that is paid for: how many of what, in which unit, and how the list knows it."""

    words: str
    count: Decimal
    per: str  # "hour" or "month"
    service: str
    filters: tuple[tuple[str, str], ...]
    usage: str = ""  # what the usage type ends with, where filters let others pass

    @property
    def key(self) -> str:
        """What the price is kept under."""
        return json.dumps([self.service, self.filters])


def items(config: Config, *, stopped: bool = False) -> list[Item]:
    """What the cluster consists of by its settings: instances, disks, public addresses. Traffic and S3 come on top.

    The instance of a `stopped` master is not paid for; an address costs the same whether it is in use.
    """
    nodes = config.num_nodes
    sizes = {} if stopped else {config.master_size: 1}
    if nodes and not config.node_spot_price:
        sizes[config.node_size] = sizes.get(config.node_size, 0) + nodes
    found = [_instance(config, size, count) for size, count in sizes.items()]
    disks: dict[str, int] = {}
    for kind, size, count in (
        (config.master_disk_type, config.master_disk_size, 1),
        (config.master_root_disk_type, config.master_root_disk_size, 1),
        (config.node_root_disk_type, config.node_root_disk_size, nodes),
    ):
        disks[kind] = disks.get(kind, 0) + size * count
    found += [_disk(config, kind, size) for kind, size in disks.items() if size]
    addresses = config.kube_enable_master_public_ip + nodes * config.kube_enable_node_public_ip
    return [*found, *([_addresses(config, addresses)] if addresses else [])]


def _instance(config: Config, size: str, count: int) -> Item:
    filters = {
        "instanceType": size,
        "regionCode": config.region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return Item(f"{count} {size}", Decimal(count), "hour", "AmazonEC2", tuple(filters.items()))


def _disk(config: Config, kind: str, gib: int) -> Item:
    filters = {"productFamily": "Storage", "volumeApiName": kind, "regionCode": config.region}
    iops = " without its IOPS" if kind in ("io1", "io2") else ""
    return Item(f"{gib} GiB {kind}{iops}", Decimal(gib), "month", "AmazonEC2", tuple(filters.items()))


def _addresses(config: Config, count: int) -> Item:
    # The group has idle addresses and whole blocks too.
    filters = {"group": "VPCPublicIPv4Address", "regionCode": config.region}
    words = f"{count} public address{'es' if count > 1 else ''}"
    return Item(words, Decimal(count), "hour", "AmazonVPC", tuple(filters.items()), usage="PublicIPv4:InUseAddress")


@dataclass(frozen=True)
class Cost:
    """What a cluster costs: in USD an hour, None where `words` says that it is not known; and what that is made of."""

    words: str
    parts: str
    hour: Decimal | None = None
    spot: str = ""  # what spot instances cost beside that, in words

    @property
    def month(self) -> Decimal | None:
        """The same for a month."""
        return None if self.hour is None else self.hour * MONTH

    @property
    def amount(self) -> str:
        """How much, or why that is not known."""
        return f"about {self.words}" if self.hour is not None else self.words.removeprefix("price ")

    @property
    def document(self) -> dict[str, Any]:
        """The same for a program (docs/output.md)."""
        return {"hour": _usd(self.hour), "month": _usd(self.month), "words": self.words}

    @property
    def made_of(self) -> str:
        """What is counted, and what is not."""
        return f"{self.parts}; traffic and S3 not counted"


def cost(aws: Aws, config: Config, environ: Mapping[str, str], *, stopped: bool = False, asks: bool = True) -> Cost:
    """What the whole cluster costs, or why that is not known. Without `asks`, as far as it was learnt within a day.

    `stopped` is whether its master is.
    """
    wanted = items(config, stopped=stopped)
    parts = ", ".join(item.words for item in wanted)
    try:
        found = find_prices(aws, wanted, environ, asks=asks)
    except FAILURES as error:
        return Cost(f"price not known ({error_code(error) or 'the Price List does not answer'})", parts)
    missing = [item.words for item in wanted if item.key not in found]
    if missing:
        which = ", ".join(missing) if len(missing) < len(wanted) else "any of it"
        return Cost(f"price not known (the Price List does not say it of {which})", parts)
    hour = sum((_hourly(item, found[item.key]) for item in wanted), Decimal(0))
    spot = ""
    if config.node_spot_price and config.num_nodes:
        most = Decimal(str(config.node_spot_price)) * config.num_nodes
        spot = f", and at most {most:.3f} an hour for {config.num_nodes} spot {' or '.join(config.node_sizes)}"
    return Cost(f"{hour:.3f} USD an hour, {hour * MONTH:.2f} a month{spot}", parts, hour, spot)


def _usd(amount: Decimal | None) -> float | None:
    return None if amount is None else round(float(amount), 4)


def tell_cost(console: Console, cost: Cost, *, nor: str = "") -> None:
    """Say it in a summary; `nor` is what is not counted either."""
    console.labelled("price", cost.amount)
    console.labelled("", f"{cost.made_of}, nor {nor}" if nor else cost.made_of)


def _hourly(item: Item, price: Decimal) -> Decimal:
    return item.count * price / (MONTH if item.per == "month" else 1)


def find_prices(
    aws: Aws, wanted: Sequence[Item], environ: Mapping[str, str], *, asks: bool = True
) -> dict[str, Decimal]:
    """The price of one of each item, by its key, in USD; what the list does not say is left out. Raises FAILURES."""
    file = _file(environ)
    kept = _read(file)
    found = {item.key: Decimal(kept[item.key]) for item in wanted if item.key in kept}
    end = time.monotonic() + SECONDS  # of the computer's own clock: it is what a person waits
    for item in wanted:
        if not asks or item.key in found or time.monotonic() >= end:
            continue
        price = _ask(aws, item, end=end)
        if price is not None:
            found[item.key] = price
    _write(file, {**kept, **{key: str(price) for key, price in found.items()}})
    return found


def _ask(aws: Aws, item: Item, *, end: float) -> Decimal | None:
    """The price of one, by all pages of the answer; None where there is not just one, or no time for all pages."""
    filters: Any = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in item.filters]
    asked: dict[str, Any] = {"ServiceCode": item.service, "Filters": filters, "MaxResults": 20}
    products = []
    while (left := end - time.monotonic()) > 0:
        answer = aws.pricing(left).get_products(**asked)
        products += [json.loads(product) for product in answer["PriceList"]]
        if not answer.get("NextToken"):
            break
        asked["NextToken"] = answer["NextToken"]
    else:
        return None
    meant = [p for p in products if str(p["product"]["attributes"].get("usagetype", "")).endswith(item.usage)]
    prices = {price for product in meant for price in _on_demand(product)}
    return prices.pop() if len(prices) == 1 else None  # two prices are one too many to tell


def _on_demand(product: Mapping[str, Any]) -> list[Decimal]:
    """The prices of a product for who pays as he goes; free tiers and reservations have one of nothing."""
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    told = [d["pricePerUnit"].get("USD", "0") for term in terms for d in term["priceDimensions"].values()]
    try:
        return [price for price in map(Decimal, told) if price > 0]
    except InvalidOperation:
        return []


# --- kept for a day


def _file(environ: Mapping[str, str]) -> Path | None:
    cache = environ.get("XDG_CACHE_HOME") or (environ.get("HOME") and str(Path(environ["HOME"], ".cache")))
    return Path(cache) / "kube-up" / "prices.json" if cache else None


def _read(file: Path | None) -> dict[str, str]:
    try:
        if file is None or time.time() - file.stat().st_mtime > _KEPT_SECONDS:
            return {}
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): str(price) for key, price in kept.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(file: Path | None, prices: Mapping[str, str]) -> None:
    """Keep them, if that can be; a file that is there keeps its age, so that no price gets older than a day."""
    if file is None or not prices:
        return
    try:
        age = file.stat().st_mtime if file.exists() else time.time()
        fresh = age if time.time() - age <= _KEPT_SECONDS else time.time()
        make_private_directory(file.parent)
        handle, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            json.dump(dict(prices), new)
        os.utime(name, (fresh, fresh))
        os.replace(name, file)
    except OSError:
        return
