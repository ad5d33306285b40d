"""What ``doctor`` finds, on either side of the wire: findings, clocks, TLS."""
