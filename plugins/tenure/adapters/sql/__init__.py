"""The lifecycle database: PostgreSQL through SQLAlchemy, the only authority."""
