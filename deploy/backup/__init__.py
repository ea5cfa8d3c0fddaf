"""Backup and restore of what cannot be made again: event stores, and apart from them the keys."""
