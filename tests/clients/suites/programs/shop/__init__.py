"""An application of Django: makers and their things."""
