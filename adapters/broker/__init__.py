"""The queue and what belongs to it, inside this process (memory://) or shared over Redis."""

from adapters.broker.opening import Broker, open_broker

__all__ = ["Broker", "open_broker"]
