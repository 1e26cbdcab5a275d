"""Holds no DAG: Airflow shows in its import banner every config or suite that is broken.

The DAGs of a broken file keep its last valid form meanwhile; `tenure check` says the same text.
"""

from tenure.orchestration.checks import refuse_broken_configs

refuse_broken_configs()
