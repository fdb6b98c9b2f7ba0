"""Any exporter as a pollster."""
