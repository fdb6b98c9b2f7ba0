"""Plugins that run in a process of their own, which may do only what it was granted."""
