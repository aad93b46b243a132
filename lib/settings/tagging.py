"""KUBE_EXTRA_TAGS: the tags that a person wants on all that is made, and which keys are not theirs to give.

What every service takes that is tagged here: EC2 keys of 127 and values of 255 characters, IAM no two keys that differ
in upper and lower case alone, EventBridge Scheduler no empty value; all of them letters, digits, spaces and + - = . _ :
/ @, of which the comma and the first = are the separators here.
https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html#id_tags_naming_best_practices
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
"""

from __future__ import annotations

import re

from lib.run.errors import SettingError
from lib.settings.rules import shown

# Of the 50 that a resource may have, volumes of claims have the most that are not a person's: eight, by EBS driver
# 1.63.1 (pkg/cloud/cloud.go, pkg/driver/constants.go); the master's interface may have more one day.
AT_MOST = 40
_LIKE = "give tags such as team=a,cost=b"
_OF_ITSELF = re.compile(
    # AWS's own; ours; and those of the controllers that run in a cluster.
    r"aws:.*|name|role|kubernetes[^/]*|kube-up/.*|([^/]+\.)?(kubernetes\.io|k8s\.io|k8s\.aws|ebs\.csi\.aws\.com)(/.*)?"
    r"|csivolume(snapshot)?name",
    re.IGNORECASE,
)


def is_of_itself(key: str) -> bool:
    """Whether AWS, this program or a controller gives a tag of that key a meaning, so that nobody else may set it."""
    return bool(_OF_ITSELF.fullmatch(key))


def extra_tags(variable: str, text: str) -> tuple[tuple[str, str], ...]:
    """Tags: key=value pairs separated by commas."""
    pairs = tuple(_tag(variable, item) for item in text.split(",") if item.strip())
    if text and not pairs:
        raise SettingError(variable, f"{shown(text)} holds no tag", _LIKE)
    if len(pairs) > AT_MOST:
        right = f"give {AT_MOST} at most: AWS takes 50 of a resource, and some are the cluster's and its controllers'"
        raise SettingError(variable, f"has {len(pairs)} tags", right)
    keys = [key.lower() for key, _ in pairs]
    twin = next((key for key, _ in pairs if keys.count(key.lower()) > 1), None)
    if twin is not None:
        right = "give it once (IAM takes keys that differ in upper and lower case for one)"
        raise SettingError(variable, f"has the key {shown(twin)} twice", right)
    return pairs


def _tag(variable: str, item: str) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in item.partition("="))
    if not equals or not value:
        raise SettingError(variable, f"{shown(item.strip())} is not key=value", _LIKE)
    if not re.fullmatch(r"[A-Za-z0-9 +._:/@-]{1,127}", key):
        right = "use 1 to 127 letters, digits, spaces and + - . _ : / @"
        raise SettingError(variable, f"{shown(key)} is not a tag's key", right)
    if not re.fullmatch(r"[A-Za-z0-9 +._:/=@-]{1,255}", value):
        right = "use 1 to 255 letters, digits, spaces and + - = . _ : / @"
        raise SettingError(variable, f"{shown(value)} is not a tag's value", right)
    if is_of_itself(key):
        right = "choose another key: this one means something to AWS, to kube_down.py or to a controller of the cluster"
        raise SettingError(variable, f"the key {shown(key)} is reserved", right)
    return key, value
