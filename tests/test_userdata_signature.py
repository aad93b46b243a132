"""The master's calls to AWS are signed by curl: checked here against Signature Version 4 as AWS documents it.

docs.aws.amazon.com, "Create a signed AWS API request". moto checks no signature, so only this shows a wrong one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from bootstrap import MASTER, Shell

KEY_ID, SECRET, TOKEN = "AKIAEXAMPLE", "se/cret+Key/with==signs", "t0ken/with+signs=="


class Recorder(BaseHTTPRequestHandler):
    """Keeps each request and answers it with an empty 200."""

    requests: list[tuple[str, str, dict[str, str], bytes]]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value.strip() for name, value in self.headers.items()}
        self.requests.append((self.command, self.path, headers, body))
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT = do_GET  # noqa: N815 the base class names them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Recorder.requests = []
    with HTTPServer(("127.0.0.1", 0), Recorder) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def signature(request: tuple[str, str, dict[str, str], bytes], *, region: str, service: str) -> str:
    """The signature that AWS computes for this request."""
    method, path, headers, body = request
    signed = re.search(r"SignedHeaders=([^,]+)", headers["authorization"])
    assert signed
    names = signed[1].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names)
    canonical = "\n".join(
        [
            method,
            *path.partition("?")[::2],
            *(f"{name}:{headers[name]}" for name in names),
            "",
            signed[1],
            hashlib.sha256(body).hexdigest(),
        ]
    )
    day = headers["x-amz-date"][:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def sent_by(tmp_path: Path, server: HTTPServer, commands: str) -> tuple[str, str, dict[str, str], bytes]:
    """The one request that the commands made; the bootstrap's AWS hosts are all this server."""
    credentials = f'{{"AccessKeyId" : "{KEY_ID}", "SecretAccessKey" : "{SECRET}", "Token" : "{TOKEN}"}}'
    stubs = f"""
        imds() {{ case $1 in */) echo role ;; *) echo '{credentials}' ;; esac; }}
        curl() {{ command curl --connect-to ::127.0.0.1:{server.server_port} "${{@/https:/http:}}"; }}
        instance=i-0abc; master_device() {{ return 1; }}
    """
    ran = Shell("master", {**MASTER, "MASTER_ALARMS": "some"}, tmp_path).run(
        stubs, f"eval_settings; MASTER_ALARMS=; {commands}"
    )
    assert len(Recorder.requests) == 1, ran.output
    return Recorder.requests[0]


def test_an_object_of_the_bucket_is_asked_for_with_a_right_signature(tmp_path: Path, server: HTTPServer) -> None:
    request = sent_by(tmp_path, server, f"object pki.tar {tmp_path}/pki.tar")
    method, path, headers, _ = request
    assert (method, path) == ("GET", "/us-west-2/kubernetes/pki.tar")
    assert headers["host"] == f"{MASTER['KUBE_BUCKET']}.s3.us-west-2.amazonaws.com"
    assert headers["x-amz-expected-bucket-owner"] == "123456789012"
    assert headers["x-amz-security-token"] == TOKEN
    assert headers["authorization"].endswith(f"Signature={signature(request, region='us-west-2', service='s3')}")


def test_a_version_of_a_snapshot_is_asked_for_with_a_right_signature(tmp_path: Path, server: HTTPServer) -> None:
    request = sent_by(tmp_path, server, f"object 'etcd-snapshot.db.gz?versionId=3%2FL4_kq.tJ%2B' {tmp_path}/snapshot")
    assert request[:2] == ("GET", "/us-west-2/kubernetes/etcd-snapshot.db.gz?versionId=3%2FL4_kq.tJ%2B")
    assert request[2]["authorization"].endswith(f"Signature={signature(request, region='us-west-2', service='s3')}")


def test_a_snapshot_is_put_whole_encrypted_and_with_a_right_signature(tmp_path: Path, server: HTTPServer) -> None:
    (tmp_path / "snapshot").write_bytes(bytes(range(256)) * 20000)
    request = sent_by(tmp_path, server, f"put_object etcd-snapshot.db.gz {tmp_path}/snapshot")
    method, path, headers, body = request
    assert (method, path) == ("PUT", "/us-west-2/kubernetes/etcd-snapshot.db.gz")
    assert body == (tmp_path / "snapshot").read_bytes()
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    assert headers["x-amz-meta-kubernetes-version"] == MASTER["KUBERNETES_VERSION"]
    assert headers["x-amz-server-side-encryption"] == "AES256"
    assert headers["x-amz-expected-bucket-owner"] == "123456789012"
    assert headers["authorization"].endswith(f"Signature={signature(request, region='us-west-2', service='s3')}")


def test_the_disk_is_attached_with_a_right_signature(tmp_path: Path, server: HTTPServer) -> None:
    request = sent_by(tmp_path, server, "ask_for_disk")
    method, path, headers, body = request
    assert (method, path, headers["host"]) == ("POST", "/", "ec2.us-west-2.amazonaws.com")
    assert set(body.decode().split("&")) == {
        *("Action=AttachVolume", "Version=2016-11-15", "Device=%2Fdev%2Fsdf"),
        *(f"VolumeId={MASTER['MASTER_DISK_ID']}", "InstanceId=i-0abc"),
    }
    assert headers["authorization"].endswith(f"Signature={signature(request, region='us-west-2', service='ec2')}")


def test_alarms_are_put_with_a_right_signature(tmp_path: Path, server: HTTPServer) -> None:
    alarm = "StatusCheckFailed_System:2:arn:aws:automate:us-west-2:ec2:recover"
    request = sent_by(tmp_path, server, f"MASTER_ALARMS='{alarm}'; alarms")
    method, path, headers, body = request
    assert (method, path, headers["host"]) == ("POST", "/", "monitoring.us-west-2.amazonaws.com")
    sent = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
    assert sent["AlarmActions.member.1"] == "arn:aws:automate:us-west-2:ec2:recover"
    assert (sent["AlarmName"], sent["EvaluationPeriods"]) == ("kubernetes-master-recover", "2")
    assert headers["authorization"].endswith(
        f"Signature={signature(request, region='us-west-2', service='monitoring')}"
    )
