variable "project" {
  type        = string
  description = "Project; deploy.project"
}

variable "bucket" {
  type        = string
  description = "Name of the new bucket; deploy.bucket"
}

variable "region" {
  type        = string
  description = "Region of bucket, data set, registry and endpoint; deploy.region"
  default     = "us-central1"
}

variable "name" {
  type        = string
  description = "Name and label of the deployment; deploy.name"
  default     = "churn-dev"
}

variable "kms_key" {
  type        = string
  description = "Key of the region that encrypts bucket, data set and registry; deploy.kms_key. null: Google's keys"
  default     = null
}

variable "public" {
  type        = bool
  description = "Whether who deploys may let anybody call the service; deploy.cloud_run.public"
  default     = false
}

variable "repository" {
  type        = string
  description = "OWNER/REPO on GitHub that may deploy"
}

output "identity_provider" {
  description = "The workflow's variable IDENTITY_PROVIDER"
  value       = google_iam_workload_identity_pool_provider.github.name
}

output "run_service_account" {
  description = "deploy.service_account with target=cloudrun"
  value       = google_service_account.run.email
}

output "service_account" {
  description = "The workflow's variable SERVICE_ACCOUNT"
  value       = google_service_account.deploy.email
}
