"""TransferQueue for `scale.py`: controller and simple storage in a process of their own, without Ray."""

import os
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import transfer_queue as tq
from transfer_queue import interface
from transfer_queue.controller import TransferQueueController
from transfer_queue.storage.simple_storage import SimpleStorageUnit

STORAGE_UNITS = 8  # verl's default


def start_queue() -> None:
    """Start a queue that ends with this process, and make it the one that `transfer_queue` asks.

    Raises:
        EOFError: it did not start.
    """
    ours, its = (context := get_context("spawn")).Pipe()
    context.Process(target=_serve, args=(its,), daemon=True).start()
    its.close()
    controller, units = ours.recv()
    client = tq.TransferQueueClient("driver", controller)
    client.initialize_storage_manager("SimpleStorage", {"num_data_storage_units": STORAGE_UNITS, "zmq_info": units})
    interface._TQ_CLIENT = client
    # Closed when this process ends, which the queue waits for.
    start_queue.pipe = ours  # type: ignore[attr-defined]


def _serve(pipe: Connection) -> None:
    """Run the classes that Ray's actors would be, and send their addresses."""

    def inside(actor: Any) -> Any:
        return actor.__ray_metadata__.modified_class

    controller = inside(TransferQueueController)()
    units = [inside(SimpleStorageUnit)({"num_data_storage_units": STORAGE_UNITS}) for _ in range(STORAGE_UNITS)]
    addresses = {f"unit {number}": unit.get_zmq_server_info() for number, unit in enumerate(units)}
    pipe.send((controller.get_zmq_server_info(), addresses))
    with suppress(EOFError):
        pipe.recv()
    # Its threads do not end.
    os._exit(0)
