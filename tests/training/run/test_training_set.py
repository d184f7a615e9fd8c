"""Who is learned, and who is held out to validate on."""

import pytest

from faceverify.errors import TrainingError
from faceverify.training.run.held_out import open_and_hold_out


@pytest.fixture
def people(tmp_path):
    """Makes a folder of so many people with two photos each; nothing here looks into a photo."""

    def make(count, *, alone=0):
        for number in range(count):
            folder = tmp_path / f"p{number:03d}"
            folder.mkdir()
            for image in range(1 if number < alone else 2):
                (folder / f"{image}.jpg").write_bytes(b"")
        return str(tmp_path)

    return make


def opened(source, **options):
    asked = {"least_images": 1, "held_out": 0.1, "seed": 0, "pairs_wanted": False, "processes": 1}
    return open_and_hold_out(source, **asked | options)


@pytest.mark.parametrize(
    ("count", "held"), [(3, 0), (7, 0), (8, 2), (12, 3), (40, 10), (60, 10), (120, 12)]
)
def test_ten_people_are_held_out_where_a_quarter_allows(people, count, held):
    data = opened(people(count))
    assert data.train.num_identities == count - held
    assert (0 if data.held_out is None else data.held_out.num_identities) == held
    (note,) = data.notes
    assert (f"{held} of {count} people held out" if held else "too few to hold any out") in note
    if held:
        assert not set(data.held_out.identities) & set(data.train.identities)


def test_a_share_of_none_holds_nobody_out_and_says_nothing(people):
    data = opened(people(12), held_out=0.0)
    assert (data.held_out, data.notes) == (None, ())


def test_who_is_held_out_is_the_seeds(people):
    source = people(60)
    first, again, other = (opened(source, seed=seed).held_out.identities for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_only_people_with_a_pair_are_held_out(people):
    data = opened(people(12, alone=9), held_out=0.4)
    assert data.held_out.identities == ["p009", "p010", "p011"]


def test_people_with_few_images_are_left_out_and_said(people):
    source = people(12, alone=4)
    data = opened(source, pairs_wanted=True, held_out=0.0)
    assert data.train.num_identities == 8
    assert data.notes == ("4 people have fewer than 2 images: left out",)
    with pytest.raises(TrainingError, match="no person has 3 images"):
        opened(source, least_images=3)


def test_two_people_at_least(people):
    with pytest.raises(TrainingError, match="1 people to learn from, at least 2 are needed"):
        opened(people(1))
