"""Subjects of the measurements: models, networks, training runs, faulty cameras."""
