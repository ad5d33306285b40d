"""What can be wrong with an etcd: it is probed, and rules judge what was seen."""
