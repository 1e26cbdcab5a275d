"""Holds no DAG: it makes Airflow's import banner show every config or suite that is broken.

Meanwhile the DAGs of a broken file keep its last valid form; `tenure check` prints the same text.
"""

from tenure.orchestration.checks import refuse_broken_configs

refuse_broken_configs()
