"""Connections: how calls come in over gRPC, and what a caller that does not keep to it can use up."""
