"""What a fleet shows under Prometheus: ``python -m demo.observability``."""
