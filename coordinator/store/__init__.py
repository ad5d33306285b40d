"""Everything that touches etcd."""
