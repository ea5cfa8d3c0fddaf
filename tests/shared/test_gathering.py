"""Commits put together again from facts that come one by one."""

from dataclasses import replace

from shared.contracts.recorded import Recorded, stream_id
from shared.gathering import Gathering, commit_of
from shared.store import Commit
from tests.conftest import new_story, whole_story
from tests.shared.line import stories


def test_facts_of_one_command_become_the_commit_they_were() -> None:
    for commits in stories(2):
        gathering = Gathering()
        found: list[Commit] = []
        for commit in commits:
            for recorded in commit.recorded_facts():
                found += gathering.add(recorded)
        assert [*found, *gathering.rest()] == commits
        assert gathering.rest() == []


def test_streams_that_alternate_are_kept_apart() -> None:
    one, other = stories(1)
    mixed = [
        recorded
        for pair in zip(one, other, strict=False)
        for recorded in zip(*(commit.recorded_facts() for commit in pair), strict=False)
    ]
    gathering = Gathering()
    found = [c for pair in mixed for recorded in pair for c in gathering.add(recorded)]
    found += gathering.rest()
    for stream in (one[0].stream, other[0].stream):
        facts = [f for commit in found if commit.stream == stream for f in commit.facts]
        assert facts == [r.fact for pair in mixed for r in pair if r.stream == stream]
    assert len(found) == len({(commit.stream, commit.first) for commit in found})


def test_what_is_repeated_is_a_commit_of_its_own() -> None:
    wish = _one_command(whole_story(new_story())[0][:2])
    gathering = Gathering()
    found = [c for recorded in [*wish, *wish] for c in gathering.add(recorded)]
    assert [*found, *gathering.rest()] == [commit_of(wish)] * 2


def test_a_commit_is_given_out_once_so_much_has_passed_that_nothing_of_it_can_come() -> None:
    wish = _one_command(whole_story(new_story())[0][:2])
    gathering = Gathering(apart=3)
    assert gathering.add(wish[0]) == []
    assert gathering.passed(3) == []
    assert gathering.add(wish[1]) == []
    assert gathering.passed() == [commit_of(wish)]
    assert gathering.rest() == []


def _one_command(facts: list[Recorded]) -> list[Recorded]:
    first = facts[0]
    assert first.stream == stream_id("wish", first.story)
    return [
        replace(r, command_id=first.command_id, occurred=first.occurred, recorded=first.recorded)
        for r in facts
    ]
