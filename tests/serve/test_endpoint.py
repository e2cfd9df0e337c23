"""A running server answers as an endpoint of Vertex AI does."""

import html
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.bundle.bundle import Bundle, decode_strings
from churn.config.serving import ServeConfig
from churn.errors import UserError
from churn.serve.refused import STATUS
from churn.serve.routes import check_routes
from churn.serve.stage import serve
from serve.conftest import ROW, running

JSON = {"Content-Type": "application/json"}


def row_of(frame, i):
    columns = {
        "tenure": "tenure",
        "Monthly  charge": "Monthly__charge",
        "contract": "contract",
        "payment": "payment",
    }
    values = frame.iloc[i].to_dict()
    row = {columns[name]: -1e30 if isinstance(v, float) and np.isnan(v) else v for name, v in values.items()}
    return row | {"customer_key": f"k{i}"}


@pytest.mark.parametrize("rows", [1, 7, 33, 600])
def test_rows_get_the_answers_of_the_bundle(endpoint, exported_bundle, customers, rows):
    frame, keys = customers.frame.iloc[:rows], np.array([f"k{i}" for i in range(rows)])
    answer = endpoint.predict(*(row_of(frame, i) for i in range(rows))).json()
    assert answer.keys() == {"predictions", "deployedModelId", "model", "modelDisplayName", "modelVersionId"}
    predictions = pd.DataFrame(answer["predictions"])
    expected = decode_strings(Bundle.load(exported_bundle).predict(frame, keys))
    assert predictions.columns.sort_values().tolist() == sorted(expected)
    for name, values in expected.items():
        if values.dtype == np.float32:
            assert predictions[name].to_numpy() == pytest.approx(values, abs=1e-6)
        else:
            assert predictions[name].tolist() == values.tolist()


def test_requests_at_the_same_time_get_their_own_answers(endpoint, customers):
    rows = [row_of(customers.frame, i) for i in range(160)]
    alone = [endpoint.predict(row).json()["predictions"] for row in rows[:20]]
    with ThreadPoolExecutor(16) as pool:
        concurrent = list(pool.map(lambda row: endpoint.predict(row).json()["predictions"], rows))
    assert [answer[0]["customer_key"] for answer in concurrent] == [row["customer_key"] for row in rows]
    for first, second in zip(alone, concurrent, strict=False):
        assert first[0]["churn_probability"] == pytest.approx(second[0]["churn_probability"], abs=1e-6)


def test_bad_rows_are_all_named_and_other_requests_are_answered(endpoint):
    bad = [
        ROW,
        ROW | {"tenure": "3"},
        {name: value for name, value in ROW.items() if name != "contract"} | {"Contract": "monthly"},
        ROW | {"payment": None, "Monthly__charge": True},
        7,
    ]
    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(endpoint.predict, ROW) for _ in range(20)]
        refused = endpoint.predict(*bad)
    assert {answer.result().status_code for answer in good} == {200}
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["status"]) == (400, 400, "FAILED_PRECONDITION")
    violations = {
        (v["field"], v["description"].partition(";")[0]) for v in error["details"][0]["fieldViolations"]
    }
    assert violations == {
        ("instances[1].tenure", 'got "3", expected a number'),
        ("instances[2].contract", "is missing, expected a string"),
        ("instances[2].Contract", "is unknown, expected only the bundle's fields"),
        ("instances[3].payment", "got null, expected a string"),
        ("instances[3].Monthly__charge", "got true, expected a number"),
        ("instances[4].", f"got 7, expected an object with the fields {', '.join(ROW)}"),
    }
    assert "4 of 5 rows" in error["message"]
    assert "row 1, field 'tenure'" in error["message"]


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        (b"{", 400, "not JSON"),
        (b'{"instances": [{"payment": "\xff"}]}', 400, "not JSON"),
        (b"[]", 400, "instances"),
        (b'{"instances": []}', 400, "at least one row"),
        (b'{"instances": {}}', 400, "instances"),
        (b'{"instances": [{}], "signature": "x"}', 400, "signature"),
        (b'{"instances": [' + b" " * 1_500_000 + b"]}", 413, "1,500,000 bytes"),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_a_reason(endpoint, body, code, part):
    answer = httpx.post(endpoint.url, content=body, headers=JSON, timeout=30)
    assert answer.status_code == code
    assert part in answer.json()["error"]["message"]
    assert endpoint.predict(ROW).status_code == 200


def test_numbers_that_a_float32_cannot_hold_are_refused(endpoint):
    assert endpoint.predict(ROW | {"tenure": 1e39}).status_code == 400
    assert endpoint.predict(ROW | {"tenure": -(10**17)}).status_code == 200
    nan = json.dumps({"instances": [ROW | {"tenure": float("nan")}]})
    assert (
        "not JSON"
        in httpx.post(endpoint.url, content=nan, headers=JSON, timeout=30).json()["error"]["message"]
    )


def test_the_client_s_request_id_comes_back(endpoint):
    answer = httpx.post(endpoint.url, json={"instances": [ROW]}, headers={"X-Request-Id": "mine"}, timeout=30)
    assert answer.headers["x-request-id"] == "mine"
    first, second = (endpoint.predict(ROW).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_the_model_and_the_openapi_page_describe_a_request(endpoint, exported_bundle):
    facts = httpx.get(f"{endpoint.root}/model", timeout=30).json()
    assert facts["digest"] == Bundle.load(exported_bundle).digest
    schema = httpx.get(f"{endpoint.root}/openapi.json", timeout=30).json()["paths"]["/predict"]["post"]
    body = schema["requestBody"]["content"]["application/json"]["schema"]
    assert body["additionalProperties"] is False
    assert set(schema["responses"]) == {"200", *map(str, set(STATUS) - {404, 405})}
    row = body["properties"]["instances"]["items"]
    assert row["required"] == list(ROW)
    highest = row["properties"]["tenure"]["maximum"]
    assert endpoint.predict(ROW | {"tenure": highest}).status_code == 200
    refused = endpoint.predict(ROW | {"tenure": 1.0001 * highest})
    assert "expected a number from -3.402823e+38 to 3.402823e+38" in refused.json()["error"]["message"]
    assert httpx.post(endpoint.url, json=body["example"], timeout=30).status_code == 200


def test_the_first_page_shows_a_request_that_works(endpoint):
    page = httpx.get(f"{endpoint.root}/", timeout=30).text
    shown = html.unescape(re.search(r"<code>(curl .*?)</code>", page, re.S)[1])
    assert endpoint.url in shown
    body = shlex.split(shown)[-1]
    assert httpx.post(endpoint.url, content=body, headers=JSON, timeout=30).status_code == 200


def test_the_page_to_try_requests_loads_nothing_from_elsewhere(endpoint):
    page = httpx.get(f"{endpoint.root}/docs", timeout=30).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) >= 2
    for file in files:
        assert file.startswith("/")
        assert httpx.get(f"{endpoint.root}{file}", timeout=30).status_code == 200


def test_on_vertex_ai_the_environment_names_port_routes_and_bundle(exported_bundle, tmp_path):
    environment = {
        "AIP_HTTP_PORT": "0",
        "AIP_HEALTH_ROUTE": "/alive",
        "AIP_PREDICT_ROUTE": "/v1/models/churn:predict",
        "AIP_STORAGE_URI": str(exported_bundle),
    }
    with running(tmp_path, tmp_path, "serve.lenient=true", **environment) as server:
        assert server.url.endswith("/v1/models/churn:predict")
        assert server.predict(ROW, parameters={"any": 1}).status_code == 200
        assert httpx.get(f"{server.root}/alive", timeout=30).status_code == 200
        assert_missing_is_default(server)


@pytest.mark.parametrize("port", ["abc", "99999", "-1", "8080.0", "9" * 5_000])
def test_what_is_no_port_in_vertex_ai_s_variable_is_refused(monkeypatch, port):
    monkeypatch.setenv("AIP_HTTP_PORT", port)
    with pytest.raises(UserError, match=f"this is no port\n  where: AIP_HTTP_PORT={port}\n"):
        serve(compose_config())


@pytest.mark.parametrize("route", ["predict", "", "/a?b", "/docs", "/model", "/openapi.json"])
@pytest.mark.parametrize("name", ["predict", "health"])
def test_routes_that_cannot_work_are_refused_with_the_key_or_the_variable(monkeypatch, name, route):
    with pytest.raises(UserError, match=re.escape(f"where: serve.{name}_route={route}\n")):
        serve(compose_config(f"serve.{name}_route={route}"))
    if not route:  # an empty variable is none
        return
    monkeypatch.setenv(f"AIP_{name.upper()}_ROUTE", route)
    with pytest.raises(UserError, match=re.escape(f"where: AIP_{name.upper()}_ROUTE={route}\n")):
        serve(compose_config())


def test_only_predictions_may_take_the_place_of_the_first_page():
    check_routes(ServeConfig(predict_route="/"))
    with pytest.raises(UserError, match=r"another page there\n  where: serve.health_route=/\n"):
        check_routes(ServeConfig(health_route="/"))


def test_predictions_and_health_cannot_have_the_same_route():
    with pytest.raises(UserError, match="the same route\n  where: /health\n"):
        serve(compose_config("serve.predict_route=/health"))


def assert_missing_is_default(server):
    """With `serve.lenient` a field that is left out or null is missing; an unknown field stays an error."""
    full = ROW | {"tenure": -1e30, "payment": ""}
    left_out = {name: value for name, value in ROW.items() if name not in ("tenure", "payment")}
    first, second, third = (
        server.predict(row).json()["predictions"]
        for row in (full, left_out, ROW | {"tenure": None, "payment": None})
    )
    assert first == second == third
    assert server.predict(ROW | {"Tenure": 1}).status_code == 400
    assert server.predict(ROW | {"tenure": "x"}).status_code == 400


def test_a_taken_port_and_a_missing_bundle_are_the_user_s_errors(endpoint, exported_bundle, tmp_path):
    from conftest import churn

    port = endpoint.root.rpartition(":")[2]
    done = churn("serve", f"bundle={exported_bundle}", f"serve.port={port}", f"run.root={tmp_path}", code=2)
    assert "cannot listen" in done.stderr
    assert "not a bundle" in churn("serve", f"bundle={tmp_path}", code=2).stderr


def test_the_number_for_missing_is_the_graph_s():
    from churn.data.contract import MISSING_BELOW
    from churn.serve.protocol import MISSING

    assert MISSING["number"] == MISSING_BELOW
