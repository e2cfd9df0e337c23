"""What the process writes to stderr is hidden for a while, and only for a while."""

import os
import threading

from churn.backend import silent_stderr


def test_stderr_comes_back_after_two_threads_hid_it(capfd):
    entered, left = [threading.Event() for _ in range(2)], [threading.Event() for _ in range(2)]

    def hide(number):
        with silent_stderr():
            entered[number].set()
            left[number].wait(10)
            os.write(2, b"hidden")

    threads = [threading.Thread(target=hide, args=(number,)) for number in range(2)]
    threads[0].start()
    assert entered[0].wait(10)
    threads[1].start()
    entered[1].wait(0.3)  # it must not enter yet
    left[0].set()
    threads[0].join()
    left[1].set()
    threads[1].join()
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"
