"""What happened, counted for Prometheus."""

from coordinator.metrics.gauges import Reading, ReplicaGauges, TaskGauges
from coordinator.metrics.prometheus import PrometheusRecorder

__all__ = ["PrometheusRecorder", "Reading", "ReplicaGauges", "TaskGauges"]
