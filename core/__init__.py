"""Values, ports, errors, policy and use cases: no framework, driver or GPU."""
