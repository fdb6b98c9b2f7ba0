"""The embedded store: one SQLite file that other processes read while it is written."""
