"""Work done ahead in a thread gives the same items, in order, and the same errors."""

import threading

import pytest

from churn.parallel import prefetch


def test_items_come_in_order_from_another_thread():
    made_by = []

    def items():
        for i in range(20):
            made_by.append(threading.current_thread())
            yield i

    assert list(prefetch(items())) == list(range(20))
    assert threading.current_thread() not in made_by


def test_an_error_comes_where_its_item_would_have():
    def items():
        yield 1
        raise ValueError("no second")

    found = prefetch(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no second"):
        next(found)


def test_no_more_than_the_depth_is_made_ahead():
    made = []
    found = prefetch((made.append(i) or i for i in range(100)), depth=3)
    next(found)
    found.close()
    assert len(made) <= 4
