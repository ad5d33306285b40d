"""Admission: what is refused or has to wait, so that no caller, session or fleet takes up all of a coordinator."""
