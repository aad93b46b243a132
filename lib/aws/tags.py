"""Which tags there are, what is ours, and how it is asked for: said once, for kube_up.py and kube_down.py alike.

A thing is the cluster's with either of its two tags, unless it is tagged for another cluster: nothing that is, is ever
ours, whatever else it bears or is called. `kubernetes.io/cluster/<other>=shared` is no such tag: it says that another
cluster uses a thing that it does not own.
https://cloud-provider-aws.sigs.k8s.io/prerequisites/ and pkg/providers/v1/tags.go of cloud-provider-aws
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lib.run.errors import KubeError

if TYPE_CHECKING:
    from lib.settings.config import Config

T = TypeVar("T", bound=Mapping[str, Any])
Item = TypeVar("Item")
Describe = Callable[[list[Any]], Sequence[T]]

CLUSTER = "KubernetesCluster"
PREFIX = "kubernetes.io/cluster/"
OWNED = "owned"
BUCKET_TAG = "KubernetesStagingBucket"  # on what stays of a master: where this cluster's state is
API_NAME_TAG = "KubernetesApiName"  # on the same and on the master: KUBE_API_DNS_NAME, where there is one
CA_TAG = "KubernetesCA"  # on the same: the CA that it was made with, by the hash of its public key


def of(cluster_id: str) -> dict[str, str]:
    """The two tags of all that is the cluster's; the second is what the cloud controller manager looks for."""
    return {CLUSTER: cluster_id, PREFIX + cluster_id: OWNED}


def cluster_tags(config: Config) -> dict[str, str]:
    """The tags of all that a run makes: KUBE_EXTRA_TAGS, which say nothing of whose it is, and the two that do."""
    return {**dict(config.kube_extra_tags), **of(config.cluster_id)}


def tag_words(actual: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The tags that are to be set, in a person's words: "Name=master, Role: old → new"."""
    changed = {key: value for key, value in wanted.items() if actual.get(key) != value}
    return ", ".join(f"{k}: {actual[k]} → {v}" if k in actual else f"{k}={v}" for k, v in changed.items())


def tag_list(tags: Mapping[str, str]) -> list[Any]:
    """Tags in the form that EC2, IAM and S3 take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a described resource, {} where it has none."""
    return {tag["Key"]: tag.get("Value", "") for tag in resource.get("Tags") or resource.get("TagSet") or ()}


def tag_filters(tags: Mapping[str, str]) -> list[Any]:
    """Describe filters that match resources carrying all of `tags`."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def tag_specification(resource_type: str, tags: Mapping[str, str]) -> list[Any]:
    """TagSpecifications of a create call, so that nothing is ever there without its tags."""
    return [{"ResourceType": resource_type, "Tags": tag_list(tags)}]


def bears_one(cluster_id: str, tags: Mapping[str, str]) -> bool:
    """Whether at least one of the cluster's two tags is there, whatever else is."""
    return bool(of(cluster_id).items() & tags.items())


def owners(tags: Mapping[str, str]) -> list[str]:
    """The clusters that the tags name as the owner, each once; more than one where they are in dispute."""
    owned = [key.removeprefix(PREFIX) for key, value in tags.items() if key.startswith(PREFIX) and value == OWNED]
    return [owner for owner in dict.fromkeys([tags.get(CLUSTER, ""), *owned]) if owner]


def other_owner(cluster_id: str, tags: Mapping[str, str]) -> str:
    """The other cluster that the tags name as the owner, '' for none."""
    return next((owner for owner in owners(tags) if owner != cluster_id), "")


def is_ours(cluster_id: str, tags: Mapping[str, str]) -> bool:
    """Whether it is the cluster's: by either tag, and no other cluster's by any."""
    return bears_one(cluster_id, tags) and not other_owner(cluster_id, tags)


@dataclass(frozen=True)
class Disputed:
    """What bears a tag of the cluster's and is another cluster's by its tags, in words, and whose."""

    words: str
    owner: str


def sorted_out(cluster_id: str, item: Item, words: str, tags: Mapping[str, str]) -> list[Item | Disputed]:
    """The item where it is ours, in words where it is in dispute, in a list; an empty one where it is neither."""
    owner = other_owner(cluster_id, tags)
    if not bears_one(cluster_id, tags):
        return []
    return [Disputed(words, owner)] if owner else [item]


class NotOurs(KubeError):
    """What a run needs, by its name or a tag, is another cluster's by its tags: it is neither used nor changed."""


def refuse_others(cluster_id: str, what: str, tags: Mapping[str, str], *, hint: str = "") -> None:
    """Raises NotOurs where the tags of `what` ("role x") name another cluster as its owner."""
    owner = other_owner(cluster_id, tags)
    if owner:
        both = f", and for {cluster_id} too" if bears_one(cluster_id, tags) else ""
        mend = f"if it is {cluster_id}'s all the same, take the tags of {owner} off it; if not, those of {cluster_id}"
        raise NotOurs(f"{what} is tagged for cluster {owner}{both}: this run does not touch it", hint=hint or mend)


def find_ours(
    what: str,
    describe: Describe[T],
    cluster_id: str,
    id_of: Callable[[T], str],
    *,
    name: str = "",
    role: str = "",
) -> list[T]:
    """What `describe` lists, given filters, that is ours: by its `name`, else by its `role` or the tags alone.

    So what someone renamed, or took a tag off, is not made a second time. Asked is by the tags' keys, since filters of
    two names are both to be met: what has the right keys is then held against the values. A name or role narrows that
    down where an account can have thousands; elsewhere there are as many as there are clusters.

    Raises NotOurs for what is tagged for another cluster and yet has a tag, or with `role` the very name, of ours.
    """
    narrowed = ([{"Name": name}] if name else []) + [{"Role": role} if role else {}]
    seen: list[T] = []
    for tags in narrowed:
        found = describe([{"Name": "tag-key", "Values": list(of(cluster_id))}, *tag_filters(tags)])
        ours = [each for each in found if is_ours(cluster_id, tags_of(each))]
        if ours:
            return ours
        seen += found
    for each in seen:
        if role or bears_one(cluster_id, tags_of(each)):
            refuse_others(cluster_id, f"{what} {id_of(each)}", tags_of(each))
    return []


def find_borne(describe: Describe[T], cluster_id: str, id_of: Callable[[T], str]) -> list[T]:
    """All that bears one of the cluster's tags, what is tagged for another cluster too among it.

    Each tag is asked for by itself: an account may have thousands of other clusters' disks and machines.
    """
    found: dict[str, T] = {}
    for key, value in of(cluster_id).items():
        listed = describe(tag_filters({key: value}))
        found |= {id_of(each): each for each in listed if bears_one(cluster_id, tags_of(each))}
    return list(found.values())
