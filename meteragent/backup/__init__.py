"""Backups: a journal and its store as they were at one instant, and the way back."""
