"""When one machine is too small: hours and dollars for 10^6, 10^8 and 10^10 customers, from measured speeds.

when_to_leave.py --train ROWS/S --score ROWS/S, both of a two-core machine: an n1-standard-2. Many are 32
n1-standard-8, of four times its cores each, used to 70 %. Prices from configs/prices.yaml are those of
prediction nodes, so an upper estimate of a plain machine's.
"""

import argparse

from omegaconf import OmegaConf

from churn.config import config_directory

EPOCHS, MACHINES, CORES, USED = 1, 32, 4, 0.7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=float, required=True, help="rows per second of an epoch")
    parser.add_argument("--score", type=float, required=True, help="rows per second of churn score")
    options = parser.parse_args()
    price = OmegaConf.load(config_directory() / "prices.yaml").hour
    many = MACHINES * CORES * USED
    print("| customers | | one machine, hours | US$ | 32 machines, hours | US$ |\n|---|---|---|---|---|---|")
    for rows in (1e6, 1e8, 1e10):
        for name, speed in (("one epoch", options.train), ("scoring", options.score)):
            hours = EPOCHS * rows / speed / 3600
            alone = f"{hours:,.2f} | {hours * price['n1-standard-2']:,.2f}"
            spread = f"{hours / many:,.2f} | {hours / many * MACHINES * price['n1-standard-8']:,.2f}"
            print(f"| {rows:,.0f} | {name} | {alone} | {spread} |")


if __name__ == "__main__":
    main()
