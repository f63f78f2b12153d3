"""Lifetimes and peaks, against pencil and paper and against a definition written out longhand."""

from __future__ import annotations

from hypothesis import given

from edgeunet.analysis.liveness import Lifetime, liveness_of
from edgeunet.graph.summary import GraphView, TensorKind
from tests.analysis.graphs import Builder, random_views


def spans(view: GraphView, **options: bool) -> dict[str, tuple[int, int]]:
    liveness = liveness_of(view, **options)
    return {item.name: (item.start, item.end) for item in liveness.activations}


def test_a_tensor_lives_from_its_maker_to_its_last_reader() -> None:
    """
    step   0  1  2  3
    a      |=====|        made by 0, read by 1 and 2
    b         |=====|     made by 1, read by 2
    c            |==|     made by 2, read by 3; y is the caller's
    """
    b = Builder(x=(10,))
    b.node("Relu", "x", "a", 10)
    b.node("Relu", "a", "b", 20)
    b.node("Add", "a b", "c", 30)
    b.node("Relu", "c", "y", 40)
    view = b.view("y")
    assert spans(view) == {"a": (0, 3), "b": (1, 3), "c": (2, 4)}
    liveness = liveness_of(view)
    assert liveness.live_bytes == (40, 120, 240, 120)
    assert (liveness.peak_bytes, liveness.peak_step) == (240, 2)
    assert [item.name for item in liveness.alive_at(2)] == ["c", "b", "a"]


def test_inputs_and_outputs_are_listed_apart() -> None:
    b = Builder(x=(10,))
    b.node("Relu", "x", "y", 10)
    b.node("Add", "x y", "z", 10)
    b.node("Relu", "z", "unused", 10)
    borders = liveness_of(b.view("y")).borders
    assert borders == (
        Lifetime("x", 40, TensorKind.INPUT, 0, 2, (0, 1)),
        Lifetime("y", 40, TensorKind.OUTPUT, 0, 3, (1,)),
    )


def test_a_tensor_nobody_reads_lives_for_one_step() -> None:
    b = Builder(x=(10,))
    b.node("Relu", "x", "lost", 10)
    b.node("Relu", "x", "y", 10)
    assert spans(b.view("y")) == {"lost": (0, 1)}


def views_of_views() -> GraphView:
    b = Builder(x=(6,))
    b.node("Relu", "x", "a", 6)
    b.node("Reshape", "a", "flat", 2, 3)
    b.node("Unsqueeze", "flat", "deep", 1, 2, 3)
    b.node("Relu", "x", "other", 6)
    b.node("Relu", "deep", "y", 1, 2, 3)
    return b.view("y")


def test_views_share_the_buffer_they_look_at() -> None:
    view = views_of_views()
    assert spans(view) == {"a": (0, 5), "other": (3, 4)}
    first = liveness_of(view).activations[0]
    assert (first.views, first.uses) == (("flat", "deep"), (1, 2, 4))


def test_views_that_copy_are_counted_when_asked() -> None:
    view = views_of_views()
    copied = {"a": (0, 2), "flat": (1, 3), "deep": (2, 5), "other": (3, 4)}
    assert spans(view, share_views=False) == copied
    assert liveness_of(view).peak_bytes == 48
    assert liveness_of(view, share_views=False).peak_bytes == 48


def test_a_view_of_an_input_takes_nothing() -> None:
    b = Builder(x=(6,))
    b.node("Reshape", "x", "flat", 2, 3)
    b.node("Relu", "flat", "y", 2, 3)
    liveness = liveness_of(b.view("y"))
    assert liveness.activations == ()
    assert liveness.borders[0].end == 2


def test_a_view_that_is_an_output_is_the_callers_own_buffer() -> None:
    b = Builder(x=(6,))
    b.node("Relu", "x", "a", 6)
    b.node("Reshape", "a", "y", 2, 3)
    assert spans(b.view("y")) == {"a": (0, 2)}


@given(random_views())
def test_live_bytes_are_what_the_definition_says(view: GraphView) -> None:
    """Longhand: a buffer counts at a step if it was made and it, or a view of it, is read later."""
    root: dict[str, str] = {}
    for node in view.nodes:
        for name in node.outputs:
            alias = node.is_view and view.tensor(name).kind is TensorKind.ACTIVATION
            root[name] = root.get(node.inputs[0], node.inputs[0]) if alias else name
    expected = []
    for step in range(len(view.nodes)):
        needed = set(view.nodes[step].outputs)
        for later in view.nodes[step:]:
            needed.update(later.inputs)
        made = {name for node in view.nodes[: step + 1] for name in node.outputs}
        roots = {root[name] for name in needed & made}
        expected.append(
            sum(
                view.tensor(name).size_bytes
                for name in roots
                if view.tensor(name).kind is TensorKind.ACTIVATION
            )
        )
    assert list(liveness_of(view).live_bytes) == expected
