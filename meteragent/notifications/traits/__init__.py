"""Plugins that make one value of the values that a definition's paths find."""
