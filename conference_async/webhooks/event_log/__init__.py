"""One log of events for every process: appended to before a callback is answered, read by all."""
