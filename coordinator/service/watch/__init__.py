"""Watches: claims as they change, for callers that follow them."""
