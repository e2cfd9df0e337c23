"""Runs gcloud's commands from standard input, one a line, in one process: to start gcloud takes a second.

The SDK's own Python runs this file; the argument is the SDK's folder. After each line comes its exit code.
"""

import shlex
import sys

sdk = sys.argv[1]
sys.path[:1] = [f"{sdk}/lib", f"{sdk}/lib/third_party"]
import gcloud  # noqa: E402, F401  sets up the paths
from googlecloudsdk import gcloud_main  # noqa: E402

cli = gcloud_main.CreateCLI([])
for line in sys.stdin:
    code = 0
    try:
        cli.Execute(shlex.split(line)[1:])
    except SystemExit as ended:
        code = ended.code
    print(f"exit {code}", flush=True)
