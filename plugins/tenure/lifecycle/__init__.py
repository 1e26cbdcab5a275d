"""The thinking, pure Python, one module a stage; knows no Airflow, database or ML library."""
