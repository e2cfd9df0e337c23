# The table of deploy/iam.md as resources; tests/deploy/test_terraform.py compares both.
resource "google_service_account" "deploy" {
  account_id   = "churn-deploy"
  display_name = "deploys churn"
  depends_on   = [google_project_service.services]
}

resource "google_project_iam_member" "deploy" {
  for_each = toset(concat(
    ["roles/aiplatform.user", "roles/bigquery.user", "roles/artifactregistry.reader"],
    ["roles/run.developer", "roles/run.invoker", "roles/logging.configWriter"], # target=cloudrun
    var.public ? ["roles/run.admin"] : [],
  ))
  project    = var.project
  role       = each.key
  member     = google_service_account.deploy.member
  depends_on = [google_project_service.services]
}

resource "google_storage_bucket_iam_member" "deploy" {
  for_each = toset(["roles/storage.objectAdmin", "roles/storage.legacyBucketReader"])
  bucket   = google_storage_bucket.bundles.name
  role     = each.key
  member   = google_service_account.deploy.member
}

# The data set exists before the first deployment, so its maker does not own it.
resource "google_bigquery_dataset_iam_member" "deploy" {
  dataset_id = google_bigquery_dataset.log.dataset_id
  role       = "roles/bigquery.dataOwner"
  member     = google_service_account.deploy.member
}

# The container on Cloud Run: deploy.service_account with target=cloudrun. Without it the container runs as the
# project's default account, which who deploys may not use.
resource "google_service_account" "run" {
  account_id   = "churn-run"
  display_name = "churn on Cloud Run"
  depends_on   = [google_project_service.services]
}

resource "google_storage_bucket_iam_member" "run" {
  bucket = google_storage_bucket.bundles.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.run.member
}

resource "google_service_account_iam_member" "deploy_as_run" {
  service_account_id = google_service_account.run.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deploy.member
}

# An ID token of its own account, for the rows that are compared.
resource "google_service_account_iam_member" "token" {
  service_account_id = google_service_account.deploy.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_service_account.deploy.member
}

resource "google_iam_workload_identity_pool" "github" {
  workload_identity_pool_id = "github"
  depends_on                = [google_project_service.services]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_condition                = "assertion.repository=='${var.repository}'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  service_account_id = google_service_account.deploy.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/attribute.repository/${var.repository}"
}

# Google's services use the key in the name of their agents. A new project has the last three only after
#   gcloud beta services identity create --service=aiplatform.googleapis.com (and run., artifactregistry.)
data "google_project" "this" {
  depends_on = [google_project_service.services]
}

data "google_storage_project_service_account" "agent" {
  depends_on = [google_project_service.services]
}

data "google_bigquery_default_service_account" "agent" {
  depends_on = [google_project_service.services]
}

locals {
  agents = {
    storage  = data.google_storage_project_service_account.agent.email_address
    bigquery = data.google_bigquery_default_service_account.agent.email
    vertex   = "service-${data.google_project.this.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    run      = "service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com"
    registry = "service-${data.google_project.this.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each      = { for name, email in local.agents : name => email if var.kms_key != null }
  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}
