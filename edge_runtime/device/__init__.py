"""The machine itself: what it is, systemd, and the doctor."""
