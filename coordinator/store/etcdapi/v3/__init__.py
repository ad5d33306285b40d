"""The messages of etcd's v3 API that are used, generated from ``proto/coordinator/store/etcdapi/v3``; never edited."""
