"""KUBE_NODE_SCRIPT: a person's own script, which every node runs at each boot before its kubelet starts.

Its text is kept in the bucket beside the settings, so that a rerun on a computer that does not have the file goes on
with the script that nodes have.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib.aws import objects
from lib.run.errors import SettingError
from lib.run.files import read_file

if TYPE_CHECKING:
    from lib.aws.client import Aws
    from lib.aws.objects import Bucket
    from lib.settings.config import Config
    from lib.settings.layers import Layers

OPTION = "KUBE_NODE_SCRIPT"
OBJECT = "settings.env.script"  # begins as the settings do, whose old versions the bucket keeps for a day
_MOST_BYTES = 1_000_000  # far more than fits user-data, so that no device is read without end
_BEGINS = b"#!"
_SCRIPT = "name a script that begins with #! and its interpreter, such as #!/bin/bash"


@dataclass(frozen=True)
class OwnScript:
    """The script that nodes are to run, and the one that the bucket has; b"" for none."""

    text: bytes = field(default=b"", repr=False)
    kept: bytes = field(default=b"", repr=False)

    @property
    def packed(self) -> str:
        """The script on one line, as user-data carries it: gzip in base64, which is compressed once more there."""
        return base64.b64encode(gzip.compress(self.text, compresslevel=9, mtime=0)).decode() if self.text else ""


def read_script(aws: Aws, layers: Layers, config: Config, bucket: Bucket | None) -> OwnScript:
    """The script of the file that this run names, else the one that is remembered.

    Raises SettingError for a file that is no script, and where the remembered one is gone: nodes that have it must not
    lose it unasked.
    """
    if not config.kube_node_script:
        return OwnScript()
    kept = (objects.read_object(aws, bucket, OBJECT) if bucket else None) or b""
    if layers.asked(OPTION):
        return OwnScript(_read_file(config.kube_node_script), kept)
    if not kept.startswith(_BEGINS):
        place = bucket.url(OBJECT) if bucket else "the bucket"
        problem = f"the script that nodes run is remembered in {place}, and is not there, or damaged"
        raise SettingError(OPTION, problem, f"name its file again, or run {OPTION}= python kube_up.py for none")
    return OwnScript(kept, kept)


def remember_script(aws: Aws, bucket: Bucket, script: OwnScript) -> None:
    """Keep the script in the bucket."""
    if script.text not in (b"", script.kept):
        objects.put_object(aws, bucket, OBJECT, script.text, words=f"{OPTION}, {len(script.text)} bytes,")


def _read_file(path: str) -> bytes:
    try:
        text = read_file(path, most=_MOST_BYTES)
    except OSError as error:
        raise SettingError(OPTION, f"{path} cannot be read: {error.strerror}", _SCRIPT) from None
    first = text.partition(b"\n")[0]
    if not first.startswith(_BEGINS):
        raise SettingError(OPTION, f"{path} does not begin with #!", _SCRIPT)
    if first.endswith(b"\r"):
        problem = f"{path} has the line ends of Windows, and no node would find its interpreter"
        raise SettingError(OPTION, problem, "give it those of Unix")
    if len(text) > _MOST_BYTES:
        raise SettingError(OPTION, f"{path} has more than {_MOST_BYTES} bytes", "have it fetch what is long")
    return text
