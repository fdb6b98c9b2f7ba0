"""Notifications of other services, and what they become: samples and events."""
