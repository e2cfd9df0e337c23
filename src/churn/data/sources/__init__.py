"""Where tables come from: files, Kaggle, BigQuery, the generator."""
