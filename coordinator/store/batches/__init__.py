"""Batches: how transactions of many callers wait for one another and go to etcd as one request."""
