"""When a challenger is trained, how it proves itself, and how it comes to serve."""
