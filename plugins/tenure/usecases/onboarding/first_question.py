"""What a gateway may be asked first: one made-up row, of values as the newest version saw them.

Import it inside functions: it loads SQLAlchemy.
"""

from tenure.adapters.sql import versions
from tenure.installation import Installation
from tenure.lifecycle.serving import Signature

_SOME_DAY = "2024-02-29T18:00:00Z"


def first_question(platform: Installation, model: str) -> dict[str, object] | None:
    """The body of an `/infer` request of one row; None where no version was trained.

    Numbers are the middle of what training saw, texts the first of its categories, and so the row
    is nobody's.
    """
    with platform.database.begin() as connection:
        known = versions.all_of(connection, model)
        rows = [versions.row_by_id(connection, ref.id) for ref in known]
    trained = [row for row in rows if row.is_trained]
    if not trained:
        return None
    signature = Signature.from_facts(max(trained, key=lambda row: row.version).facts)
    return {
        "inputs": [
            {
                "name": name,
                "shape": [1],
                "datatype": "FP64" if name in signature.numeric else "BYTES",
                "data": [_made_up(signature, name)],
            }
            for name in signature.features
        ]
    }


def _made_up(signature: Signature, name: str) -> float | str | None:
    if name in signature.dates:
        return _SOME_DAY
    if name not in signature.numeric:
        return min(signature.categories.get(name, ()), default=None)
    low, high = signature.ranges.get(name, (0.0, 1.0))
    middle = low + (high - low) / 2
    short = float(f"{middle:.3g}")
    return short if low <= short <= high else middle
