"""The operations in a TensorFlow profile that took longest: read_profile.py RUN/profile [--top 12].

`train.profile=true` writes the profile. The seconds of an operation are summed over all threads. TensorBoard
and XProf draw the same file.
"""

import argparse
from collections import Counter
from pathlib import Path

from churn.backend import tensorflow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--top", type=int, default=12)
    options = parser.parse_args()
    tensorflow()
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for file in options.folder.rglob("*.xplane.pb"):
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
        for plane in space.planes:
            names = {number: metadata.name for number, metadata in plane.event_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    name = names[event.metadata_id].partition(":")[2] or names[event.metadata_id]
                    seconds[name] += event.duration_ps / 1e12
                    calls[name] += 1
    for name, took in seconds.most_common(options.top):
        print(f"{took:9.3f} s {calls[name]:9,} calls   {name[:80]}")


if __name__ == "__main__":
    main()
