from hypothesis import given
from pydantic import TypeAdapter

from iscan_dash.core.selection import Cells, Query
from iscan_dash.core.selection.query import conditions, simplified, to_json
from iscan_dash.services.selection_actions import ConditionForm
from tests.core.selection.queries import queries


@given(queries)
def test_a_query_survives_the_way_to_the_page_and_back(query: Query) -> None:
    lists = {own.digest: own for own in conditions(query) if isinstance(own, Cells)}
    form = TypeAdapter(ConditionForm).validate_python(to_json(query))
    back = form.query(lists.get)
    # Texts of ids are read as they are pasted, so only their first form is their own.
    assert to_json(form.query(lists.get)) == to_json(back)
    if not lists:
        assert simplified(back) == simplified(query)
