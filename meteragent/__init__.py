"""meteragent: a metering agent whose samples are counted once."""
