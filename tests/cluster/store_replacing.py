"""An etcd of one member that becomes another store, at the same address, while others go on speaking to it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from coordinator.store.embedded.bolt_file import raise_last_revision
from tests.cluster.etcd_cluster import EtcdCluster, EtcdMember

__all__ = ["begin_anew", "bump", "restore", "save"]

_MARK = "/restored"
#: With room for a higher revision.
_VALUE = "{}".ljust(300)


def save(member: EtcdMember, snapshot: Path) -> None:
    """Save what it holds."""
    member.etcdctl("snapshot", "save", str(snapshot))


def begin_anew(cluster: EtcdCluster) -> None:
    """Have it begin with an empty directory; it calls itself by the same cluster id."""
    (member,) = cluster.members
    member.kill()
    shutil.rmtree(data_dir(member))
    member.start()
    cluster.await_all()


def restore(cluster: EtcdCluster, snapshot: Path, *, of: str = "etcd-cluster", bumped: int = 0) -> None:
    """Have it go on from what was saved, as a cluster of another id where ``of`` says so.

    ``bumped`` is from which revision, as ``etcdutl snapshot restore --bump-revision --mark-compacted`` would do it: the
    etcd of the wheel cannot.
    """
    (member,) = cluster.members
    member.kill()
    directory = data_dir(member)
    shutil.rmtree(directory)
    tools = (Path(member.command[0]).with_name(name) for name in ("etcdctl", "etcdutl"))
    peer = member.command[member.command.index("--initial-advertise-peer-urls") + 1]
    arguments = ["snapshot", "restore", str(snapshot), "--data-dir", str(directory), "--name", "m0"]
    arguments += ["--initial-cluster", f"m0={peer}", "--initial-advertise-peer-urls", peer]
    arguments += ["--initial-cluster-token", of]
    # From 3.6 on etcdctl does not do it any more; the wheel's etcdutl may not be executable.
    for tool in tools:
        if not subprocess.run([str(tool), *arguments], capture_output=True, env={"ETCDCTL_API": "3"}).returncode:
            break
    else:
        raise AssertionError("the snapshot cannot be restored")
    if bumped:
        bump(cluster, bumped)
    member.start()
    cluster.await_all()


def bump(cluster: EtcdCluster, revision: int) -> None:
    """Raise the revision of what is not running. It runs meanwhile at an address that no other process knows."""
    (member,) = cluster.members
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{reserved.getsockname()[1]}"
    command = [part.replace(member.endpoint, endpoint) for part in member.command]
    private = EtcdCluster([EtcdMember(endpoint, command, member.log)])
    (hidden,) = private.members
    hidden.start()
    private.await_all()
    hidden.etcdctl("put", _MARK, _VALUE)
    hidden.terminate()
    raise_last_revision(data_dir(member) / "member" / "snap" / "db", _MARK.encode(), revision)
    hidden.start()
    private.await_all()
    hidden.etcdctl("compact", str(revision), "--physical")
    hidden.terminate()
    private.close()


def data_dir(member: EtcdMember) -> Path:
    """Return where its data are."""
    return Path(member.command[member.command.index("--data-dir") + 1])
