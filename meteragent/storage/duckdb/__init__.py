"""The analytic store: one DuckDB file for one agent that keeps much and is asked much."""
