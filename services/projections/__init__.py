"""Projections fold the facts into stories and read models for front ends. They decide nothing.

To add a view: a module in `views/` with a `View`, its name in `VIEWS`, its endpoint in `api.py`,
and a test that folds facts and compares the row; the next generation fills it.
"""
