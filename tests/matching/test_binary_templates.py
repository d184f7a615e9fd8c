"""Binary templates: bits estimate angles, and fitting helps where it should."""

import numpy as np
import pytest

from faceverify.errors import UsageError
from faceverify.matching.binary_templates import (
    CodeDirections,
    centred_directions,
    hamming_distance,
    itq_directions,
    random_directions,
)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def cone():
    """3,000 rows around a common direction, as the embeddings of many nets are."""
    generator = np.random.default_rng(5)
    spread = generator.standard_normal((3000, 64)) * np.linspace(1, 0.2, 64)
    return unit(spread + 6 * np.eye(64)[0])


def test_a_code_is_the_signs_one_bit_a_direction():
    directions = CodeDirections(np.eye(2, dtype=np.float32), np.array([1, 0], np.float32))
    embeddings = np.array([[2, -1], [0, 1], [2, 1], [1, 0]], np.float32)
    assert directions.encode(embeddings).tolist() == [[0x80], [0x40], [0xC0], [0x00]]


def test_bits_apart_are_counted_one_by_one():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 256, (2, 50, 16), dtype=np.uint8)
    slow = [
        sum(f"{a:08b}"[i] != f"{b:08b}"[i] for a, b in zip(x, y, strict=True) for i in range(8))
        for x, y in zip(first, second, strict=True)
    ]
    assert hamming_distance(first, second).tolist() == slow
    assert hamming_distance(first[0], second[0]) == slow[0]


@pytest.mark.parametrize("bits", [128, 200, 1024])
def test_the_share_of_bits_apart_is_the_angle_over_pi(bits):
    generator = np.random.default_rng(1)
    first, second = unit(generator.standard_normal((2, 400, 96)))
    second = unit(first + 0.7 * second)
    codes = random_directions(96, bits)
    apart = hamming_distance(codes.encode(first), codes.encode(second)) / bits
    angle = np.arccos((first * second).sum(1)) / np.pi
    assert codes.encode(first).shape == (400, bits // 8)
    assert apart.mean() == pytest.approx(angle.mean(), abs=0.01)
    # orthogonal directions scatter less than a coin for each bit would
    assert (apart - angle).std() < np.sqrt(angle.mean() * (1 - angle.mean()) / bits)


@pytest.mark.parametrize("make", [centred_directions, itq_directions])
def test_from_the_mean_every_bit_is_on_for_about_half(cone, make):
    plain = np.unpackbits(random_directions(64, 256).encode(cone), axis=1).mean(0)
    fitted = np.unpackbits(make(cone, 256).encode(cone), axis=1).mean(0)
    assert np.abs(plain - 0.5).mean() > 0.2
    assert np.abs(fitted - 0.5).mean() < 0.03


@pytest.mark.slow
def test_itq_loses_less_than_a_random_rotation(cone):
    def loss(codes):  # eq. 2 of the paper
        projected = cone @ codes.directions - codes.offsets
        projected /= np.abs(projected).mean()
        return np.square(np.sign(projected) - projected).mean()

    block = slice(0, 64)
    fitted, random = itq_directions(cone, 128), centred_directions(cone, 128)
    for codes in (fitted, random):
        gram = codes.directions[:, block].T @ codes.directions[:, block]
        np.testing.assert_allclose(gram, np.eye(64), atol=1e-5)
    assert loss(fitted) < 0.95 * loss(random)
    # the blocks are different rotations: they would else say everything twice
    assert not np.allclose(fitted.directions[:, :64], fitted.directions[:, 64:], atol=0.1)


def test_the_same_seed_gives_the_same_directions(cone):
    for make in (centred_directions, itq_directions):
        some = cone[:700]
        first, again, other = make(some, 128), make(some, 128), make(some, 128, seed=1)
        assert np.array_equal(first.directions, again.directions)
        assert not np.array_equal(first.directions, other.directions)


@pytest.mark.parametrize("bits", [0, 64, 130, 1032])
def test_impossible_numbers_of_bits_are_refused(bits):
    with pytest.raises(UsageError, match=f"{bits} bits"):
        random_directions(64, bits)


def test_too_few_templates_are_refused(cone):
    with pytest.raises(UsageError, match="639 templates are too few"):
        itq_directions(cone[:639], 128)
    with pytest.raises(UsageError, match="99 templates are too few"):
        centred_directions(cone[:99], 128)
