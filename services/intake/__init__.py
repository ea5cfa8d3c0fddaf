"""Intake decides what residents and officers say: wishes and their rating.

It owns the facts of `shared.contracts.intake`, listens to the case's facts, and is the only
service that makes residents and keys.
"""
