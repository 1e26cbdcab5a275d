# The image for every role: api-server, scheduler, dag-processor, triggerer, worker, gateway.
#   docker build -t tenure .
#   docker run tenure scheduler      (the entry point of the official image runs `airflow …`)
#   docker run tenure tenure serve --host 0.0.0.0 --behind-tls
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11
# hadolint ignore=DL3006
FROM ${AIRFLOW_IMAGE}

# The image's own constraints would win over our lock otherwise. What it brought in another version
# is replaced, and every file that is fetched is checked by hash.
ENV PIP_CONSTRAINT="" \
    UV_CONSTRAINT="" \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/airflow/plugins \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__WORKERS__EXECUTION_API_RETRIES=20 \
    AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX=15 \
    AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=30 \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_NUM_THREADS=1 \
    PYTHONPATH=/opt/airflow/plugins \
    TENURE_HOME=/opt/airflow/var \
    TENURE_INCLUDE=/opt/airflow/include

USER 50000
WORKDIR /opt/airflow

# The locks alone first: this layer is rebuilt only when a version changes.
COPY --chown=50000:0 requirements-build.txt requirements.txt /opt/airflow/
RUN pip install --require-hashes -r requirements-build.txt \
    && pip install --require-hashes --compile -r requirements.txt

COPY --chown=50000:0 pyproject.toml README.md LICENSE requirements.in /opt/airflow/
COPY --chown=50000:0 plugins /opt/airflow/plugins
COPY --chown=50000:0 include /opt/airflow/include
COPY --chown=50000:0 dags /opt/airflow/dags
COPY --chown=50000:0 docs/oncall.md /opt/airflow/docs/oncall.md
# Without dependencies: the lock above is complete.
RUN pip install --no-build-isolation --no-deps --editable . \
    && mkdir -p /opt/airflow/var \
    && tenure --help > /dev/null

# Whatever the role: the code loads, the configs hold, the lifecycle database answers.
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 \
    CMD ["tenure", "doctor", "--live"]
