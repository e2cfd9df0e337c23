"""Pins every base image by the digest that its registry gives now: `python .ci/pin.py`.

Rewrites the images in deploy/*/Dockerfile and deploy/*/cloudbuild.yaml as NAME:TAG@sha256:DIGEST; run it
again to take the newest patches of the same tags. A digest that cannot be looked up stops it, and nothing is
changed.
Source of the calls: https://distribution.github.io/distribution/spec/api/
"""

import re
import sys
from pathlib import Path

import httpx

IMAGE = re.compile(r"^(FROM |  - name: )([\w./-]+)(:[\w.-]+)?(@sha256:[0-9a-f]{64})?(?= |$)", re.MULTILINE)
FILES = ("Dockerfile", "cloudbuild.yaml")
INDEX = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
SINGLE = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def main(root: Path = Path("deploy"), transport: httpx.BaseTransport | None = None) -> int:
    """Pin all images below `root`; gives the exit code."""
    files = {file: file.read_text() for name in FILES for file in sorted(root.glob(f"*/{name}"))}
    images = {(found[2], found[3] or "") for text in files.values() for found in IMAGE.finditer(text)}
    try:
        with httpx.Client(transport=transport, timeout=30) as client:
            digests = {image: digest(client, *image) for image in sorted(images)}
    except (httpx.HTTPError, LookupError) as error:
        print(f"No image is pinned, since a registry cannot be asked: {error}", file=sys.stderr)
        return 1
    for file, text in files.items():
        file.write_text(IMAGE.sub(lambda found: pinned(found, digests[found[2], found[3] or ""]), text))
    for (name, tag), found in digests.items():
        print(f"{name}{tag}@{found}")
    return 0


def pinned(found: re.Match[str], found_digest: str) -> str:
    """The line's image with its digest."""
    return f"{found[1]}{found[2]}{found[3] or ''}@{found_digest}"


def digest(client: httpx.Client, name: str, tag: str) -> str:
    """The digest of the image, for all its platforms; raises `LookupError` if there is none."""
    first, _, rest = name.partition("/")
    host, path = (first, rest) if "." in first else ("registry-1.docker.io", name)
    path = path if "/" in path else f"library/{path}"
    address = f"https://{host}/v2/{path}/manifests/{tag[1:] or 'latest'}"
    headers = {"Accept": f"{INDEX}, {SINGLE}"}
    answer = client.head(address, headers=headers)
    if answer.status_code == 401:
        asked = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))
        token = client.get(asked.pop("realm"), params=asked).raise_for_status().json()["token"]
        answer = client.head(address, headers=headers | {"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    found = answer.headers.get("Docker-Content-Digest", "")
    if not re.fullmatch("sha256:[0-9a-f]{64}", found):
        raise LookupError(f"{address} names no digest")
    return found


if __name__ == "__main__":
    sys.exit(main())
