"""The master instance: replaceable, since its address, disk and CA are kept elsewhere (the original's start-master)."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.aws import keys, objects
from lib.aws.changes import Planned, became, one
from lib.aws.client import Aws
from lib.aws.errors import ErrorKind, classify, error_code
from lib.aws.instances import ALIVE, RUNNING, describe_instances
from lib.aws.tags import API_NAME_TAG, cluster_tags, find_borne, find_ours, is_ours, tag_specification, tags_of
from lib.checks import fate
from lib.checks.situation import Fate, Instance, Refuse, Situation, tell
from lib.cluster import Cluster, Master
from lib.disk import VERSION_TAG
from lib.node import kubeenv, userdata
from lib.run.errors import Known, KubeError
from lib.settings import sizes

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from lib.images import Image
    from lib.settings.config import Config

USER_DATA_TAG = "KubernetesUserData"  # on the master's instance: what it was made from
DISK_TAG = "KubernetesMasterDisk"  # and for which disk: it knows no other
METADATA = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"}
# What RunInstances answers while a profile made a moment ago is not yet seen everywhere. AWS has no code for it.
_PROFILE_LATE = "iaminstanceprofile"
_IN_USE = ("InvalidNetworkInterface.InUse", "InvalidInterface.InUse")


def find_master(aws: Aws, config: Config) -> InstanceTypeDef | None:
    """The master in any state but terminated, None if there is none. Raises Ambiguous for two."""
    name, describe = config.master_name, functools.partial(_describe, aws)
    found = find_ours("master", describe, config.cluster_id, _id, name=name, role=name)
    staying = [i for i in found if i["State"]["Name"] != "shutting-down"]
    return one("master", staying or found[:1], _id)


def _describe(aws: Aws, filters: list[Any]) -> list[InstanceTypeDef]:
    return describe_instances(aws, filters, states=ALIVE)


def _id(instance: InstanceTypeDef) -> str:
    return instance["InstanceId"]


def living_master(aws: Aws, config: Config) -> InstanceTypeDef | None:
    """The master, but for one that is on its way out. Raises Ambiguous for two."""
    master = find_master(aws, config)
    return None if master is None or master["State"]["Name"] == "shutting-down" else master


def use_existing_master(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the master that KUBE_USE_EXISTING_MASTER means: found, not made.

    Raises KubeError where its interface, which lib/plan.py has seen, has no instance.
    """
    interface: Mapping[str, Any] = cluster.found.interface or {}
    aws.console.found(f"interface {interface['NetworkInterfaceId']} {interface['PrivateIpAddress']}")
    attached = interface.get("Attachment", {}).get("InstanceId", "")
    if not attached:
        raise KubeError(
            f"the master of cluster {cluster.config.cluster_id} is not there, only its address",
            hint=f"bring it back first: KUBE_AWS_ZONE={interface['AvailabilityZone']} python kube_up.py; "
            "where that zone is lost: docs/recovery.md, A zone is lost",
        )
    cluster = cluster.having(Cluster.public_ip, cluster.found.public_ip)
    found = _instance(aws, attached)
    made = Master(attached, runs=False, key_name=found.get("KeyName", ""), name=_name_of(cluster.config, found))
    return cluster.having(Cluster.master, made)


def root_disk(image: Image, *, size: int, kind: str) -> list[dict[str, Any]]:
    """Block device mapping of the root disk: encrypted, and gone with its instance."""
    ebs = {"VolumeSize": size, "VolumeType": kind, "Encrypted": True, "DeleteOnTermination": True}
    wanted = sizes.iops(kind, size)
    return [{"DeviceName": image.root_device, "Ebs": ebs | ({"Iops": wanted} if wanted else {})}]


def master_settings(aws: Aws, cluster: Cluster) -> dict[str, str]:
    """The master's settings, but for its addons and downloads."""
    return kubeenv.master_env(
        aws,
        cluster.config,
        cluster.facts,
        public_ip=cluster.public_ip,
        disk_id=cluster.disk_id,
        restore=cluster.restore,
    )


def master_user_data(aws: Aws, cluster: Cluster, **more: str) -> bytes:
    """What a master boots from; `more` are settings of one that AWS makes by itself. Raises UserDataTooLarge."""
    addons, downloads = {"ADDONS": cluster.addons}, cluster.downloads(cluster.images.master)
    return userdata.render("master", master_settings(aws, cluster) | addons | downloads | more)


def launch_data(aws: Aws, cluster: Cluster, **more: str) -> dict[str, Any]:
    """What a master is launched from, as launch templates take it. It attaches the disk itself.

    `more` is as in `master_user_data`; by its tags a master that has it is one that a run made.
    """
    config, image = cluster.config, cluster.images.master
    made_from = _made_from(config, cluster.disk_id, master_user_data(aws, cluster))
    return {
        "ImageId": image.image_id,
        "InstanceType": config.master_size,
        "KeyName": cluster.key_name,
        "IamInstanceProfile": {"Name": cluster.profiles["master"]},
        "NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": cluster.interface_id}],
        "BlockDeviceMappings": root_disk(image, size=config.master_root_disk_size, kind=config.master_root_disk_type),
        "MetadataOptions": METADATA,
        "DisableApiTermination": True,
        "UserData": base64.b64encode(master_user_data(aws, cluster, **more)).decode(),
        "TagSpecifications": [
            *tag_specification("instance", master_tags(config) | made_from),
            *tag_specification("volume", {"Name": f"{config.master_name}-root", **cluster_tags(config)}),
        ],
    }


def as_instance(found: InstanceTypeDef) -> Instance:
    """What of it counts for a decision."""
    tags = tags_of(found)
    return Instance(
        found["InstanceId"],
        state=found["State"]["Name"],
        size=found["InstanceType"],
        version=tags.get(VERSION_TAG, ""),
        disk_id=tags.get(DISK_TAG, ""),
    )


def ensure_master(aws: Aws, cluster: Cluster) -> Cluster:
    """The cluster with the master's instance, started or made on its interface. Does not wait until it runs.

    What becomes of the one that is there lib/checks/fate.py says. Raises KubeError.
    """
    no_snapshots = objects.why_no_snapshots(cluster.config, cluster.bucket)
    known = dataclasses.replace(cluster.situation, no_snapshots=no_snapshots)
    return cluster.having(Cluster.master, _ensure(aws, cluster.config, known, data=launch_data(aws, cluster)))


def _ensure(aws: Aws, config: Config, known: Situation, *, data: Mapping[str, Any]) -> Master:
    wanted = tags_of(data["TagSpecifications"][0])
    found = find_master(aws, config)
    leaving = ("shutting-down",) if aws.dry_run else ("shutting-down", "stopping")  # what stops will be there
    if found and found["State"]["Name"] in leaving:
        found = _wait_settled(aws, config, found["InstanceId"])
    decided = fate.decide(known, as_instance(found) if found else None, disk_id=wanted[DISK_TAG])
    if isinstance(decided, Refuse):
        raise decided.error
    tell(aws.console, decided.said)
    if found and decided.away and found["State"]["Name"] in RUNNING:
        aws.away = f"away for minutes, while master {found['InstanceId']} {decided.away}; pods run on"
    if decided.ends:
        with aws.as_one("replace"):
            if found:
                _end(aws, config, found["InstanceId"])
            return _new(aws, config, data)
    if found is None:
        return _new(aws, config, data)
    runs = _repair(aws, config, found, decided, wanted=wanted, profile=data["IamInstanceProfile"]["Name"])
    same = tags_of(found).get(USER_DATA_TAG) == wanted[USER_DATA_TAG]
    name = config.kube_api_dns_name if same else _name_of(config, found)
    return Master(found["InstanceId"], runs=runs, key_name=found.get("KeyName", ""), name=name)


def _new(aws: Aws, config: Config, data: Mapping[str, Any]) -> Master:
    made = _make_master(aws, config, data)
    return Master(made, runs=False, key_name=data["KeyName"], name=config.kube_api_dns_name)


def _name_of(config: Config, found: Mapping[str, Any]) -> str:
    """KUBE_API_DNS_NAME where the master's tags say that it was made with it, else ''."""
    return config.kube_api_dns_name if tags_of(found).get(API_NAME_TAG) == config.kube_api_dns_name else ""


def _made_from(config: Config, disk_id: str, user_data: bytes) -> dict[str, str]:
    return {
        USER_DATA_TAG: hashlib.sha256(user_data).hexdigest()[:32],
        VERSION_TAG: config.kubernetes_version,
        DISK_TAG: disk_id,
        **({API_NAME_TAG: config.kube_api_dns_name} if config.kube_api_dns_name else {}),
    }


def _repair(
    aws: Aws, config: Config, found: InstanceTypeDef, decided: Fate, *, wanted: Mapping[str, str], profile: str
) -> bool:
    """Give the master its tags, its size, and have it started; whether it runs already.

    `wanted` are the tags of one that is made now, `profile` is its instance profile. The tags that say what it was
    made from are no older one's.
    """
    instance_id, state, size = found["InstanceId"], found["State"]["Name"], found["InstanceType"]
    aws.console.found(f"master {instance_id} {size} ({state})")
    same = tags_of(found).get(USER_DATA_TAG) == wanted[USER_DATA_TAG]
    aws.repair_tags(instance_id, tags_of(found), wanted if same else master_tags(config))
    _repair_protection(aws, instance_id)
    _repair_root_disk(aws, found)
    _warn_of_drift(aws, found, disk_id=wanted[DISK_TAG], profile=profile)
    if config.kube_master_self_heal and state in ("stopping", "stopped"):
        aws.console.say("a stopped master keeps its interface, so KUBE_MASTER_SELF_HEAL makes no other in its place")
    with aws.as_one("change"):
        if decided.what == "resize":
            _resize(aws, config, found, decided)
        if decided.what == "resize" or state in ("stopping", "stopped"):
            aws.change("start", f"master {instance_id}", lambda: aws.ec2.start_instances(InstanceIds=[instance_id]))
    if not same:
        aws.console.differs(
            f"the master was made with other settings, and keeps them until it is made again: "
            f"KUBE_REPLACE_MASTER={instance_id} python kube_up.py"
        )
    return state == "running" and decided.what != "resize"


def _repair_protection(aws: Aws, instance_id: str) -> None:
    """Protect the master from termination again, where somebody, or a run that was stopped, took that off."""
    answer = aws.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiTermination")
    if not answer["DisableApiTermination"].get("Value"):
        aws.change(
            "protect",
            f"{instance_id} from termination",
            lambda: aws.ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": True}),
        )


def _repair_root_disk(aws: Aws, found: InstanceTypeDef) -> None:
    """Have the root disk go with its instance again, where somebody wanted it to stay: it would be nobody's then."""
    instance_id, device = found["InstanceId"], found.get("RootDeviceName", "")
    disks = [each["Ebs"] for each in found.get("BlockDeviceMappings", []) if each["DeviceName"] == device]
    if any(not disk.get("DeleteOnTermination", True) for disk in disks):
        mapping: Any = {"DeviceName": device, "Ebs": {"DeleteOnTermination": True}}
        aws.change(
            "set",
            f"{instance_id}: its root disk stays → goes with it",
            lambda: aws.ec2.modify_instance_attribute(InstanceId=instance_id, BlockDeviceMappings=[mapping]),
        )


def _warn_of_drift(aws: Aws, found: InstanceTypeDef, *, disk_id: str, profile: str) -> None:
    """Say what somebody changed of a living master that no call of ours puts back without harm."""
    instance_id = found["InstanceId"]
    disks = [mapping["Ebs"]["VolumeId"] for mapping in found.get("BlockDeviceMappings", []) if "Ebs" in mapping]
    if disk_id not in disks and not isinstance(disk_id, Planned) and found["State"]["Name"] == "running":
        aws.console.differs(
            f"the master's disk {disk_id} is not in {instance_id}, which attaches it when it boots: where it runs for "
            f"minutes, aws ec2 reboot-instances --region {aws.region} --instance-ids {instance_id} has it back"
        )
    options: Mapping[str, Any] = found.get("MetadataOptions") or METADATA
    changed = [became(key, options.get(key), value) for key, value in METADATA.items() if options.get(key) != value]
    if changed:
        aws.console.differs(
            f"{instance_id}'s metadata options were changed ({', '.join(changed)} as it was made): "
            f"KUBE_REPLACE_MASTER={instance_id} makes one that has them, or aws ec2 modify-instance-metadata-options"
        )

    has = found.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2]
    if has != profile:
        aws.console.differs(
            f"{instance_id} has {f'the instance profile {has}' if has else 'no instance profile'}, not {profile}: "
            f"KUBE_REPLACE_MASTER={instance_id} makes one that has it, or aws ec2 "
            f"{'replace' if has else 'associate'}-iam-instance-profile{'-association' if has else ''}"
        )


def _resize(aws: Aws, config: Config, found: InstanceTypeDef, decided: Fate) -> None:
    """Stop the master and give it the size that MASTER_SIZE asks for; EC2 changes it of a stopped instance only."""
    instance_id = found["InstanceId"]
    if found["State"]["Name"] != "stopped":
        words = f"master {instance_id}, to change its size"
        aws.change("stop", words, lambda: aws.ec2.stop_instances(InstanceIds=[instance_id]))
        _wait_settled(aws, config, instance_id)
    kind: Any = {"Value": decided.becomes}
    aws.change(
        "set",
        f"master {instance_id}: size {decided.was} → {decided.becomes}",
        lambda: aws.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType=kind),
        retry_on=["IncorrectInstanceState"],
    )


def ensure_stopped(aws: Aws, config: Config, found: InstanceTypeDef) -> None:
    """Stop the master, and return once it is stopped. Raises WaitExpired."""
    instance_id, state = found["InstanceId"], found["State"]["Name"]
    if state in ("stopping", "stopped"):
        aws.console.found(f"master {instance_id} ({state})")
    else:
        aws.away = f"away until python kube_up.py starts master {instance_id}; the pods end"
        aws.change(
            "stop",
            f"master {instance_id}",
            lambda: aws.ec2.stop_instances(InstanceIds=[instance_id]),
            retry_on=["IncorrectInstanceState"],  # it is still on its way up
        )
    if state != "stopped":
        _wait_settled(aws, config, instance_id)


def end_master(aws: Aws, config: Config) -> None:
    """Terminate whatever master there is, and one that a schedule's last try has made meanwhile; wait for their end."""
    while found := find_master(aws, config):
        if found["State"]["Name"] == "shutting-down":
            _wait_settled(aws, config, found["InstanceId"])
        else:
            _end(aws, config, found["InstanceId"])


def _end(aws: Aws, config: Config, instance_id: str) -> None:
    """Terminate the master, and wait until its interface is free for the next."""
    unprotect(aws, instance_id)
    terminate_instance(aws, instance_id)
    _wait_settled(aws, config, instance_id)


def _wait_settled(aws: Aws, config: Config, instance_id: str) -> InstanceTypeDef | None:
    """The master that was on its way down once it is stopped, None once it is gone."""
    if aws.dry_run:
        return None

    def settled() -> str | None:
        state = _instance(aws, instance_id)["State"]["Name"]
        return state if state in ("stopped", "terminated") else None

    state = aws.wait(f"{instance_id} to be stopped or terminated", settled, seconds=config.kube_wait_instance_seconds)
    return find_master(aws, config) if state == "stopped" else None


def _instance(aws: Aws, instance_id: str) -> Any:
    reservations = aws.every("describe_instances", "Reservations", InstanceIds=[instance_id])
    return reservations[0]["Instances"][0]


def master_tags(config: Config) -> dict[str, str]:
    """The tags of the master instance."""
    return {"Name": config.master_name, "Role": config.master_name, **cluster_tags(config)}


def _make_master(aws: Aws, config: Config, data: Mapping[str, Any]) -> str:
    of_run: Any = {**data, "UserData": base64.b64decode(data["UserData"])}  # boto3 encodes RunInstances' itself
    run = functools.partial(aws.ec2.run_instances, **of_run, MinCount=1, MaxCount=1, ClientToken=aws.token())

    def create() -> str:
        try:
            return run()["Instances"][0]["InstanceId"]
        except ClientError as error:
            # The interface is the lock: another run, or AWS itself, may have brought the master back meanwhile.
            again = find_master(aws, config) if error_code(error) in _IN_USE else None
            if again is None:
                raise
            return again["InstanceId"]

    words = f"master {config.master_name} {config.master_size} at {config.master_internal_ip}"
    return aws.make(words, create, retry_if=_may_run_later)


def _may_run_later(error: BaseException) -> bool:
    """Whether RunInstances will do once AWS has caught up: with the profile, or with the interface's last instance."""
    code = error_code(error)
    if code in _IN_USE:
        return True
    return code == "InvalidParameterValue" and _PROFILE_LATE in str(error).replace(" ", "").lower()


def wait_running(aws: Aws, config: Config, instance_id: str) -> None:
    """Return once the master runs. Raises WaitExpired with what its state says."""
    last = {"state": "unknown"}

    def running() -> bool | None:
        try:
            instance = _instance(aws, instance_id)
        except aws.ec2.exceptions.ClientError as error:
            if classify(error) is not ErrorKind.NOT_FOUND:
                raise
            return None  # AWS has not yet spread word of it
        last["state"] = instance["State"]["Name"]
        last["reason"] = instance.get("StateTransitionReason", "") or instance.get("StateReason", {}).get("Message", "")
        last["code"] = instance.get("StateReason", {}).get("Code", "")
        _refuse_dead(aws, last)
        return True if last["state"] == "running" else None

    if not aws.dry_run:
        aws.wait(
            f"master {instance_id} to run",
            running,
            seconds=config.kube_wait_instance_seconds,
            progress=lambda: last["state"],
            at_end=lambda: Known(_why_not_running(aws, instance_id, last)),
        )


def _why_not_running(aws: Aws, instance_id: str, last: Mapping[str, str]) -> str:
    reason = f" ({last['reason']})" if last.get("reason") else ""
    shown = f"aws ec2 describe-instances --region {aws.region} --instance-ids {instance_id}"
    return f"it is {last['state']}{reason}: AWS takes its time; run the same command again, or look at {shown}"


def _refuse_dead(aws: Aws, last: Mapping[str, str]) -> None:
    if last["state"] in ("terminated", "shutting-down"):
        again = "run the same command again once that is mended: it makes a new one at the same address"
        raise KubeError(
            f"the master was terminated as it started: {last['reason'] or last['code'] or 'AWS gives no reason'}",
            hint=keys.key_advice(aws) if last["code"] in keys.NO_KEY else again,
        )


def own_instances(aws: Aws, config: Config) -> list[InstanceTypeDef]:
    """Every instance of the cluster's that is not terminated: master, minions of all groups, strays."""
    return [each for each in tagged_instances(aws, config) if is_ours(config.cluster_id, tags_of(each))]


def tagged_instances(aws: Aws, config: Config) -> list[InstanceTypeDef]:
    """Every instance with a tag of the cluster's that is not terminated."""
    return find_borne(functools.partial(_describe, aws), config.cluster_id, _id)


def unprotect(aws: Aws, instance_id: str) -> None:
    """Let the master be terminated, which up protects it from."""
    aws.remove(
        "end",
        f"termination protection of {instance_id}",
        lambda: aws.ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False}),
        done_on=["IncorrectInstanceState"],  # it is terminated
    )


def terminate_instance(aws: Aws, instance_id: str) -> None:
    """Terminate an instance. Does not wait for its end."""
    aws.remove("delete", instance_id, lambda: aws.ec2.terminate_instances(InstanceIds=[instance_id]))


def wait_terminated(
    aws: Aws,
    config: Config,
    *,
    seconds: float,
    staying: Collection[str],
    is_new: Callable[[InstanceTypeDef], bool],
) -> list[InstanceTypeDef]:
    """[] once none of the cluster's instances is left but those `staying`, by id; before, those that `is_new` knows.

    Of these only what is not on its way out.

    Raises WaitExpired with those that are left.
    """
    left: list[str] = []

    def gone() -> list[InstanceTypeDef] | None:
        found = [i for i in own_instances(aws, config) if i["InstanceId"] not in staying]
        left[:] = [f"{i['InstanceId']} ({i['State']['Name']})" for i in found]
        new = [i for i in found if i["State"]["Name"] != "shutting-down" and is_new(i)]
        return None if found and not new else new

    if aws.dry_run:
        return []
    return aws.wait(
        "the instances to be gone",
        gone,
        seconds=max(0, round(seconds)),
        progress=lambda: f"{len(left)} left",
        at_end=lambda: Known(f"still there: {', '.join(left[:10])}; run the same command again"),
    )
