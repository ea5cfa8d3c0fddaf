"""Projections fold the facts into stories and read models for front ends. They decide nothing.

To add a view or a tally: a module in `views/` with a `View` or `Tally`, its name in
`views/registry.py`, its endpoint in one of the `…_api.py`, and a test that folds facts and
compares; the next generation fills it.
"""
