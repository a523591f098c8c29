"""The page: layout, callbacks and routes. Callbacks parse their inputs, call one function, and return."""
