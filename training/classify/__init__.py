"""Classification of 12-lead records: data, models, training, evaluation; see ``python -m training classify``."""
