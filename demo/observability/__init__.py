"""A coordinator that is looked at: etcd, two coordinators, Prometheus and a fleet, on one machine without Docker."""
