"""The conformance runner: what installs, starts, calls and reports; standard library only."""
