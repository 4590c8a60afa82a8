"""Web page and HTTP API of the live loop and the classifier. Needs the extra ``[server]``."""
