"""What the columns of a table mean, inferred from names and cells where the configuration does not say."""
