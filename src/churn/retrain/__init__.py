"""Train a challenger when the policy asks for one, and promote it when the gate lets it pass."""
