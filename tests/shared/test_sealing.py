"""What is sealed opens only in its place, with its key; who is who stays hidden."""

import base64
from pathlib import Path

import pytest

from shared.contracts.base import Sealed, SubjectId, TownId
from shared.errors import KeyMissing
from shared.sealing import (
    InstallationKeys,
    Sealer,
    installation_keys,
    new_key,
    normalised_phone,
)
from tests.build import INSTALLATION, OTHER_STORY, RESIDENT, STORY

OURS = Sealer(SubjectId(RESIDENT), new_key())
TEXT = "3号楼下水道堵了 🚰"


def test_a_sealed_text_opens_in_its_place() -> None:
    sealed = OURS.seal(STORY, "words", TEXT)
    assert sealed.subject == OURS.subject
    assert OURS.open(STORY, "words", sealed) == TEXT
    assert TEXT.encode() not in base64.b64decode(sealed.box)


def test_the_same_text_never_looks_the_same_twice() -> None:
    assert OURS.seal(STORY, "words", TEXT) != OURS.seal(STORY, "words", TEXT)


def test_a_text_that_is_absent_stays_absent() -> None:
    assert OURS.seal_some(STORY, "name", None) is None
    named = OURS.seal_some(STORY, "name", "王")
    assert named is not None
    assert OURS.open(STORY, "name", named) == "王"


def test_a_text_does_not_open_in_another_story_or_field() -> None:
    sealed = OURS.seal(STORY, "words", TEXT)
    for story, field in ((OTHER_STORY, "words"), (STORY, "title")):
        with pytest.raises(KeyMissing, match=f"{field} of {story}"):
            OURS.open(story, field, sealed)


def test_a_text_does_not_open_for_another_subject_with_the_same_key() -> None:
    sealed = OURS.seal(STORY, "words", TEXT)
    with pytest.raises(KeyMissing):
        Sealer(SubjectId("another"), OURS.key).open(STORY, "words", sealed)


def test_a_text_does_not_open_under_a_new_key_once_its_own_was_erased() -> None:
    sealed = OURS.seal(STORY, "words", TEXT)
    with pytest.raises(KeyMissing):
        Sealer(OURS.subject, new_key()).open(STORY, "words", sealed)


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_box_that_was_tampered_with_does_not_open(harm: str) -> None:
    box = bytearray(base64.b64decode(OURS.seal(STORY, "words", TEXT).box))
    if harm == "cut":
        del box[-1]
    else:
        box[20] ^= 1
    with pytest.raises(KeyMissing):
        OURS.open(STORY, "words", Sealed(subject=OURS.subject, box=base64.b64encode(box).decode()))


def test_text_that_is_not_unicode_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        OURS.seal(STORY, "words", "\ud800")


def test_a_request_is_told_from_another_and_from_anothers() -> None:
    seal = OURS.request(b'{"words":"a"}')
    assert seal == OURS.request(b'{"words":"a"}')
    assert seal != OURS.request(b'{"words":"b"}')
    assert seal.mac != Sealer(OURS.subject, new_key()).request(b'{"words":"a"}').mac


def test_a_data_key_unwraps_for_its_subject_under_its_master_key_only() -> None:
    subject, key = SubjectId(RESIDENT), new_key()
    wrapped = INSTALLATION.wrap(subject, key)
    assert INSTALLATION.unwrap(subject, wrapped) == key
    assert key not in wrapped
    with pytest.raises(KeyMissing, match="another master key"):
        InstallationKeys(new_key(), INSTALLATION.index).unwrap(subject, wrapped)
    with pytest.raises(KeyMissing):
        INSTALLATION.unwrap(SubjectId("another"), wrapped)


def test_a_blind_index_is_stable_and_differs_by_town_kind_value_and_installation() -> None:
    t3, t9 = TownId("t3"), TownId("t9")
    index = INSTALLATION.blind(t3, "account", "wang")
    assert index == INSTALLATION.blind(t3, "account", "wang")
    others = {
        INSTALLATION.blind(t9, "account", "wang"),
        INSTALLATION.blind(t3, "phone", "wang"),
        INSTALLATION.blind(t3, "account", "wang2"),
        InstallationKeys(INSTALLATION.master, new_key()).blind(t3, "account", "wang"),
    }
    assert index not in others
    assert len(others) == 4
    assert "wang" not in index


@pytest.mark.parametrize(
    "phone",
    ["13900001234", "139 0000 1234", "+86 139-0000-1234", "0086 13900001234", "(86)13900001234"],
)
def test_a_phone_is_one_phone_however_it_is_written(phone: str) -> None:
    assert normalised_phone(phone) == "13900001234"


def test_a_short_local_number_keeps_the_digits_of_the_national_prefix() -> None:
    assert normalised_phone("8612345") == "8612345"
    assert normalised_phone("0933-8612345") == "09338612345"


def test_installation_keys_are_read_from_files_of_32_bytes(tmp_path: Path) -> None:
    master, index = tmp_path / "master.key", tmp_path / "index.key"
    master.write_text("ab" * 32 + "\n")
    index.write_text("cd" * 32)
    assert installation_keys(master, index) == InstallationKeys(b"\xab" * 32, b"\xcd" * 32)


@pytest.mark.parametrize("content", ["", "ab" * 31, "zz" * 32])
def test_a_key_file_that_does_not_fit_is_named(tmp_path: Path, content: str) -> None:
    master, index = tmp_path / "master.key", tmp_path / "index.key"
    master.write_text("ab" * 32)
    index.write_text(content)
    with pytest.raises(ValueError, match=r"index\.key must hold 32 bytes"):
        installation_keys(master, index)
