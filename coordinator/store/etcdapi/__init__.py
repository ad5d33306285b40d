"""etcd's own API."""
