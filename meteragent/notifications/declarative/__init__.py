"""Samples and events as definitions in YAML describe them, in the ancestor's format."""
