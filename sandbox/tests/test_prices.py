"""The sandbox's Price List: AWS's documents, published figures, and nothing that was made up."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Box
from helpers import must

from lib.settings.sizes import LADDERS
from sandbox.backend import prices


def ask(box: Box, service: str, **more: Any) -> dict[str, Any]:
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": more.pop(field)} for field in list(more) if field[0].islower()
    ]
    return box.client("pricing", "us-east-1").get_products(ServiceCode=service, Filters=filters, **more)  # type: ignore[no-any-return]


def test_the_dry_run_and_the_run_say_what_the_default_cluster_costs(sandbox: Box) -> None:
    # 0.0416 + 4 x 0.0208 + 5 x 0.005 + 156 GiB x 0.08 / 730
    amount = "about 0.167 USD an hour, 121.83 a month"
    made_of = "1 t3.medium, 4 t3.small, 156 GiB gp3, 5 public addresses"
    assert f"price    {amount}\n           {made_of}" in sandbox.up("--dry-run", NUM_NODES=4).out
    assert f"price   {amount}: {made_of}" in must(sandbox.up(NUM_NODES=4)).out


def test_the_first_recipe_has_a_price(sandbox: Box) -> None:
    # 0.0384 + 4 x 0.0192 + 5 x 0.005 + 156 GiB x 0.0952 / 730
    where = {"KUBE_AWS_ZONE": "eu-central-1a", "NUM_NODES": 4}
    said = sandbox.up("--dry-run", **where, MASTER_SIZE="t4g.medium", NODE_SIZE="t4g.small").out
    assert "price    about 0.161 USD an hour, 117.20 a month" in said


@pytest.mark.parametrize("region", ["us-west-2", "eu-central-1"])
def test_what_a_cluster_is_made_of_unasked_and_what_recipes_name_has_a_price(region: str) -> None:
    here = [attributes for _, attributes, _ in prices.products() if attributes["regionCode"] == region]
    unasked = {ladder(nodes) for ladder in LADDERS.values() for nodes in range(1, 1000)}
    recipes = (prices.LIST.parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    named = set(re.findall(r"_SIZE=([a-z0-9]+\.[a-z0-9]+)", recipes))
    assert "g4dn.xlarge" in named
    assert unasked | named <= {attributes.get("instanceType") for attributes in here}


def test_what_is_not_in_the_list_has_no_price(sandbox: Box) -> None:
    said = sandbox.up("--dry-run", NODE_SIZE="m5d.24xlarge").out
    assert "price    not known (the Price List does not say it of 2 m5d.24xlarge)" in said


def test_a_product_is_written_as_aws_writes_it(sandbox: Box) -> None:
    (text,) = ask(sandbox, "AmazonEC2", instanceType="t3.small", regionCode="us-west-2", operatingSystem="Linux")[
        "PriceList"
    ]
    product = json.loads(text)
    assert product["serviceCode"] == "AmazonEC2"
    assert product["product"]["productFamily"] == "Compute Instance"
    sku = product["product"]["sku"]
    ((code, term),) = product["terms"]["OnDemand"].items()
    ((rate, price),) = term["priceDimensions"].items()
    assert (code.split(".")[0], rate.rpartition(".")[0], price["rateCode"]) == (sku, code, rate)
    assert (price["unit"], price["pricePerUnit"]) == ("Hrs", {"USD": "0.0208000000"})


def test_a_list_comes_in_pages_and_a_token_of_nowhere_is_refused(sandbox: Box) -> None:
    here = {"regionCode": "us-west-2"}
    first = ask(sandbox, "AmazonVPC", **here, MaxResults=1)
    second = ask(sandbox, "AmazonVPC", **here, MaxResults=1, NextToken=first["NextToken"])
    usages = [json.loads(page["PriceList"][0])["product"]["attributes"]["usagetype"] for page in (first, second)]
    assert usages == ["USW2-PublicIPv4:InUseAddress", "USW2-PublicIPv4:IdleAddress"]
    assert "NextToken" not in second
    with pytest.raises(ClientError, match="InvalidNextTokenException"):
        ask(sandbox, "AmazonVPC", NextToken="nowhere")


def test_the_file_says_where_its_figures_are_from() -> None:
    text = prices.LIST.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "read 27 November 2026" in text
    assert len({usage for _, attributes, _ in prices.products() if (usage := attributes["usagetype"])}) == len(
        prices.products()
    )
