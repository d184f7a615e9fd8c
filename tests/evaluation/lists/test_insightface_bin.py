import os
import pickle
import struct

import numpy as np
import pytest

from faceverify.errors import PairListError
from faceverify.evaluation.lists.insightface_bin import read_pack

IMAGES = [b"\xff\xd8photo %d" % i for i in range(4)]


def write(folder, value, protocol=4):
    path = folder / "pack.bin"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wrap",
    [
        bytes,
        lambda b: np.frombuffer(b, np.uint8),
        lambda b: np.frombuffer(b, np.uint8)[:, None],
    ],
)
@pytest.mark.parametrize(
    "labels", [[True, False], [1, 0], (True, False), np.array([True, False]), np.array([1, 0]),
               [np.bool_(True), np.bool_(False)], np.array([1, 0], ">i4")]
)  # fmt: skip
def test_every_way_a_pack_is_written(tmp_path, protocol, wrap, labels):
    pack = read_pack(write(tmp_path, ([wrap(image) for image in IMAGES], labels), protocol))
    assert pack.images == IMAGES
    assert pack.pairs.same.tolist() == [True, False]
    assert (pack.pairs.first, pack.pairs.second) == (["0", "2"], ["1", "3"])


def test_a_pack_of_bytearrays(tmp_path):
    path = write(tmp_path, ([bytearray(image) for image in IMAGES], [True, False]), protocol=5)
    assert read_pack(path).images == IMAGES


def test_a_pack_of_python_2(tmp_path):
    text = b"".join(b"U" + bytes([len(i)]) + i for i in IMAGES)
    path = write(tmp_path, b"\x80\x02](" + text + b"e](\x88\x89e\x86.")
    assert read_pack(path).images == IMAGES


def test_the_real_pack(shared_data):
    pack = read_pack(shared_data / "formats/small_lfw.bin")
    assert (len(pack.images), pack.pairs.same.tolist()) == (20, [True] * 10)
    assert all(image.startswith(b"\xff\xd8\xff") for image in pack.images)


class Calls:
    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


def hostile(marker):
    command, code = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    multiarray = b"cnumpy.core.multiarray\n"
    return {
        "os.system": Calls(os.system, command),
        "builtins.eval": Calls(eval, code),
        "builtins.exec": Calls(exec, code),
        "inside the images": ([Calls(os.system, command)] * 2, [True]),
        "object array": np.array([Calls(eval, code)], dtype=object),
        "getattr": Calls(getattr, "", "format"),
        "numpy.load": Calls(np.load, str(marker)),
        "numpy.save": Calls(np.save, str(marker), 1),
        "fromfile": b"cnumpy\nfromfile\n(V" + str(marker).encode() + b"\ntR.",
        "memmap": b"cnumpy\nmemmap\n(V" + str(marker).encode() + b"\ntR.",
        "runstring": b"cnumpy.testing._private.utils\nrunstring\n(V" + code.encode() + b"\n}tR.",
        "reconstruct of another type": multiarray
        + b"_reconstruct\n(cposix\nsystem\n(I0\ntS'b'\ntR.",
        "reconstruct of a text": multiarray + b"_reconstruct\n(S'ndarray'\n(I0\ntS'b'\ntR.",
        "call of ndarray": b"cnumpy\nndarray\n((I99999999999\ntS'u1'\ntR.",
        "state on a function": multiarray + b"_reconstruct\n(N}V__code__\nI1\nstb.",
        "dtype of objects": b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",
        "dtype of fields": b"cnumpy\ndtype\n(S'u1,O'\nI0\nI1\ntR.",
        "encode with another codec": b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        "instance": b"(cos\nsystem\nV" + command.encode() + b"\no.",
        "old instance": b"(V" + command.encode() + b"\nios\nsystem\n.",
        "new object": Calls(type("X", (), {}).__class__, "x"),
        "extension": b"\x82\x01.",
        "persistent id": b"Pwhatever\n.",
        "dict": {"images": []},
        "set": {1},
        "float": ([1.0, 2.0], [True]),
        "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
    }


@pytest.mark.parametrize("name", hostile("x"))
def test_hostile_pickles_run_nothing(tmp_path, name):
    marker = tmp_path / "marker"
    path = write(tmp_path, hostile(marker)[name])
    with pytest.raises(PairListError, match=r"pack\.bin: found .*expected only lists") as error:
        read_pack(path)
    assert error.value.code == "pack-refused"
    assert not marker.exists()
    assert not list(tmp_path.glob("marker*"))


def test_the_hostile_pickles_are_hostile(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(hostile(marker)["os.system"]))
    assert marker.exists()


def test_what_was_refused_is_named(tmp_path):
    with pytest.raises(PairListError, match=r"found the name 'posix\.system'"):
        read_pack(write(tmp_path, Calls(os.system, "true")))


def array_of(shape, data):
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    dtype = b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR"
    size = b"".join(b"I%d\n" % n for n in shape)
    return start + b"(I1\n(" + size + b"t" + dtype + b"I00\nC" + bytes([len(data)]) + data + b"tb."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"garbage",
        b"\x80\x04](",
        b"h\x05.",
        b"t.",
        b"0.",
        b"\x85.",
        b"I1\na.",
        b"I1\nI2\n.",
        array_of([10**12], b"abc"),
        array_of([-3], b"abc"),
        b"\x8e" + struct.pack("<Q", 2**62) + b"x.",  # bytes of a size that is not there
        pickle.dumps((IMAGES, [True, False]))[:-20],
    ],
)
def test_damaged_pickles(tmp_path, data):
    with pytest.raises(PairListError, match=r"pack\.bin: found"):
        read_pack(write(tmp_path, data))


def laughs(first):
    """A tuple of 2^100 leaves in 500 bytes; memo entries from ``first`` on."""
    steps = (b"q%ch%c\x86" % (i, i) for i in range(first, first + 100))
    return b")" + b"".join(steps)


ONE, OTHER = laughs(0), laughs(100)


@pytest.mark.parametrize(
    "data",
    [
        b"]r" + struct.pack("<I", 2**32 - 1) + b".",  # the C unpickler allocates 64 GB for it
        ONE + b".",
        ONE + OTHER + b"\x93.",
        b"cnumpy\ndtype\n" + ONE + b"\x85R.",
        b"cnumpy\ndtype\n(S'u1'\ntR(I1\n" + ONE + b"tb.",
        b"cnumpy.core.multiarray\nscalar\n" + ONE + OTHER + b"\x86R.",
        b"]" + ONE + b"a]" + OTHER + b"a\x86.",
    ],
)
def test_bombs_cost_nothing(tmp_path, data):
    with pytest.raises(PairListError, match="expected"):
        read_pack(write(tmp_path, data))


def test_an_array_has_one_state(tmp_path):
    array = array_of([3], b"abc")[:-1]
    state = array[array.index(b"tR(I1\n(") + 2 :]
    with pytest.raises(PairListError, match="a state set on something"):
        read_pack(write(tmp_path, array + state + b"."))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((IMAGES, [True]), "4 images for 1 labels"),
        (([], []), "0 images for 0 labels"),
        ((IMAGES, [True, 2]), "label 1 of int"),
        ((["a", "b"], [True]), "image 0 as str"),
        (([np.zeros((2, 2, 3), np.uint8)] * 2, [True]), "image 0 as ndarray"),
        ((IMAGES, b"ab"), "a bytes"),
        (IMAGES, "another value"),
        (7, "another value"),
    ],
)
def test_pickles_that_are_no_packs(tmp_path, value, found):
    with pytest.raises(PairListError, match=found):
        read_pack(write(tmp_path, value))


def test_a_missing_pack(tmp_path):
    with pytest.raises(PairListError, match="No such file"):
        read_pack(tmp_path / "none.bin")
