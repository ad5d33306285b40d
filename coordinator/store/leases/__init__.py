"""Leases of etcd: the pool that claims share, leases of others, and leases that are kept alive."""
