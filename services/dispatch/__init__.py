"""Dispatch decides what the town does about a wish: its case, from opening to closing.

It owns the facts of `shared.contracts.dispatch` and listens to the wish's facts.
"""
