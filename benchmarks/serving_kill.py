"""SIGKILL at random moments under load: the requests that were answered beside those that were logged.

With `--processes 2` one of two is killed, and after another random moment the process that started them.
"""

import collections
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from compare import arguments, finish
from serving import children, trained

from churn.serve.log import read
from churn.serve.log.compact import compact_all

CLIENTS = 32
JSON = {"Content-Type": "application/json"}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, help="serve this one instead of a freshly trained one")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1, help="that serve: serve.processes")
    options = parser.parse_args()
    random.seed(0)
    answered: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle or trained(Path(folder))
        for number in range(options.kills):
            answered += serve_until_killed(bundle, Path(folder) / "log", number, options.processes)
            print(f"kill {number + 1}: {len(answered):,} requests answered so far", flush=True)
        compact_all(Path(folder) / "log")
        tables = read.read_log(Path(folder) / "log")
        logged = collections.Counter(i for table in tables for i in table["request_id"].to_pylist())
    seen = collections.Counter(answered)
    counts = {
        "kill_answered": seen.total(),
        "kill_answered_not_logged": (seen - logged).total(),
        "kill_logged_twice": sum(count - 1 for count in logged.values()),
        "kill_logged_not_answered": (logged - seen).total(),
    }
    print(json.dumps(counts))
    unit = f"requests, {options.kills} kills"
    names = {"value": 0, "low": 0, "high": 0, "unit": unit, "peer": "", "better": "lower"}
    entries = [names | {"name": key, "value": n, "low": n, "high": n} for key, n in counts.items()]
    finish(entries, options.json)


def serve_until_killed(bundle: Path, log: Path, number: int, processes: int) -> list[str]:
    """Ids of the requests that a server answered until it was killed at a random moment."""
    overrides = [f"bundle={bundle}", f"serve.log.dir={log}", "serve.port=0", "serve.log.segment_bytes=500000"]
    overrides += [f"serve.processes={processes}", "serve.drain_seconds=0"]
    command = [sys.executable, "-u", "-m", "churn", "serve", *overrides]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        serving = next(line for line in process.stdout if line.startswith("Serving "))
        url = urlsplit(serving.split()[-1])
        body = example(url.netloc)
        seen: list[str] = []
        clients = [(url.netloc, url.path, body, f"{number}-{i}", seen) for i in range(CLIENTS)]
        threads = [threading.Thread(target=send_requests, args=client) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.05, 2))
        if processes > 1:
            os.kill(random.choice(children(process.pid)), signal.SIGKILL)
            time.sleep(random.uniform(0.05, 2))
        process.kill()
        for thread in threads:
            thread.join()
    return seen


def example(address: str) -> bytes:
    """A request with the bundle's example row."""
    with urlopen(f"http://{address}/openapi.json", timeout=30) as answer:
        post = json.load(answer)["paths"]["/predict"]["post"]
    return json.dumps(post["requestBody"]["content"]["application/json"]["schema"]["example"]).encode()


def send_requests(address: str, path: str, body: bytes, prefix: str, seen: list[str]) -> None:
    """Send requests until the server is gone, and note the ids of complete answers."""
    connection = http.client.HTTPConnection(address, timeout=30)
    for number in range(10**9):
        identity = f"{prefix}-{number}"
        try:
            connection.request("POST", path, body, {"X-Request-Id": identity, **JSON})
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):
            return
        if answer.status == 200:
            seen.append(identity)


if __name__ == "__main__":
    main()
