"""Job queue, leases and progress, in this process (memory://) or shared over Redis."""

from adapters.broker.opening import Broker, open_broker

__all__ = ["Broker", "open_broker"]
