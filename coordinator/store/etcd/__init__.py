"""Calls to etcd: its members, access and login, errors, messages, and watches."""
