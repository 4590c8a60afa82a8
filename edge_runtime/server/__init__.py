"""A page to look at, and an API, around the live loop and the classifier. Needs the extra ``[server]``."""
