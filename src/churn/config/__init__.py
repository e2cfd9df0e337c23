"""Every configuration key: its type, unit, bounds and default, declared once."""
