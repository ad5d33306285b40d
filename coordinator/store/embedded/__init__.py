"""A real etcd as a child process: the store of a coordinator on one machine.

There are more than twelve files because the program, its process, its data directory, its backups and what other
programs ask of it have one each.
"""

from __future__ import annotations

from coordinator.store.embedded.binary import EtcdBinary, find_etcd
from coordinator.store.embedded.data_directory import default_data_dir
from coordinator.store.embedded.embedded_etcd import DEFAULT_QUOTA_BYTES, EmbeddedEtcd
from coordinator.store.embedded.ports import check_loopback
from coordinator.store.embedded.supervision import keep_running

__all__ = [
    "DEFAULT_QUOTA_BYTES",
    "EmbeddedEtcd",
    "EtcdBinary",
    "check_loopback",
    "default_data_dir",
    "find_etcd",
    "keep_running",
]
