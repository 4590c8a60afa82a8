"""The device: machine facts, systemd, and the doctor."""
