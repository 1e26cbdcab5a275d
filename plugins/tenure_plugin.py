"""The only file that Airflow's plugin scan reads (`.airflowignore` hides the package beside it).

The scheduler, the dag processor and every task import it, so the pages themselves are imported when
the first request for them comes.
"""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

_CARD = "tenure/card?dag={DAG_ID}&run={RUN_ID}&task={TASK_ID}&map_index={MAP_INDEX}"


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application of the pages, built at the first request."""
    global _app  # noqa: PLW0603 -- one for the process
    if _app is None:
        from tenure.web.app import build

        _app = build()
    await _app(scope, receive, send)


_app: Any = None


class TenurePlugin(AirflowPlugin):
    """Pages in the navigation and on every task."""

    name = "tenure"
    fastapi_apps: ClassVar[list[Any]] = [{"name": "Tenure", "app": pages, "url_prefix": "/tenure"}]
    external_views: ClassVar[list[Any]] = [
        {
            "name": "Tenure",
            "href": "tenure/",
            "destination": "nav",
            "url_route": "tenure",
            "nav_top_level": True,
            "icon": "/tenure/static/icon.svg",
            "icon_dark_mode": "/tenure/static/icon-dark.svg",
        },
        {"name": "Tenure", "href": _CARD, "destination": "task_instance", "url_route": "card"},
    ]
