"""What is measured: models, networks, runs, faulty cameras."""
