"""What happened, counted for Prometheus."""

from coordinator.metrics.endpoint import MetricsEndpoint
from coordinator.metrics.gauges import Reading, ReplicaGauges, TaskGauges
from coordinator.metrics.prometheus import PrometheusRecorder

__all__ = ["MetricsEndpoint", "PrometheusRecorder", "Reading", "ReplicaGauges", "TaskGauges"]
