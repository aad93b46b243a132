"""Launch templates: the minions' group has one, and with KUBE_MASTER_SELF_HEAL the master.

A change makes a new version and keeps the old ones, by which a run knows what each instance was launched from.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.aws import tags
from lib.aws.changes import Planned
from lib.aws.client import Aws
from lib.aws.tags import cluster_tags, tag_specification, tags_of
from lib.node import userdata
from lib.settings.tagging import is_of_itself

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import LaunchTemplateTypeDef

    from lib.settings.config import Config

_PERSONAL = "KeyName"
# By which settings a person knows the parts of a version.
_SETTINGS_OF = {
    "InstanceType": "NODE_SIZE",
    "ImageId": "KUBE_NODE_IMAGE",
    "BlockDeviceMappings": "NODE_ROOT_DISK_SIZE or _TYPE",
    "InstanceMarketOptions": "NODE_SPOT_PRICE",
}
_OF_THE_GROUP = ("InstanceType", "InstanceMarketOptions")  # with NODE_SPOT_SIZES its policy says these


@dataclass(frozen=True)
class Template:
    """The launch template: `wanted` is the fingerprint of its default version, `versions` all versions that it has."""

    template_id: str
    wanted: str
    number: int
    versions: Sequence[Mapping[str, Any]] = ()

    def is_current(self, instance: Mapping[str, Any], kinds: Collection[str] = ()) -> bool:
        """Whether an instance of the group was launched from what the default version says, but for the ssh key.

        And whether it is of one of the `kinds`, where the group's policy says these and the template does not.
        """
        return self._is_of_template(instance) and (not kinds or instance["InstanceType"] in kinds)

    def _is_of_template(self, instance: Mapping[str, Any]) -> bool:
        used = instance.get("LaunchTemplate", {})
        version = self._version(str(used.get("Version", "")))
        made_from = _impersonal(version.get("VersionDescription", ""))
        return used.get("LaunchTemplateId") == self.template_id and made_from == _impersonal(self.wanted)

    @property
    def user_data(self) -> bytes:
        """What instances boot with that are launched now, b'' where no version tells it."""
        data = self._version(str(self.number)).get("LaunchTemplateData", {})
        return base64.b64decode(data.get("UserData", ""))

    def _version(self, number: str) -> Mapping[str, Any]:
        return next((v for v in self.versions if str(v["VersionNumber"]) == number), {})

    def differs(self, instance: Mapping[str, Any], data: Mapping[str, Any], kinds: Collection[str] = ()) -> str:
        """In words, what an instance was launched from and what the default version, or the `kinds`, have otherwise."""
        if self._is_of_template(instance):
            return f"{instance['InstanceType']} is not among {', '.join(kinds)}: NODE_SPOT_SIZES"
        number = str(instance.get("LaunchTemplate", {}).get("Version", "?"))
        old = self._version(number).get("LaunchTemplateData")
        names = _set_otherwise(old, data) if old is not None else []
        names += _booted_with(old.get("UserData", ""), data["UserData"]) if old is not None else []
        return f"launch template version {number} → {self.number or 'a new one'}" + (
            f": {', '.join(names)}" if names else ""
        )


def _set_otherwise(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The settings by which two versions differ."""
    keys = [key for key in _SETTINGS_OF if old.get(key) != new.get(key)]
    if ("InstanceType" in old) == ("InstanceType" in new):
        return [_SETTINGS_OF[key] for key in keys]
    return ["NODE_SPOT_SIZES", *(_SETTINGS_OF[key] for key in keys if key not in _OF_THE_GROUP)]


def _booted_with(old: str, new: str) -> list[str]:
    """What two user-data differ in, as AWS describes them."""
    try:
        return userdata.differences(base64.b64decode(old), base64.b64decode(new))
    except (ValueError, OSError, EOFError):  # somebody else's
        return ["what nodes boot with"]


def fingerprint(data: Mapping[str, Any]) -> str:
    """What a version's description says, by which a rerun knows the one that it wants. Versions never change.

    The ssh key's name stands apart, as the last word: it is each person's own, and no reason to replace a minion.
    KUBE_EXTRA_TAGS are none either, and not in it: what runs is tagged where it is.
    """
    rest = {key: value for key, value in data.items() if key != _PERSONAL}
    if "TagSpecifications" in rest:
        rest["TagSpecifications"] = [_without_extra(each) for each in rest["TagSpecifications"]]
    return f"kube-up {_hash(rest)} {_hash(data.get(_PERSONAL))}"


def _without_extra(specification: Mapping[str, Any]) -> dict[str, Any]:
    return {**specification, "Tags": [tag for tag in specification["Tags"] if is_of_itself(tag["Key"])]}


def _tags_given(data: Mapping[str, Any], *kinds: str) -> dict[str, dict[str, str]]:
    """What a version tags, by its kind, of these or of all; the order in which AWS lists it means nothing."""
    given = {each["ResourceType"]: tags_of(each) for each in data.get("TagSpecifications", [])}
    return {kind: given.get(kind, {}) for kind in kinds or given}


def _impersonal(description: str) -> str:
    """A fingerprint without its last word, the ssh key's."""
    return description.rpartition(" ")[0]


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]


def find_templates(aws: Aws, config: Config, *names: str) -> dict[str, Any]:
    """Those of the cluster's launch templates that bear these names, by name. No region has two of one name.

    Raises NotOurs for one that is tagged for another cluster.
    """
    found = _templates(aws, [{"Name": "launch-template-name", "Values": list(names)}])
    for each in found:
        words = f"launch template {each['LaunchTemplateId']} {each['LaunchTemplateName']}"
        tags.refuse_others(config.cluster_id, words, tags_of(each))
    return {each["LaunchTemplateName"]: each for each in found if tags.is_ours(config.cluster_id, tags_of(each))}


def find_current(aws: Aws, config: Config, *names: str) -> dict[str, Template]:
    """The same with what they launch now, whatever the settings say."""
    return {name: _as_it_is(aws, found) for name, found in find_templates(aws, config, *names).items()}


def _as_it_is(aws: Aws, found: Mapping[str, Any]) -> Template:
    number, versions = found["DefaultVersionNumber"], _versions(aws, found["LaunchTemplateId"])
    default = next((each for each in versions if each["VersionNumber"] == number), {})
    return Template(found["LaunchTemplateId"], str(default.get("VersionDescription", "")), number, versions)


def _templates(aws: Aws, asked: list[Any]) -> list[LaunchTemplateTypeDef]:
    return aws.every("describe_launch_templates", "LaunchTemplates", Filters=asked)


def ensure_template(
    aws: Aws, config: Config, name: str, data: dict[str, Any], *, found: Mapping[str, Any] | None
) -> Template:
    """The template whose default version is `data`; a change makes a new version and keeps the old.

    `found` is what `find_templates` has of that name.
    """
    if found is None:
        return Template(_make_template(aws, config, name, data), fingerprint(data), 1, [_as_version(1, data)])
    template_id = found["LaunchTemplateId"]
    aws.console.found(f"launch template {template_id} {name}, version {found['DefaultVersionNumber']}")
    aws.repair_tags(template_id, tags_of(found), {"Name": name, **cluster_tags(config)})
    versions, default = _versions(aws, template_id), found["DefaultVersionNumber"]
    kept = _fitting(aws, versions, default, data)
    number = kept["VersionNumber"] if kept else _make_version(aws, template_id, data)
    if number != default:
        aws.change(
            "set",
            f"launch template {template_id}: default version {default} → {number or 'the new one'}",
            lambda: aws.ec2.modify_launch_template(LaunchTemplateId=template_id, DefaultVersion=str(number)),
        )
    wanted = kept["VersionDescription"] if kept else fingerprint(data)
    return Template(template_id, wanted, number, versions if kept else [*versions, _as_version(number, data)])


def _fitting(
    aws: Aws, versions: Sequence[Mapping[str, Any]], default: int, data: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The version that says what `data` says, None where there is none: the default one if it may be, else the newest.

    One with the ssh key of another computer will do as long as EC2 has its key pair: no two computers undo each other's
    runs.
    """
    wanted, tagged = fingerprint(data), _tags_given(data)
    alike = [v for v in versions if _impersonal(v.get("VersionDescription", "")) == _impersonal(wanted)]
    # Tags beside the fingerprint: KUBE_EXTRA_TAGS are not in it, and yet a new instance is to have them.
    alike = [v for v in alike if tagged == _tags_given(v.get("LaunchTemplateData", {}), *tagged)]
    for version in sorted(alike, key=lambda v: (v["VersionNumber"] == default, v["VersionNumber"]), reverse=True):
        key = version.get("LaunchTemplateData", {}).get(_PERSONAL, "")
        if version["VersionDescription"] == wanted:
            return version
        if key and aws.every("describe_key_pairs", "KeyPairs", Filters=[{"Name": "key-name", "Values": [key]}]):
            aws.console.say(f"the template's ssh key is {key}, another computer's, and stays")
            return version
    return None


def _as_version(number: int, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A version made a moment ago, as describe calls will list it."""
    return {"VersionNumber": number, "VersionDescription": fingerprint(data), "LaunchTemplateData": data}


def _versions(aws: Aws, template_id: str) -> list[Mapping[str, Any]]:
    pages = aws.ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateId=template_id)
    found = [version for page in pages for version in page["LaunchTemplateVersions"]]
    return sorted(found, key=lambda version: version["VersionNumber"])


def _make_template(aws: Aws, config: Config, name: str, data: dict[str, Any]) -> str:
    token = aws.token()

    def create() -> str:
        answer = aws.ec2.create_launch_template(
            LaunchTemplateName=name,
            VersionDescription=fingerprint(data),
            LaunchTemplateData=data,  # type: ignore[arg-type]
            TagSpecifications=tag_specification("launch-template", {"Name": name, **cluster_tags(config)}),
            ClientToken=token,
        )
        return answer["LaunchTemplate"]["LaunchTemplateId"]

    def look() -> str | None:
        again = find_templates(aws, config, name).get(name)
        return again["LaunchTemplateId"] if again else None

    return aws.make(f"launch template {name}", create, look=look)


def _make_version(aws: Aws, template_id: str, data: dict[str, Any]) -> int:
    token = aws.token()

    def create() -> str:
        answer = aws.ec2.create_launch_template_version(
            LaunchTemplateId=template_id,
            VersionDescription=fingerprint(data),
            LaunchTemplateData=data,  # type: ignore[arg-type]
            ClientToken=token,
        )
        return str(answer["LaunchTemplateVersion"]["VersionNumber"])

    made = aws.make(f"version of {template_id}", create)
    return 0 if isinstance(made, Planned) else int(made)


def tagged_templates(aws: Aws, config: Config) -> list[LaunchTemplateTypeDef]:
    """Every launch template with a tag of the cluster's."""
    return tags.find_borne(functools.partial(_templates, aws), config.cluster_id, lambda it: it["LaunchTemplateId"])


def delete_template(aws: Aws, template: Mapping[str, Any]) -> None:
    """Remove a launch template of ours with all its versions."""
    template_id = template["LaunchTemplateId"]
    words = f"launch template {template_id} {template['LaunchTemplateName']}"
    aws.remove("delete", words, lambda: aws.ec2.delete_launch_template(LaunchTemplateId=template_id))
