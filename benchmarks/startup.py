"""Wall-clock seconds of `churn --help` and of a wrong key, beside a bare Hydra application.

`--before CHECKOUT` measures instead how long `churn serve` takes from the command to its first answer, beside
an earlier version with a bundle that it trained itself.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request

from compare import arguments, finish, in_turn, ratio
from container import example, wait_for_answer
from serving import trained

BARE = """
import hydra
@hydra.main(config_path=None, config_name=None, version_base="1.3")
def main(cfg): pass
main()
"""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="compare `churn serve` with this version"
    )
    options = parser.parse_args()
    if options.before:
        finish([start_before(options.before.absolute(), options.runs)], options.json, merge=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        churn = [sys.executable, "-m", "churn"]
        commands = {
            "churn --help": [*churn, "--help"],
            "churn train train.epoch=3": [*churn, "train", "train.epoch=3"],
            "bare Hydra --help": [sys.executable, str(bare), "--help"],
        }
        seconds = in_turn(commands, options.runs)
    for name, values in seconds.items():
        print(
            f"{name:28} {sorted(values)[len(values) // 2]:6.3f} s   ({min(values):.3f} to {max(values):.3f})"
        )
    bare_seconds = seconds["bare Hydra --help"]
    entries = [
        ratio("startup_help", seconds["churn --help"], bare_seconds, "a bare Hydra application"),
        ratio(
            "startup_error", seconds["churn train train.epoch=3"], bare_seconds, "a bare Hydra application"
        ),
    ]
    for entry in entries:
        print(f"{entry['name']:28} {entry['value']:6.2f} x   ({entry['low']:.2f} to {entry['high']:.2f})")
    finish(entries, options.json, merge=True)


def start_before(checkout: Path, runs: int) -> dict[str, object]:
    """The entry of the time from the command to the first answer."""
    sources = {"now": Path(__file__).parents[1] / "src", "before": checkout / "src"}
    rest = os.environ.get("PYTHONPATH", "")
    environments = {name: os.environ | {"PYTHONPATH": f"{src}:{rest}"} for name, src in sources.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    with tempfile.TemporaryDirectory() as folder:
        bundles = {name: trained(Path(folder) / name, env) for name, env in environments.items()}
        for number in range(runs + 1):
            for name, environment in environments.items():
                took = first_answer(bundles[name], Path(folder) / f"log-{name}", environment)
                seconds[name] += [took] if number else []
    for name, values in seconds.items():
        low, middle, high = min(values), sorted(values)[runs // 2], max(values)
        print(f"churn serve, {name:8} {middle:6.3f} s   ({low:.3f} to {high:.3f})")
    return ratio("start_before", seconds["now"], seconds["before"], "the version before")


def first_answer(bundle: Path, log: Path, environment: dict[str, str]) -> float:
    """Seconds from the command to the first answered request."""
    settings = [f"bundle={bundle}", "serve.port=8198", f"serve.log.dir={log}", "serve.drain_seconds=0"]
    body = json.dumps({"instances": [example(bundle)]}).encode()
    began = time.perf_counter()
    command = [sys.executable, "-m", "churn", "serve", *settings]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for_answer(Request("http://127.0.0.1:8198/predict", body), server)
        return time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main()
