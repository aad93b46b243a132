"""What is refused to down: said at once, with what to do; nothing waits for it, and the rest goes."""

from __future__ import annotations

import os
import signal

import pytest
from conftest import REGION, Box
from helpers import (
    GROUP,
    ID,
    answer_with,
    kubeconfig,
    master_of,
    must,
    named,
    only,
    part,
    refused,
    settle,
    stop_after,
    tagged,
)

from sandbox import faults
from sandbox.faults.denials import Deny


def test_an_instance_that_may_not_be_ended_is_not_waited_for(sandbox: Box) -> None:
    sandbox.cluster()
    master, start = master_of(sandbox), sandbox.clock.now
    faults.put(sandbox.aws, Deny("ec2:TerminateInstances"))
    result = sandbox.down()
    refused(result, 1, f"instance {master}")
    assert sandbox.clock.now - start < 30
    lines = result.err.splitlines()
    assert "TerminateInstances" in lines[0]  # before all that follows from it
    for held in (only(part(sandbox, "interfaces")), named(sandbox, "volumes", f"{ID}-master-pd")):
        assert any(held in line and f"{master} has it and stays" in line for line in lines), held
    assert set(sandbox.inventory()[REGION]) >= {"instances", "interfaces", "volumes"}
    assert "s3" not in sandbox.inventory()
    assert not part(sandbox, "groups")


def test_a_minion_that_somebody_took_out_of_its_group_and_protected_is_named(sandbox: Box) -> None:
    sandbox.cluster()
    minion = next(key for key in part(sandbox, "instances") if key != master_of(sandbox))
    sandbox.client("ec2").modify_instance_attribute(InstanceId=minion, DisableApiTermination={"Value": True})
    sandbox.client("autoscaling").detach_instances(
        AutoScalingGroupName=GROUP, InstanceIds=[minion], ShouldDecrementDesiredCapacity=False
    )
    sandbox.client("ec2").delete_tags(Resources=[minion], Tags=[{"Key": "aws:autoscaling:groupName"}])
    start = sandbox.clock.now
    result = sandbox.down()
    refused(result, 1, f"instance {minion}")
    assert f"--no-disable-api-termination --instance-id {minion} takes" in result.err
    assert sandbox.clock.now - start < 30
    assert list(part(sandbox, "instances")) == [minion]
    sandbox.client("ec2").modify_instance_attribute(InstanceId=minion, DisableApiTermination={"Value": False})
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_load_balancer_under_deletion_protection_is_told_with_its_own_command(sandbox: Box) -> None:
    sandbox.cluster()
    elb = sandbox.client("elbv2")
    arn = elb.create_load_balancer(
        Name="web", Type="network", Subnets=[only(part(sandbox, "subnets"))], Tags=tagged("x")[0]["Tags"]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    key = "deletion_protection.enabled"
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": "true"}])
    result = sandbox.down()
    refused(result, 1, "load balancer web")
    command = f"aws elbv2 modify-load-balancer-attributes --load-balancer-arn {arn} --attributes Key={key},Value=false"
    assert command in result.err
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": "false"}])
    must(sandbox.down())
    assert sandbox.inventory() == {}


@pytest.mark.parametrize("run", [1, 2])
def test_a_disk_that_somebody_elses_instance_has_is_not_waited_for(sandbox: Box, run: int) -> None:
    """On the second run no instance of the cluster's is left to be ended, which is no reason to wait for another's."""
    sandbox.cluster()
    ec2, master = sandbox.client("ec2"), master_of(sandbox)
    disk = named(sandbox, "volumes", f"{ID}-master-pd")
    image = ec2.describe_instances(InstanceIds=[master])["Reservations"][0]["Instances"][0]["ImageId"]
    ec2.modify_instance_attribute(InstanceId=master, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[master])
    settle(sandbox)
    subnet = ec2.describe_subnets(
        Filters=[
            {"Name": "default-for-az", "Values": ["true"]},
            {"Name": "availability-zone", "Values": [f"{REGION}a"]},
        ]
    )["Subnets"][0]["SubnetId"]
    other = ec2.run_instances(ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=subnet)
    theirs = other["Instances"][0]["InstanceId"]
    settle(sandbox)
    ec2.attach_volume(VolumeId=disk, InstanceId=theirs, Device="/dev/sdf")
    for _ in range(run - 1):
        sandbox.down()
    start = sandbox.clock.now
    result = sandbox.down()
    refused(result, 1, f"left of cluster {ID}: disk {disk}")
    assert f"{disk} cannot go: {theirs} has it and stays" in result.err
    assert f"aws ec2 detach-volume --volume-id {disk}" in result.err
    assert sandbox.clock.now - start < 60
    ec2.detach_volume(VolumeId=disk, InstanceId=theirs)
    must(sandbox.down())


def test_a_group_that_may_not_be_deleted_and_its_minions_are_not_waited_for(sandbox: Box) -> None:
    sandbox.cluster()
    start = sandbox.clock.now
    faults.put(sandbox.aws, Deny("autoscaling:DeleteAutoScalingGroup"))
    result = sandbox.down()
    refused(result, 1, GROUP)
    assert sandbox.clock.now - start < 30
    assert len(part(sandbox, "instances")) == 2
    sandbox.aws.hooks.before.clear()
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_load_balancer_that_may_not_be_deleted_keeps_its_target_group_unasked_for_long(sandbox: Box) -> None:
    sandbox.cluster()
    elb, labels = sandbox.client("elbv2"), tagged("x")[0]["Tags"]
    subnet, vpc = only(part(sandbox, "subnets")), only(part(sandbox, "vpcs"))
    balancer = elb.create_load_balancer(Name="a2", Type="network", Subnets=[subnet], Tags=labels)["LoadBalancers"][0]
    elb.create_target_group(Name="a2", Protocol="TCP", Port=80, VpcId=vpc, Tags=labels)
    interface = sandbox.client("ec2").create_network_interface(
        SubnetId=subnet, Description=f"ELB net/{balancer['LoadBalancerName']}/0123456789abcdef"
    )["NetworkInterface"]["NetworkInterfaceId"]
    faults.put(sandbox.aws, Deny("elasticloadbalancing:DeleteLoadBalancer"))
    answer_with(sandbox, "elbv2:DeleteTargetGroup", "ResourceInUse", "Target group is currently in use by a listener")
    start = sandbox.clock.now
    result = sandbox.down()
    refused(result, 1, "load balancer a2", "target group")
    assert f"interface {interface} (a load balancer: ELB net/a2/" in result.err
    assert sandbox.clock.now - start < 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_down_says_what_it_removed_and_what_is_left(sandbox: Box, number: signal.Signals) -> None:
    sandbox.cluster()
    subnet, vpc = only(part(sandbox, "subnets")), only(part(sandbox, "vpcs"))
    disk = named(sandbox, "volumes", f"{ID}-master-pd")
    before = signal.getsignal(signal.SIGINT)
    stop_after(sandbox, "ec2:DeleteSubnet", number)
    result = sandbox.down()
    signal.signal(signal.SIGINT, before)
    said = refused(result, 128 + number, "stopped by", "again removes the rest")
    removed, left = said.split("in this run: ")[1].split(". Left: ")
    assert f"group {GROUP}, " in removed
    assert disk in removed
    assert f"VPC {vpc}" in left
    assert "role kubernetes-master-" in left
    assert "bucket " in left
    assert f"subnet {subnet}" in left  # its answer had not come yet
    assert "instance i-" not in left
    assert GROUP not in left.replace(f"launch template {GROUP}", "")
    sandbox.aws.hooks.after.clear()
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_a_closed_output_ends_down_as_it_ends_up(sandbox: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.cluster()
    from lib.run.console import Console
    from lib.run.errors import OutputLost

    said: list[str] = []
    doing = Console.doing

    def lose(self: Console, verb: str, words: str) -> None:
        said.append(words)
        if len(said) == 3:
            raise OutputLost(BrokenPipeError(32, os.strerror(32)))
        doing(self, verb, words)

    monkeypatch.setattr(Console, "doing", lose)
    result = sandbox.down()
    assert len(said) == 3, "it went on although nobody hears it"
    refused(result, 1, "standard output: Broken pipe", "Removed, or told to go", "again removes the rest")
    monkeypatch.undo()
    must(sandbox.down())
    assert sandbox.inventory() == {}


def test_up_does_not_wait_for_a_group_that_may_not_launch(sandbox: Box) -> None:
    sandbox.cluster()
    sandbox.client("autoscaling").suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])
    start = sandbox.clock.now
    result = sandbox.up(NUM_NODES=3)
    refused(result, 1, "has 2 of 3 minions", "suspended from Launch", "resume-processes", "again")
    assert sandbox.clock.now - start < 30
    sandbox.client("autoscaling").resume_processes(AutoScalingGroupName=GROUP)
    must(sandbox.up(NUM_NODES=3))


def test_down_removes_a_suspended_group(sandbox: Box) -> None:
    sandbox.cluster()
    sandbox.client("autoscaling").suspend_processes(AutoScalingGroupName=GROUP)
    must(sandbox.down())
    assert sandbox.inventory() == {}
    assert "aws_" not in kubeconfig(sandbox).read_text()
