"""From data to Plotly figures and colours: pure functions, no state, no page."""
