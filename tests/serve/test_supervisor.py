"""What the supervisor does with processes that are too busy, or that came back during a reload."""

import asyncio
import os
import pickle
import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest

from churn.config.root import compose_config
from churn.serve.processes import Status
from churn.serve.stage import listen
from churn.serve.supervisor import CONNECTION, RELOAD, Supervisor, _Process

OLD, NEW = (Status(digest, loading=False, loads=1) for digest in ("old", "new"))
FILL = b"waits"


class Process:
    """A process that hears what it is told when the test wants it."""

    def __init__(self, number, status):
        channel, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.setblocking(False)
        self.end.setblocking(False)
        self.kills = []
        self.known = _Process(
            number, SimpleNamespace(kill=lambda: self.kills.append(number)), channel, 0, status
        )

    def fill(self):
        with suppress(BlockingIOError):
            while True:
                self.known.channel.send(FILL)

    def heard(self):
        """The next order, and how many connections came with it; None if there is none."""
        order = FILL
        while order == FILL:
            try:
                order, files, *_ = socket.recv_fds(self.end, 100, 1)
            except BlockingIOError:
                return None
        for file in files:
            os.close(file)
        return order, len(files)

    def close(self):
        self.known.channel.close()
        self.end.close()


@pytest.fixture
def supervise():
    """A function: let a coroutine function act on a supervisor of some processes."""

    def supervise(act, *processes):
        async def with_loop(listener):
            boss = Supervisor(compose_config("serve.processes=2"), SimpleNamespace(path=""), None)
            boss.loop, boss.listener, boss.say = asyncio.get_running_loop(), listener, lambda status: None
            boss.processes = {one.known.number: one.known for one in processes}
            try:
                await asyncio.wait_for(act(boss), 10)
            finally:
                boss._close()
                for number in boss.job.files:
                    os.close(number)
                for one in processes:
                    one.close()

        with listen("127.0.0.1", 0) as listener:
            listener.setblocking(False)
            asyncio.run(with_loop(listener))

    return supervise


def test_a_process_without_room_gets_its_connection_and_its_order_later(supervise):
    busy = Process(0, OLD)

    async def act(boss):
        busy.fill()
        with socket.create_connection(boss.listener.getsockname()):
            boss._accept()
            boss._order(RELOAD)
            heard = []
            while len(heard) < 2:
                if (next_one := busy.heard()) is not None:
                    heard.append(next_one)
                await asyncio.sleep(0.001)
        assert sorted(heard) == [(CONNECTION, 1), (RELOAD, 0)]
        assert not busy.kills

    supervise(act, busy)


def test_a_process_that_hangs_is_killed(supervise, monkeypatch):
    monkeypatch.setattr("churn.serve.supervisor.HANGS_SECONDS", 0.03)
    hanging = Process(0, OLD)

    async def act(boss):
        hanging.fill()
        boss._order(RELOAD)
        while not hanging.kills:
            await asyncio.sleep(0.001)

    supervise(act, hanging)


@pytest.mark.parametrize(
    ("other", "order"),
    [(NEW, (RELOAD, 0)), (Status("old", loading=True, loads=1), (RELOAD, 0)), (OLD, None), (Status(), None)],
)
def test_a_process_that_comes_back_during_a_reload_reloads_too(supervise, other, order):
    back = Process(0, Status())

    async def act(boss):
        for status in (OLD, OLD):  # it is told once
            back.end.send(pickle.dumps(status))
            boss._hear(back.known)
        assert back.heard() == order
        assert back.heard() is None

    supervise(act, back, Process(1, other))
