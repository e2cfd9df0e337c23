"""Customer churn, from a raw table to a model that is served, watched and retrained."""


def __getattr__(name: str) -> object:
    """`churn.fit`, `churn.load` and `churn.Model`, imported when they are asked for (`churn.frame`)."""
    if name not in ("fit", "load", "Model"):
        raise AttributeError(f"module 'churn' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("churn.frame"), name)
