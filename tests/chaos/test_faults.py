"""The schedule of faults is pure: the same seed breaks the same things at the same times."""

from itertools import combinations

import pytest

from tests.chaos.faults import (
    ACTS,
    LEASE_AND_SESSION,
    PAIRS,
    SERVERS,
    TARGETS,
    calm_from,
    schedule,
)

SEEDS = range(1, 41)


def test_the_same_seed_and_length_give_the_same_faults_and_another_seed_others() -> None:
    assert schedule(7, 240) == schedule(7, 240)
    assert len({tuple(schedule(seed, 240)) for seed in SEEDS}) == len(SEEDS)


def test_over_some_seeds_every_act_befalls_every_target_also_both_at_once() -> None:
    faults = [fault for seed in SEEDS for fault in schedule(seed, 240)]
    assert {(t, f.act) for f in faults for t in f.targets} == {
        (t, a) for t in TARGETS for a in ACTS
    }
    together = {f.targets for f in faults if len(f.targets) > 1}
    assert together == {*PAIRS, SERVERS}


def test_some_are_stopped_for_longer_than_any_lease_or_session_and_some_for_less() -> None:
    stops = [f.seconds for seed in SEEDS for f in schedule(seed, 240) if f.act == "stop"]
    assert min(stops) < LEASE_AND_SESSION < max(stops)


@pytest.mark.parametrize("seconds", [20, 60, 240, 1200])
def test_faults_come_in_order_and_are_healed_well_before_the_end(seconds: int) -> None:
    for seed in SEEDS:
        faults = schedule(seed, seconds)
        assert faults
        assert faults == sorted(faults, key=lambda fault: fault.at)
        assert max(f.healed_at for f in faults) <= calm_from(seconds) < seconds


def test_no_target_is_hit_while_another_fault_still_holds_it() -> None:
    for seed in SEEDS:
        for one, other in combinations(schedule(seed, 240), 2):
            if set(one.targets) & set(other.targets):
                assert one.healed_at < other.at


def test_a_minute_has_enough_faults_to_be_worth_it() -> None:
    assert min(len(schedule(seed, 60)) for seed in SEEDS) >= 6
