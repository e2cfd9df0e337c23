"""`.ci/pin.py` pins every image that a build starts from, or none."""

import re
import shutil
from importlib.util import module_from_spec, spec_from_file_location

import httpx
import pytest
from conftest import ROOT

spec = spec_from_file_location("pin", ROOT / ".ci" / "pin.py")
pin = module_from_spec(spec)
spec.loader.exec_module(pin)


def registry(request):
    """Docker Hub as the documents describe it: a token for the repository first, then the digest."""
    if request.url.host == "auth.docker.io":
        assert request.url.params["service"] == "registry.docker.io"
        return httpx.Response(200, json={"token": request.url.params["scope"]})
    _, name, tag = re.fullmatch("/v2/((library/)?.+)/manifests/(.+)", request.url.path).group(0, 1, 3)
    scope = f"repository:{name}:pull"
    if request.url.host.endswith("docker.io") and request.headers.get("Authorization") != f"Bearer {scope}":
        how = f'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="{scope}"'
        return httpx.Response(401, headers={"WWW-Authenticate": how})
    assert "image.index" in request.headers["Accept"], "else the digest is that of one platform"
    digest = f"{sum(map(ord, name + tag)):064x}"
    return httpx.Response(200, headers={"Docker-Content-Digest": f"sha256:{digest}"})


@pytest.fixture
def deploy(tmp_path):
    for file in (file for name in pin.FILES for file in (ROOT / "deploy").glob(f"*/{name}")):
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / file.parent.name / file.name)
    return tmp_path


def images(folder):
    """What each build starts from, or runs; names of earlier stages are none."""
    texts = [file.read_text() for name in pin.FILES for file in folder.glob(f"*/{name}")]
    return [found for text in texts for found in re.findall(r"^(?:FROM|  - name:) (\S+)", text, re.MULTILINE)]


def test_every_image_is_pinned_and_pinned_anew(deploy):
    before = images(deploy)
    for _ in range(2):
        assert pin.main(deploy, httpx.MockTransport(registry)) == 0
        found = images(deploy)
        assert len(found) == len(before) >= 5
        assert all(re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", image) for image in found)
        assert [image.partition("@")[0] for image in found] == [image.partition("@")[0] for image in before]
    assert len(set(found)) == len({image.partition("@")[0] for image in before})


def test_nothing_is_changed_where_a_registry_is_not_reached(deploy, capsys):
    before = images(deploy)
    refuse = httpx.MockTransport(lambda request: httpx.Response(200))
    assert pin.main(deploy, refuse) == 1
    assert "names no digest" in capsys.readouterr().err
    assert images(deploy) == before


def test_either_all_images_are_pinned_or_none():
    assert len({"@sha256:" in image for image in images(ROOT / "deploy")}) == 1


def test_every_action_is_pinned_by_commit():
    texts = [file.read_text() for file in (ROOT / ".github" / "workflows").glob("*.yml")]
    used = [found for text in texts for found in re.findall(r"uses: (\S+)", text)]
    assert len(used) > 5
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []
