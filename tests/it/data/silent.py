"""Holds connections that say nothing, from another address than everybody's: silent.py PORT HOW_MANY. Lasts two minutes at most."""
import socket, sys, threading

port, count = int(sys.argv[1]), int(sys.argv[2])
held = [socket.create_connection(("127.0.0.1", port), 15, source_address=("127.0.0.2", 0)) for _ in range(count)]
print("held", len(held), flush=True)
threading.Event().wait(120)
