"""AWS's Price List: documents in its shape, with the published figures of prices.csv, for what a cluster consists of.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from sandbox.calls import Call, Refusal
from sandbox.world import World

LIST = Path(__file__).with_name("prices.csv")
PAGE = 100  # products, if nobody asks for fewer
_ON_DEMAND, _HOURLY = "JRTCKXETXF", "6YS6EN2CT7"  # AWS's codes for "no commitment" and "by the unit"
_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "operation": "RunInstances",
}


def get_products(_world: World, call: Call) -> dict[str, Any]:
    """The products of a service that fit all filters, a page of them."""
    wanted = [(each["Field"], each["Value"]) for each in call.params.get("Filters", [])]
    found = [
        document
        for service, attributes, document in products()
        if service == call.params["ServiceCode"] and all(attributes.get(field) == value for field, value in wanted)
    ]
    size, token = int(call.params.get("MaxResults") or PAGE), str(call.params.get("NextToken") or "0")
    if not token.isdecimal():
        raise Refusal(
            "InvalidNextTokenException", "The pagination token is invalid. Try again without a pagination token."
        )
    start = int(token)
    more = {"NextToken": str(start + size)} if len(found) > start + size else {}
    return {"FormatVersion": "aws_v1", "PriceList": found[start : start + size], **more}


@functools.cache
def products() -> list[tuple[str, dict[str, str], str]]:
    """Each product: its service, what filters look at, and its document."""
    with LIST.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return [_product(**row) for row in rows]


def _product(kind: str, name: str, region: str, usage: str, usd: str) -> tuple[str, dict[str, str], str]:
    service, unit = ("AmazonVPC", "Hrs") if kind == "address" else ("AmazonEC2", "GB-Mo" if kind == "disk" else "Hrs")
    family = {"instance": "Compute Instance", "disk": "Storage", "address": ""}[kind]
    attributes = {"servicecode": service, "regionCode": region, "locationType": "AWS Region", "usagetype": usage} | {
        "instance": {"instanceType": name, **_LINUX},
        "disk": {"volumeApiName": name},
        "address": {"group": name},
    }[kind]
    sku = hashlib.sha256(usage.encode()).hexdigest()[:16].upper()
    term, dimension = f"{sku}.{_ON_DEMAND}", f"{sku}.{_ON_DEMAND}.{_HOURLY}"
    price = {
        "rateCode": dimension,
        "unit": unit,
        "beginRange": "0",
        "endRange": "Inf",
        "appliesTo": [],
        "pricePerUnit": {"USD": f"{float(usd):.10f}"},
    }
    named = {"productFamily": family} if family else {}
    document = {
        "product": {"sku": sku, **named, "attributes": attributes},
        "serviceCode": service,
        "terms": {"OnDemand": {term: {"sku": sku, "offerTermCode": _ON_DEMAND, "priceDimensions": {dimension: price}}}},
    }
    return service, attributes | named, json.dumps(document)
