"""Wall-clock seconds of `churn --help` and of a wrong key, beside a bare Hydra application."""

import sys
import tempfile
from pathlib import Path

from compare import arguments, finish, in_turn, ratio

BARE = """
import hydra
@hydra.main(config_path=None, config_name=None, version_base="1.3")
def main(cfg): pass
main()
"""


def main() -> None:
    options = arguments(__doc__).parse_args()
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
    finish(entries, options.json)


if __name__ == "__main__":
    main()
