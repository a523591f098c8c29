"""The domain: studies, annotations, and what is computed from them.

Nothing here knows of Dash, Flask or Plotly, and nothing keeps global state.
"""
