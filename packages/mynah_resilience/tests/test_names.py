"""Names are drawn many at a time, and nobody draws one twice."""

import os
from concurrent.futures import ThreadPoolExecutor

from mynah_resilience.names import DRAWN_AT_ONCE, Names


def test_a_name_has_two_digits_for_each_byte_and_comes_once():
    name = Names(5)
    names = [name() for _ in range(3 * DRAWN_AT_ONCE)]
    assert len(set(names)) == len(names)
    assert all(len(bytes.fromhex(each)) == 5 for each in names)


def test_threads_draw_no_name_twice():
    name = Names(8)
    with ThreadPoolExecutor(8) as threads:
        names = [each.result() for each in [threads.submit(name) for _ in range(20 * DRAWN_AT_ONCE)]]
    assert len(set(names)) == len(names)


def test_a_forked_process_does_not_go_on_with_the_names_of_its_parent():
    name = Names(8)
    name()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 100).decode()
    assert told not in {name() for _ in range(DRAWN_AT_ONCE)}
