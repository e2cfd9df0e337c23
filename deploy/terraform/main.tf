# What a project needs before `churn deploy`: services, bucket, data set, registry, accounts with the least roles of
# deploy/iam.md, and GitHub's identity. It holds no model, endpoint or job: those come and go with `churn`.
# In a new project, first: Terraform enables the other services through this one.
#   gcloud services enable cloudresourcemanager.googleapis.com --project=PROJECT
#   terraform init && terraform apply -var project=PROJECT -var bucket=BUCKET -var repository=OWNER/REPO
terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

locals {
  services = [
    "aiplatform", "artifactregistry", "bigquery", "cloudbuild", "cloudresourcemanager", "iam", "iamcredentials",
    "logging", "run", "storage", "sts",
  ]
  labels = { churn-deployment = var.name }
}

resource "google_project_service" "services" {
  for_each           = toset(local.services)
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_storage_bucket" "bundles" {
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = local.labels
  soft_delete_policy {
    retention_duration_seconds = 604800
  }
  dynamic "encryption" {
    for_each = var.kms_key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }
  depends_on = [google_project_service.services, google_kms_crypto_key_iam_member.agents]
}

# `churn destroy` removes it with the deployment; the next apply, or deployment, makes it again.
resource "google_bigquery_dataset" "log" {
  dataset_id = "${replace(var.name, "-", "_")}_log"
  location   = var.region
  labels     = local.labels
  dynamic "default_encryption_configuration" {
    for_each = var.kms_key[*]
    content {
      kms_key_name = default_encryption_configuration.value
    }
  }
  depends_on = [google_project_service.services, google_kms_crypto_key_iam_member.agents]
}

resource "google_artifact_registry_repository" "churn" {
  repository_id = "churn"
  location      = var.region
  format        = "DOCKER"
  labels        = local.labels
  kms_key_name  = var.kms_key
  depends_on    = [google_project_service.services, google_kms_crypto_key_iam_member.agents]
}
