"""Which rows of a frame a model's serving policy refuses, as the gateway refuses requests."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.serving import MAX_TEXT, ServingPolicy, Signature

Mask = NDArray[np.bool_]


def refusals(features: Any, signature: Signature, policy: ServingPolicy) -> NDArray[np.object_]:
    """Why each row is refused, as `<feature>: <code of the gateway>`; empty: it is scored.

    The first feature of the signature's order that is refused is named. A number that is not
    finite is refused whatever the policy says; NaN is null.

    Args:
        features: A frame with float64 and text-or-None columns.
        signature: What training saw.
        policy: What is done about the rest.
    """
    reasons = np.full(len(features), "", dtype=object)
    for name in signature.features:
        for code, wrong in _wrong(name, features[name], signature, policy):
            reasons[wrong & (reasons == "")] = f"{name}: {code}"
    return reasons


def _wrong(
    name: str, column: Any, signature: Signature, policy: ServingPolicy
) -> Iterator[tuple[str, Mask]]:
    null = column.isna().to_numpy()
    if policy.on_null == "reject":
        yield "null", null
    if name in signature.numeric:
        values = column.to_numpy(dtype=np.float64)
        yield "not_a_number", np.isinf(values)
        if policy.on_out_of_range == "reject" and name in signature.ranges:
            low, high = signature.ranges[name]
            yield "out_of_range", ~null & ((values < low) | (values > high))
        return
    yield "not_a_text", (column.str.len() > MAX_TEXT).to_numpy(dtype=bool, na_value=False)
    if (spelling := signature.spelling(name)) is not None:
        misspelled = [text for text in column.dropna().unique() if spelling.is_misspelled(text)]
        yield "misspelled_category", column.isin(misspelled).to_numpy()
    if policy.on_unseen_category == "reject" and name in signature.categories:
        known = column.isin(list(signature.categories[name])).to_numpy()
        yield "unseen_category", ~null & ~known
