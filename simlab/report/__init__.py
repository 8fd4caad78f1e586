"""Pictures, pages and tables for people. The only room that imports matplotlib, jinja2 and rich."""
