"""`churn train` beside the article's script on the Telco table: wall-clock seconds of the whole commands.

`churn train` does more: four parts instead of two, three baselines, bootstrap intervals, importance, a report
with pictures, a bundle with its checks, the registry. The aim is at most twice the script's time.
"""

import json
import sys
import tempfile
from pathlib import Path

from compare import arguments, finish, in_turn, ratio

HERE = Path(__file__).parent


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", required=True, help="IBM's Telco-Customer-Churn.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        train = ["train", "data=telco", f"data.path={options.data}", f"run.root={root}"]
        commands = {
            "churn train": [sys.executable, "-m", "churn", *train],
            "the article's script": [sys.executable, str(HERE / "article_script.py"), options.data],
        }
        seconds = in_turn(commands, options.runs)
        stages = json.loads((Path(root) / "latest" / "metrics.json").read_text())["seconds"]
    for name, values in seconds.items():
        print(
            f"{name:22} {sorted(values)[len(values) // 2]:6.1f} s   ({min(values):.1f} to {max(values):.1f})"
        )
    entry = ratio("article", *seconds.values(), peer="the article's script, repaired")
    print(f"{'ratio':22} {entry['value']:6.2f}     ({entry['low']:.2f} to {entry['high']:.2f})")
    print("\nseconds of each step of the last churn train:")
    for stage, took in stages.items():
        print(f"  {stage:12} {took:6.2f} s")
    finish([entry], options.json)


if __name__ == "__main__":
    main()
