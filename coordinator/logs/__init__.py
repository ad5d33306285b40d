"""Logs of the server side: the form of their lines, how they are written, and the audit log."""
