import json
import re
from html import unescape

from dash import Dash
from flask.testing import FlaskClient

from tests.web.conftest import visitor

LINK = re.compile(r'<link rel="preload" as="fetch" crossorigin href="([^"]+)"(?: data-first=\'(\w+)\')?>')


def links(client: FlaskClient, address: str) -> dict[str, str]:
    page = client.get(address).get_data(as_text=True)
    return {unescape(href): what for href, what in LINK.findall(page)}


def test_a_page_asks_at_once_for_what_its_first_plot_shows(app: Dash) -> None:
    client = visitor(app)
    layout = json.dumps(client.get("/_dash-layout").get_json())
    found = links(client, "/")
    assert list(found)[:2] == ["/_dash-layout", "/_dash-dependencies"]
    arrays = {what: address for address, what in found.items() if what}
    assert list(arrays) == ["points", "codes"]
    assert f'"xy": "{arrays["points"]}"' in layout
    assert f'"codes": "{arrays["codes"]}"' in layout
    for address in found:
        assert client.get(address).status_code == 200


def test_a_link_to_another_plot_asks_for_no_arrays(app: Dash) -> None:
    assert list(links(visitor(app), "/?view=X_umap~gene:CD3D")) == ["/_dash-layout", "/_dash-dependencies"]
