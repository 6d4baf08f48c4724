import math
import os

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mynah_tasks.executors import NotPortable
from mynah_tasks.executors.codec import import_name, pack, resolve, restore
from mynah_tasks.executors.shared import KEPT, PIECE, SharedMemory, at_once
from mynah_tasks.tests import deeds

MARK = "5ca1ab1e"

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
array = arrays.arrays(
    st.sampled_from(["bool", "int16", ">i4", "uint8", "float32", "complex128"]),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=4),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.binary() | array,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def through_shared_memory(value):
    memory = SharedMemory.create()
    packed = pack(value, MARK)
    at_once(memory.write(packed.buffers))
    things = at_once(memory.read(orjson.loads(orjson.dumps(packed.notes))))
    memory.close()
    return restore(orjson.loads(packed.text), things, MARK)


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=0)
    return type(one) is type(other) and one == other


@settings(max_examples=100, deadline=None)
@given(values)
def test_whatever_is_packed_is_the_same_again(value):
    assert same(value, through_shared_memory(value))


def test_a_value_from_outside_cannot_pass_for_an_array():
    forged = {"5CA1AB1E": 0, "array": np.zeros(1)}
    assert through_shared_memory(forged)["5CA1AB1E"] == 0


@pytest.mark.parametrize("note", [[3 * PIECE + 1], [3 * PIECE + 1, "|u1", [3 * PIECE + 1]]])
def test_large_things_are_copied_in_pieces_between_which_the_loop_runs(note):
    memory = SharedMemory.create()
    large = np.arange(3 * PIECE + 1, dtype=np.uint8)
    assert len(list(memory.write([memoryview(large)]))) == 3
    assert len(list(memory.read([note]))) == 3
    (thing,) = at_once(memory.read([note]))
    memory.close()
    np.testing.assert_array_equal(np.frombuffer(thing, np.uint8), large)


@pytest.mark.parametrize("note", [[1], [1, "|u1", [1]]])
def test_less_memory_than_was_said_is_an_error_and_not_an_endless_loop(note):
    memory = SharedMemory.create()
    with pytest.raises(EOFError):
        at_once(memory.read([note]))
    memory.close()


def test_large_memory_is_given_back_bit_by_bit():
    memory = SharedMemory.create()
    at_once(memory.write([memoryview(bytearray(3 * KEPT + 1))]))
    assert len(list(memory.shrink())) == 3
    assert os.fstat(memory.descriptor).st_size == KEPT
    at_once(memory.shrink())
    assert os.fstat(memory.descriptor).st_size == KEPT
    memory.close()


def test_a_function_is_found_by_the_name_it_travels_under():
    assert resolve(import_name(deeds.echo)) is deeds.echo
    assert resolve(import_name(orjson.dumps)) is orjson.dumps


def test_a_function_of_the_script_itself_is_refused_with_advice():
    def work(_):
        pass

    work.__module__, work.__qualname__ = "__main__", "work"
    with pytest.raises(NotPortable, match="__main__:work is part of the script; put it into a module"):
        import_name(work)
