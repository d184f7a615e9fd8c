"""What a hostile pickle may try: names, instructions, states, sizes. None of it runs or costs."""

import contextlib
import copyreg
import io
import json
import pickle
import pickletools
import struct
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from faceverify.errors import PairListError
from faceverify.evaluation.lists import pack_pickle as module
from faceverify.evaluation.lists.pack_pickle import ADMITTED, NAMES, PickledArray, read_pickle


def refused(data):
    """Why a pickle is not read; under half a second and a megabyte."""
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(PairListError, match="expected") as error:
        read_pickle(data, "pack.bin")
    assert time.process_time() - start < 0.5
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    return error.value


def text(word):
    """The instruction that puts a text on the stack."""
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def by_name(module_name, name):
    """Two ways to name something: in one instruction, and from the stack."""
    yield b"c" + f"{module_name}\n{name}\n".encode()
    yield b"\x80\x04" + text(module_name) + text(name) + b"\x93"


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY, DTYPE = b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"
ARRAY = RECONSTRUCT + b"(" + NDARRAY + b"(I0\ntS'b'\ntR"
UINT8 = DTYPE + b"(S'u1'\nI0\nI1\ntR"

# Names


@pytest.mark.parametrize(
    ("where", "name"),
    [
        *(
            ("builtins", name)
            for name in ("eval", "exec", "getattr", "setattr", "open", "__import__")
        ),
        *(("__builtin__", name) for name in ("eval", "apply", "file")),
        *(("os", name) for name in ("system", "popen", "execv")),
        *(("copyreg", name) for name in ("_reconstructor", "__newobj__", "_extension_cache")),
        ("copy_reg", "_reconstructor"),
        ("subprocess", "Popen"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("importlib", "import_module"),
        ("pickle", "loads"),
        ("torch", "load"),
        *(("numpy", name) for name in ("load", "save", "fromfile", "memmap", "ndarray.view")),
        ("numpy", "ndarray.__class__.__subclasses__"),
        ("numpy", "dtype.__new__"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.core.numeric", "_frombuffer.__code__"),
        ("numpy.core", "multiarray._reconstruct"),
        ("numpy.core.multiarray ", "_reconstruct"),
        ("_codecs", "encode.__self__"),
        ("_codecs", "decode"),
        ("faceverify.evaluation.lists.pack_pickle", "NAMES"),
        ("faceverify.evaluation.lists.pack_pickle", "PickledArray"),
        ("__main__", "x"),
    ],
)  # fmt: skip
def test_no_other_name_is_known(where, name):
    for named in by_name(where, name):
        error = refused(named + b".")
        assert error.code == "pack-refused"
        assert repr(f"{where}.{name}") in str(error)
        refused(named + b"(" + text("x") + b"tR.")


def test_names_are_functions_of_this_file_and_import_nothing():
    for function in NAMES.values():
        assert function.__module__ == module.__name__
    loaded = set(sys.modules)
    refused(b"cantigravity\nfly\n.")
    assert set(sys.modules) == loaded


# Instructions

ARGUMENTS = {
    "uint1": b"\1", "uint2": b"\1\0", "int4": b"\1\0\0\0", "uint4": b"\1\0\0\0",
    "uint8": b"\1\0\0\0\0\0\0\0", "float8": bytes(8), "floatnl": b"1.0\n",
    "stringnl_noescape_pair": b"os\nsystem\n", "stringnl_noescape": b"1\n",
}  # fmt: skip


@pytest.mark.parametrize(
    "one",
    [one for one in pickletools.opcodes if one.name not in ADMITTED],
    ids=lambda one: one.name,
)
def test_every_other_instruction_is_refused_by_name(one):
    argument = ARGUMENTS[one.arg.name] if one.arg else b""
    error = refused(b"]" + one.code.encode("latin-1") + argument + b".")
    assert f"found the pickle instruction {one.name}, expected only" in str(error)


def test_what_is_refused_is_what_hashes_makes_instances_or_asks_somebody_else():
    others = {one.name for one in pickletools.opcodes} - ADMITTED
    assert others == {
        "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET",
        "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID",
        "NEXT_BUFFER", "READONLY_BUFFER", "DUP", "POP", "POP_MARK", "FLOAT", "BINFLOAT",
    }  # fmt: skip


def test_the_cache_of_the_extension_registry_is_out_of_reach():
    """An extension that any load has used comes from a cache, past ``find_class``."""
    copyreg.add_extension("posix", "system", 200)
    try:
        assert callable(pickle.loads(b"\x82\xc8."))

        class OnlyNames(pickle.Unpickler):
            def find_class(self, *_):
                raise AssertionError

        assert callable(OnlyNames(io.BytesIO(b"\x82\xc8.")).load())
        assert "EXT1" in str(refused(b"\x82\xc8" + text("true") + b"\x85R."))
    finally:
        copyreg.remove_extension("posix", "system", 200)
        copyreg._extension_cache.pop(200, None)


# Calls and states


@pytest.mark.parametrize("value", [b"]", b")", b"N", b"I1\n", text("x"), ARRAY, UINT8, b"C\1x"])
def test_nothing_else_can_be_called(value):
    refused(value + b"(" + text("x") + b"tR.")


@pytest.mark.parametrize("state", [b")", b"N", b"(NNt", b"(N]t", b"(])t", text("x"), b"I1\n"])
@pytest.mark.parametrize(
    "target", [RECONSTRUCT, NDARRAY, DTYPE, UINT8, ARRAY, b"]", b")", b"C\1x", text("x")]
)
def test_a_state_sets_no_attribute(target, state):
    before = {name: (dict(vars(one)), one.__defaults__) for name, one in NAMES.items()}
    with contextlib.suppress(PairListError):
        read_pickle(target + state + b"b.", "pack.bin")
    assert before == {name: (vars(one), one.__defaults__) for name, one in NAMES.items()}


@pytest.mark.parametrize(
    "name", ["O", "O8", "|O8", "V8", "u1,O", "M8", "f8", "S4", "U4", "(2,)u1", "i8 ", "", "object"]
)
def test_no_other_dtype(name):
    dtype = DTYPE + b"(" + text(name) + b"I0\nI1\ntR"
    assert "the numpy dtype" in str(refused(dtype + b"."))
    assert "the numpy dtype" in str(
        refused(b"cnumpy.core.multiarray\nscalar\n(" + dtype + b"C\x08" + bytes(8) + b"tR.")
    )


def test_a_dtype_cannot_become_another_by_its_state():
    fields = b"(I3\nS'|'\nN(S'a'\nt]I8\nI1\nI63\ntb"
    value = read_pickle(UINT8 + fields + b".", "pack.bin").value
    assert value == np.uint8
    assert value.names is None


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([10**12], b"abc"),
        ([0, 10**12], b""),
        ([-1], b"abc"),
        ([2, 2], b"abc"),
        ([1] * 5, b"a"),
        ([3], None),
    ],
)
def test_no_shape_asks_for_memory_that_is_not_there(shape, data):
    size = b"(" + b"".join(b"I%d\n" % one for one in shape) + b"t"
    content = b"N" if data is None else b"C" + bytes([len(data)]) + data
    refused(ARRAY + b"(I1\n" + size + UINT8 + b"I00\n" + content + b"tb.")


# Bombs


def laughs(first=0):
    """A tuple of 2^100 leaves in 500 bytes; memo entries from ``first`` on."""
    steps = (b"q%ch%c\x86" % (i, i) for i in range(first, first + 100))
    return b")" + b"".join(steps)


@pytest.mark.parametrize(
    "data",
    [
        *(b"]r" + struct.pack("<I", size) + b"." for size in (2**20, 2**27, 2**32 - 1)),
        b"]p99999999999999999999\n.",
        b"]p-1\n.",
        b"]q\x05.",
        *(
            code + struct.pack(form, size) + b"x."
            for code, form, size in (
                (b"B", "<I", 2**31), (b"\x8e", "<Q", 2**40), (b"\x8e", "<Q", 2**63),
                (b"\x96", "<Q", 2**40), (b"\x96", "<Q", 2**63), (b"\x8d", "<Q", 2**40),
                (b"X", "<I", 2**31), (b"T", "<i", -1), (b"T", "<i", 2**31 - 1),
                (b"\x8b", "<i", 2**31 - 1), (b"\x8b", "<i", -1), (b"\x95", "<Q", 2**40),
            )
        ),
        b"\x8f(" + laughs() + b"\x90.",
        b"(" + laughs() + b"\x91.",
        b"}" + laughs() + b"Ns.",
        b"(" + laughs() + b"Nd.",
        laughs() + b"I1\n\x86" + laughs(100) + b"R.",
        b"I" + b"9" * 10_000 + b"\n.",
    ],
)  # fmt: skip
def test_bombs_cost_nothing(data):
    refused(data)


def test_the_bombs_are_bombs():
    """The unpickler itself makes room up to a memo index: 16 MB for 7 bytes, here."""
    tracemalloc.start()
    pickle.loads(b"]r" + struct.pack("<I", 2**20) + b".")
    assert tracemalloc.get_traced_memory()[1] > 2**23
    tracemalloc.stop()


def test_instructions_are_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    assert read_pickle(b"(" + b"]" * 40 + b"t.", "pack.bin") == ([],) * 40
    assert refused(b"(" + b"]" * 60 + b"t.").code == "pack-refused"


# Anything at all

FUZZ = """
import json, pickle, random, sys
import numpy as np
from faceverify.errors import PairListError
from faceverify.evaluation.lists.insightface_bin import read_pack
from faceverify.evaluation.lists.pack_pickle import ADMITTED, read_pickle
import pickletools

images = [b"photo%d" % i for i in range(4)]
packs = [
    pickle.dumps(([wrap(image) for image in images], labels), protocol=protocol)
    for protocol in range(6)
    for wrap in (bytes, bytearray, lambda b: np.frombuffer(b, np.uint8))
    for labels in ([True, False], np.array([1, 0]), [np.bool_(True), np.bool_(False)])
]
codes = [one.code.encode("latin-1") for one in pickletools.opcodes if one.name in ADMITTED]
seen, draws, watching = set(), random.Random(0), False
str(b"x", "raw-unicode-escape")  # a codec of texts in protocol 0, which Python imports once
sys.addaudithook(lambda event, _: watching and seen.add(event))
outcomes = {"read": 0, "refused": 0, "damaged": 0}
watching = True
for turn in range(6000):
    data = bytearray(draws.choice(packs))
    for _ in range(draws.choice((1, 1, 2, 5, 20))):
        place = draws.randrange(len(data))
        change = draws.randrange(4)
        if change == 0:
            data[place] = draws.randrange(256)
        elif change == 1:
            data[place:place] = draws.choice(codes)
        elif change == 2:
            del data[place : place + draws.randrange(1, 9)]
        else:
            other = draws.choice(packs)
            start = draws.randrange(len(other))
            data[place:place] = other[start : start + draws.randrange(40)]
        data = data or bytearray(b".")
    try:
        read_pickle(bytes(data), "pack.bin")
        outcomes["read"] += 1
    except PairListError as error:
        outcomes["refused" if error.code == "pack-refused" else "damaged"] += 1
watching = False
print(json.dumps({"seen": sorted(seen), **outcomes}))
"""


def test_whatever_the_bytes_nothing_is_imported_opened_or_run():
    out = subprocess.run([sys.executable, "-c", FUZZ], stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(out)
    assert found["seen"] == []
    assert min(found["read"], found["refused"], found["damaged"]) > 100


def test_an_array_comes_as_what_stands_for_it():
    value = read_pickle(pickle.dumps(np.arange(3, dtype=np.int16)), "pack.bin")
    assert isinstance(value, PickledArray)
    assert value.value.tolist() == [0, 1, 2]
