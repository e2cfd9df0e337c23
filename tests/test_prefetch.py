"""Prefetching gives the same items, in order, and the same errors."""

import threading

import pytest

from churn.parallel import prefetch


def test_items_are_made_in_another_thread_and_come_in_order():
    threads = []

    def items():
        for i in range(20):
            threads.append(threading.current_thread())
            yield i

    assert list(prefetch(items())) == list(range(20))
    assert threading.current_thread() not in threads


def test_an_error_is_raised_at_the_turn_of_its_item():
    def items():
        yield 1
        raise ValueError("no second")

    fetched = prefetch(items())
    assert next(fetched) == 1
    with pytest.raises(ValueError, match="no second"):
        next(fetched)


def test_no_more_than_depth_items_are_made_ahead():
    made = []
    fetched = prefetch((made.append(i) or i for i in range(100)), depth=3)
    next(fetched)
    fetched.close()
    assert len(made) <= 4
