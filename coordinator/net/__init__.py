"""Addresses, ports and channels: what a coordinator listens on, and how it is reached."""
