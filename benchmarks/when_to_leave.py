"""When one machine is too small: hours and dollars for 10^6, 10^8 and 10^10 customers, from measured speeds.

when_to_leave.py [--train ROWS/S] [--score ROWS/S] [--page docs/scale.md]. The speeds are those of a two-core
machine, an n1-standard-2; by default those that out_of_core.py and scoring.py last wrote to
benchmarks/results/. Many machines are 32 n1-standard-8, with four times the cores each, 70 % used. The prices
in configs/prices.yaml are those of prediction nodes, so an upper estimate for a plain machine. --page writes
the table into a page, between its two marks.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf

from churn.config.root import config_directory

EPOCHS, MACHINES, CORES, USED = 1, 32, 4, 0.7
RESULTS = Path(__file__).parent / "results"
MARK = "<!-- when_to_leave.py -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=float, help="rows per second of an epoch")
    parser.add_argument("--score", type=float, help="rows per second of churn score")
    parser.add_argument("--page", type=Path, help="a page whose table is replaced")
    options = parser.parse_args()
    train = options.train or measured("out_of_core.json", "train_out_of_core")
    score = options.score or measured("scoring.json", "score_of_graph")
    origin = "Assumed" if options.train or options.score else "Measured"
    text = "\n".join(lines(train, score, origin)) + "\n"
    print(text)
    if options.page:
        before, _, after = options.page.read_text().split(MARK)
        options.page.write_text(MARK.join([before, f"\n{text}\n", after]))


def measured(file: str, name: str) -> float:
    """Rows per second of an entry."""
    path = RESULTS / file
    entries = (
        [entry for entry in json.loads(path.read_text()) if entry["name"] == name] if path.exists() else []
    )
    if not entries:
        sys.exit(f"results/{file} has no entry {name}: run {path.stem}.py, or name the speed")
    return entries[0]["rows_per_second"]


def lines(train: float, score: float, origin: str) -> Iterator[str]:
    """The speeds and the table, in Markdown."""
    yield f"{origin}: {train:,.0f} rows a second in an epoch, reading included, and {score:,.0f} scored.\n"
    yield "| customers | | one machine, hours | US$ | 32 machines, hours | US$ |\n|---|---|---|---|---|---|"
    price = OmegaConf.load(config_directory() / "prices.yaml").hour
    many = MACHINES * CORES * USED
    for rows in (1e6, 1e8, 1e10):
        for name, speed in (("one epoch", train), ("scoring", score)):
            hours = EPOCHS * rows / speed / 3600
            alone = f"{hours:,.2f} | {hours * price['n1-standard-2']:,.2f}"
            spread = f"{hours / many:,.2f} | {hours / many * MACHINES * price['n1-standard-8']:,.2f}"
            yield f"| {rows:,.0f} | {name} | {alone} | {spread} |"


if __name__ == "__main__":
    main()
