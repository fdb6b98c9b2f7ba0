"""What the performance and endurance goals are measured with; never part of the timed tests."""
