"""deploy/terraform/ grants what the table of deploy/iam.md says, and nothing else."""

import re
import shutil
import subprocess

import hcl2
import pytest
from conftest import ROOT

from churn.vertex.plan import terraform

FOLDER = ROOT / "deploy" / "terraform"
GRANTS = {  # kind of resource -> what its role is on, in words of deploy/iam.md
    "google_project_iam_member": "project",
    "google_storage_bucket_iam_member": "bucket",
    "google_bigquery_dataset_iam_member": "data set of the log",
    "google_service_account_iam_member": "`churn-deploy@PROJECT`",
    "google_kms_crypto_key_iam_member": "`deploy.kms_key`, if set",
}
MADE = (
    "google_project_service",
    "google_storage_bucket",
    "google_bigquery_dataset",
    "google_artifact_registry_repository",
    "google_service_account",
    "google_iam_workload_identity_pool",
    "google_iam_workload_identity_pool_provider",
)


def resources():
    """Kind, name and body of each resource."""
    for file in sorted(FOLDER.glob("*.tf")):
        for block in hcl2.loads(file.read_text()).get("resource", []):
            for kind, named in block.items():
                for name, body in named.items() if isinstance(named, dict) else ():
                    yield kind.strip('"'), name.strip('"'), body


def place(kind, body):
    """What a grant is on, in words of deploy/iam.md."""
    of_run = kind == "google_service_account_iam_member" and ".run." in body["service_account_id"]
    return "`deploy.service_account`, if set" if of_run else GRANTS[kind]


def rows_of_iam():
    """Identity, roles and resource of each row of the first table."""
    text, identity = (ROOT / "deploy" / "iam.md").read_text().partition("```")[0], ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and "roles/" in cells[1]:
            identity = cells[0] or identity
            yield identity, re.findall("roles/[a-zA-Z.]+", cells[1]), cells[2]


def grants():
    """Role and resource of each grant of Terraform."""
    return {
        (role, place(kind, body))
        for kind, _, body in resources()
        if kind in GRANTS
        for role in re.findall("roles/[a-zA-Z.]+", f"{body.get('for_each', '')} {body['role']}")
    }


ON = {  # what a command of deploy/iam.md binds a role on, in words of its table
    "PROJECT": "project",
    "gs://BUCKET": "bucket",
    "churn-deploy@PROJECT.iam.gserviceaccount.com": "`churn-deploy@PROJECT`",
    "churn-run@PROJECT.iam.gserviceaccount.com": "`deploy.service_account`, if set",
}
NOT_BY_HAND = {  # for everybody's calls, a data set that Terraform made, a key: the table says when
    "roles/run.admin", "roles/bigquery.dataOwner", "roles/cloudkms.cryptoKeyEncrypterDecrypter",
}  # fmt: skip


def bound_by_hand():
    """Role and resource of each grant in the first block of commands of deploy/iam.md."""
    text = (ROOT / "deploy" / "iam.md").read_text().split("```bash")[1].partition("```")[0]
    for part in re.split(r"^(?=for |gcloud )", text.replace("\\\n", ""), flags=re.M):
        looped = re.match("for role in ([^;]*); do", part)
        for resource, role in re.findall(r"add-iam-policy-binding (\S+).*--role=roles/(\S+)", part):
            for name in looped[1].split() if looped else [role]:
                yield f"roles/{name}", ON[resource]


def test_the_commands_grant_what_terraform_grants():
    assert {*bound_by_hand()} == {(role, on) for role, on in grants() if role not in NOT_BY_HAND}


def test_every_role_is_one_of_the_table_and_on_the_same_resource():
    granted = grants()
    known = {(role, resource) for _, roles, resource in rows_of_iam() for role in roles}
    assert granted <= known, granted - known
    deployer = {
        (role, resource)
        for identity, roles, resource in rows_of_iam()
        if identity.startswith(
            ("who deploys", "GitHub", "the container on Cloud Run", "Google's service agents")
        )
        if resource in (*GRANTS.values(), "`deploy.service_account`, if set")
        for role in roles
    }
    assert deployer == granted


def blocks():
    """The text of each resource, data source and local value, by its address."""
    for file in sorted(FOLDER.glob("*.tf")):
        tree = hcl2.loads(file.read_text())
        for values in tree.get("locals", []):
            yield from ((f"local.{name}", str(value)) for name, value in values.items())
        for prefix, section in (("", "resource"), ("data.", "data")):
            for block in tree.get(section, []):
                for kind, named in block.items():
                    for name, body in named.items() if isinstance(named, dict) else ():
                        yield prefix + f"{kind}.{name}".replace('"', ""), str(body)


def test_nothing_is_made_or_looked_up_before_the_services_are_enabled():
    texts = dict(blocks())

    def waits(address, seen=()):
        if address == "google_project_service.services":
            return True
        named = [a for a in texts if re.search(rf"(?<![\w.]){re.escape(a)}\b", texts[address])]
        return any(waits(other, (*seen, address)) for other in named if other not in (*seen, address))

    assert sum(address.startswith("data.") for address in texts) == 3
    assert [a for a in texts if not a.startswith("local.") and not waits(a)] == []


def test_every_kind_of_resource_is_made_or_grants_a_role():
    assert {kind for kind, _, _ in resources()} == {*MADE, *GRANTS}


def test_the_bucket_is_private_and_what_churn_owns_has_its_label():
    bodies = {kind: body for kind, _, body in resources()}
    assert bodies["google_storage_bucket"]["public_access_prevention"].strip('"') == "enforced"
    for kind in ("google_storage_bucket", "google_bigquery_dataset"):
        assert "local.labels" in bodies[kind]["labels"]


TAKES_KEY = {  # resource that takes a key: the argument, or the block with it (hashicorp/google 6)
    "google_storage_bucket": "encryption",
    "google_bigquery_dataset": "default_encryption_configuration",
    "google_artifact_registry_repository": "kms_key_name",
}


def test_every_resource_that_takes_a_key_gets_it():
    for kind, _, body in resources():
        if kind in TAKES_KEY:
            blocks = {name.strip('"') for block in body.get("dynamic", []) for name in block}
            assert TAKES_KEY[kind] in {*body, *blocks}, kind
            assert "var.kms_key" in str(body), kind
    keyless = {
        "google_project_service",
        *(kind for kind in MADE if kind.startswith(("google_iam", "google_service"))),
    }
    assert {*MADE} == {*TAKES_KEY, *keyless}, "a new kind: does it take a key?"


def test_every_service_that_the_commands_call_is_enabled():
    from churn.vertex.cloud.errors import SERVICES

    text = (FOLDER / "main.tf").read_text()
    assert [name for name in SERVICES if f'"{name}"' not in text] == []


def test_the_plan_knows_every_resource_that_the_files_make():
    made = {f"{kind}.{name}" for kind, name, _ in resources() if kind not in GRANTS}
    assert made - set(terraform.ALL) == {"google_iam_workload_identity_pool.github"}  # the provider is in it
    assert all(f'"{name}"' in (FOLDER / "main.tf").read_text() for name in terraform.SERVICES)


def test_the_files_are_formatted():
    if shutil.which("terraform") is None:
        pytest.skip("there is no terraform on this machine")
    command = ["terraform", "fmt", "-check", str(FOLDER)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
