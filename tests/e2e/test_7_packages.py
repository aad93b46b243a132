"""KUBE_EXTRA_PACKAGES on machines, from Debian's own mirror as this computer's apt reaches it.

Whether a pod mounts NFS is not shown: that needs a server, and a kernel that has it.
"""

from __future__ import annotations

import json

from e2e.stage import Stage

ID = "packages"


def test_nfs_common_is_there_when_a_node_joins(stage: Stage) -> None:
    settings = {"KUBE_AWS_INSTANCE_PREFIX": ID, "NUM_NODES": "1", "KUBE_EXTRA_PACKAGES": "nfs-common"}
    stage.up(**settings)
    for instance in stage.instances(ID):
        assert "extra packages: ok" in stage.console(instance)
    # A volume of type File is refused by the kubelet where the host has no such file.
    image = next(
        name
        for node in stage.get("nodes")["items"]
        for each in node["status"]["images"]
        for name in each["names"]
        if name.startswith("registry.k8s.io/pause:")
    )
    volume = {"name": "mount-nfs", "hostPath": {"path": "/usr/sbin/mount.nfs", "type": "File"}}
    overrides = {"spec": {"volumes": [volume]}}
    stage.kubectl("run", "nfs", f"--image={image}", "--restart=Never", f"--overrides={json.dumps(overrides)}")
    stage.kubectl("wait", "--for=condition=Ready", "pod/nfs", "--timeout=90s")
    down = stage.run("kube_down.py", **settings)
    assert down.code == 0, down.out
