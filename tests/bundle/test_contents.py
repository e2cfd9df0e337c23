"""Only plain files belong to a bundle, byte for byte; anything else is one message."""

import json
import os
import random
import shutil

import pytest

from churn.bundle.bundle import Bundle
from churn.bundle.contents import CHECKSUMS, EXTRA
from churn.errors import UserError


@pytest.fixture
def copy(exported_bundle, tmp_path):
    """A bundle that may be changed."""
    return shutil.copytree(exported_bundle, tmp_path / "bundle")


@pytest.mark.parametrize("file", [CHECKSUMS, f"{EXTRA}/bundle.json", f"{EXTRA}/words.json", "saved_model.pb"])
@pytest.mark.parametrize("way", ["flip", "cut"])
def test_every_changed_byte_is_one_message(copy, file, way):
    path, chance = copy / file, random.Random(0)
    whole = path.read_bytes()
    for _ in range(25):
        at = chance.randrange(len(whole))
        changed = bytearray(whole[:at] if way == "cut" else whole)
        if way == "flip":
            changed[at] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"changed|damaged"):
            Bundle.load(copy)
    path.write_bytes(whole)
    Bundle.load(copy)


def a_link(copy):
    (copy / "more").symlink_to(copy / "saved_model.pb")
    return "the link more"


def a_linked_file(copy):
    (copy / "saved_model.pb").rename(copy.parent / "elsewhere.pb")
    (copy / "saved_model.pb").symlink_to(copy.parent / "elsewhere.pb")
    return "the link saved_model.pb"


def a_linked_folder(copy):
    (copy / "variables" / "more").symlink_to(copy / EXTRA)
    return "the link variables/more"


def an_empty_folder(copy):
    (copy / "variables" / "more").mkdir()
    return "the empty folder variables/more"


def a_pipe(copy):
    os.mkfifo(copy / "more")
    return "the pipe or device more"


@pytest.mark.parametrize("add", [a_link, a_linked_file, a_linked_folder, an_empty_folder, a_pipe])
def test_only_plain_files_belong_to_a_bundle(copy, add):
    with pytest.raises(UserError, match=add(copy)):
        Bundle.load(copy)


@pytest.mark.parametrize("content", ["[]", "7", "", "{", '{"name": "x"}', "[" * 100_000])
def test_facts_that_are_none_are_one_message_even_with_right_checksums(copy, content):
    from churn.bundle.contents import list_checksums

    (copy / EXTRA / "bundle.json").write_text(content)
    (copy / CHECKSUMS).write_text(list_checksums(copy))
    with pytest.raises(UserError, match=r"damaged|format"):
        Bundle.load(copy)


def test_a_list_of_checksums_that_says_the_same_in_another_way_is_refused(copy):
    listing = copy / CHECKSUMS
    listing.write_text(json.dumps(json.loads(listing.read_text())))
    with pytest.raises(UserError, match="list of checksums"):
        Bundle.load(copy)
