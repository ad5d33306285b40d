"""A real etcd as a child process: the store of a coordinator on one machine."""

from __future__ import annotations

from coordinator.store.embedded.binary import EtcdBinary, find_etcd
from coordinator.store.embedded.process import DEFAULT_QUOTA_BYTES, EmbeddedEtcd, default_data_dir

__all__ = ["DEFAULT_QUOTA_BYTES", "EmbeddedEtcd", "EtcdBinary", "default_data_dir", "find_etcd"]
