"""What the columns of a table mean, read off their names and cells where the configuration does not say."""
