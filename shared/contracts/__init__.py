"""The published language: facts, who owns them, how they look on the wire."""
