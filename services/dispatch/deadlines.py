"""By when a case is to be resolved. Pure."""

from datetime import datetime, timedelta

from shared.profile import Profile


def resolution_due(profile: Profile, kind: str, since: datetime) -> datetime:
    """Plain hours for now: the profile's number after `since`. Raises Refused `unknown-kind`."""
    return since + timedelta(hours=profile.kind(kind).resolve_within_hours)
