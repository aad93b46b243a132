from conftest import Box
from helpers import must, kill_master


def say(*a):
    open("/tmp/st_out", "a").write(" ".join(map(str, a)) + "\n")


def test_x(sandbox: Box) -> None:
    sandbox.cluster()
    must(sandbox.up(KUBE_AWS_INSTANCE_PREFIX="dev", KUBE_AWS_ZONE="eu-west-1b"))
    r = sandbox.up("--list")
    say(r.out, r.err, r.code, len(r.calls))

    r = sandbox.up("--status")
    say(r.out, r.err, r.code, len(r.calls))
    r = sandbox.up("--status", "--output", "json")
    say(r.out, r.err, r.code, len(r.calls))
    r = sandbox.up("--list", "--output", "json")
    say(r.out, r.err, r.code, len(r.calls))
    kill_master(sandbox)
    r = sandbox.up("--status")
    say(r.out, r.err, r.code, len(r.calls))
    r = sandbox.up("--list")
    say(r.out, r.err, r.code, len(r.calls))
    assert 0
