"""Instance metadata, version 2 only: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Callable

from sandbox.backend import cloud
from sandbox.machines.servers import Handler
from sandbox.machines.wanted import Instance

LONGEST = 21600  # seconds that a token may live
CREDENTIALS = 6 * 3600  # seconds that credentials live
TTL = "X-aws-ec2-metadata-token-ttl-seconds"

FindInstance = Callable[[str], Instance | None]


def handler(find: FindInstance) -> type[Handler]:
    """A request handler for a VPC's 169.254.169.254; `find` knows the instance by its private address."""
    tokens: dict[str, tuple[str, float]] = {}

    class Metadata(Handler):
        def do_PUT(self) -> None:  # noqa: N802
            instance, seconds = find(self.client_address[0]), self.headers.get(TTL, "")
            if instance is None or self.path != "/latest/api/token":
                self.reply(404, b"")
            elif not seconds.isdigit() or not 1 <= int(seconds) <= LONGEST:
                self.reply(400, b"")
            else:
                token = secrets.token_urlsafe(42)
                tokens[token] = (instance.id, time.monotonic() + int(seconds))
                # The answer that carries a token goes no further than the hop limit: pods are one hop behind the node.
                self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, instance.hop_limit)
                self.close_connection = True
                self.reply(200, token.encode(), {"Content-Type": "text/plain", TTL: seconds, "Connection": "close"})

        def do_GET(self) -> None:  # noqa: N802
            instance = find(self.client_address[0])
            owner, end = tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), ("", 0.0))
            if instance is None or owner != instance.id or time.monotonic() >= end:
                self.reply(401, b"")
                return
            found = answer(instance, self.path.partition("?")[0])
            self.reply(404 if found is None else 200, found or b"")

    return Metadata


def answer(instance: Instance, path: str) -> bytes | None:
    """What stands at a path; None for nothing. A path of a folder lists it."""
    if path.rstrip("/") == "/latest/user-data":
        return instance.user_data or None
    if path.startswith("/latest/dynamic/instance-identity"):
        names = {"document": json.dumps(_document(instance), indent=2)}
        return _at(names, path.removeprefix("/latest/dynamic/instance-identity").strip("/"))
    if path.startswith("/latest/meta-data"):
        return _at(_metadata(instance), path.removeprefix("/latest/meta-data").strip("/"))
    return b"dynamic\nmeta-data\nuser-data" if path.rstrip("/") == "/latest" else None


def _at(names: dict[str, str], path: str) -> bytes | None:
    if path in names:
        return names[path].encode()
    prefix = f"{path}/" if path else ""
    inside = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    entries = {name.partition("/")[0] + ("/" if "/" in name else "") for name in inside}
    return "\n".join(sorted(entries)).encode() if entries else None


def _metadata(instance: Instance) -> dict[str, str]:
    names = {
        "ami-id": instance.image,
        "ami-launch-index": "0",
        "instance-id": instance.id,
        "instance-life-cycle": "spot" if instance.spot else "on-demand",
        "instance-type": instance.kind,
        "placement/availability-zone": instance.zone,
        "placement/region": instance.region,
        "services/domain": cloud.dns_suffix(instance.region),
        "services/partition": cloud.partition(instance.region),
    }
    if instance.spot and instance.notice:
        names["spot/instance-action"] = json.dumps({"action": "terminate", "time": instance.notice})
        names["spot/termination-time"] = instance.notice
    if instance.key:
        names |= {"public-keys/0/openssh-key": instance.key, "public-keys/0": f"0={instance.key_name}"}
    return names | _network(instance) | _role(instance)


def _network(instance: Instance) -> dict[str, str]:
    interface = instance.interface
    if interface is None:
        return {}
    mac = f"network/interfaces/macs/{interface.mac}"
    names = {
        "hostname": interface.name,
        "local-hostname": interface.name,
        "local-ipv4": interface.address,
        "mac": interface.mac,
        f"{mac}/device-number": "0",
        f"{mac}/interface-id": interface.id,
        f"{mac}/local-hostname": interface.name,
        f"{mac}/local-ipv4s": interface.address,
        f"{mac}/mac": interface.mac,
        f"{mac}/owner-id": cloud.ACCOUNT,
        f"{mac}/security-group-ids": "\n".join(interface.groups),
        f"{mac}/subnet-id": interface.subnet_id,
        f"{mac}/vpc-id": instance.vpc_id,
    }
    return names | (
        {"public-ipv4": interface.public, f"{mac}/public-ipv4s": interface.public} if interface.public else {}
    )


def _role(instance: Instance) -> dict[str, str]:
    if not instance.role:
        return {}
    now = time.time()
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    credentials = {
        "Code": "Success",
        "LastUpdated": time.strftime(stamp, time.gmtime(now)),
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIASANDBOX" + instance.id[-9:].upper(),
        "SecretAccessKey": "sandbox/of+" + instance.id,
        "Token": f"sandbox//{instance.id}==",
        "Expiration": time.strftime(stamp, time.gmtime(now + CREDENTIALS)),
    }
    return {f"iam/security-credentials/{instance.role}": json.dumps(credentials, indent=2)}


def _document(instance: Instance) -> dict[str, object]:
    return {
        "accountId": cloud.ACCOUNT,
        "architecture": "x86_64",
        "availabilityZone": instance.zone,
        "imageId": instance.image,
        "instanceId": instance.id,
        "instanceType": instance.kind,
        "privateIp": instance.interface.address if instance.interface else None,
        "region": instance.region,
        "version": "2017-09-30",
    }
