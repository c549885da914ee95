"""A gNMI and gNOI target. CERT KEY CLIENT_CA, and `password` when clients need no certificate; prints its port, then each message it gets and gives: who, method, bytes in hexadecimal."""
import sys
import time
from concurrent import futures

import grpc
from pygnmi.spec.v080 import gnmi_pb2 as g

# A field that no schema has, as elements of later versions send: it must survive.
LATER = bytes.fromhex("9a060141")


def tell(context, direction, method, message):
    who = context.auth_context().get("x509_common_name", [b"-"])[0].decode()
    secrets = ["%s=%s" % (k, v) for k, v in context.invocation_metadata() if k in ("username", "password", "authorization", "x-own")]
    print(direction, who, method, message.hex() or "-", *secrets, flush=True)


def notification(paths, value, timestamp):
    updates = [g.Update(path=path, val=g.TypedValue(int_val=value)) for path in paths]
    # An empty prefix that is there, and a value that may be zero: presence must survive.
    return g.Notification(timestamp=timestamp, prefix=g.Path(), update=updates)


def answer(method, request):
    if method == "Capabilities":
        models = [g.ModelData(name="openconfig-interfaces", organization="reached", version="1")]
        return g.CapabilityResponse(supported_models=models, supported_encodings=[0, 4], gNMI_version="0.8.0").SerializeToString()
    if method == "Get":
        paths = list(g.GetRequest.FromString(request).path)
        if any(elem.name == "missing" for path in paths for elem in path.elem):
            raise KeyError("no such node: 100%")
        return g.GetResponse(notification=[notification(paths, 0, 1)]).SerializeToString() + LATER
    if method == "Set":
        asked = g.SetRequest.FromString(request)
        told = [g.UpdateResult(path=path, op=1) for path in asked.delete]
        told += [g.UpdateResult(path=one.path, op=op) for op, all in ((2, asked.replace), (3, asked.update)) for one in all]
        return g.SetResponse(prefix=asked.prefix, response=told, timestamp=1).SerializeToString()
    return b""


def unary(method):
    def serve(request, context):
        tell(context, "got", method, request)
        try:
            reply = answer(method, request)
        except KeyError as error:
            context.set_trailing_metadata([("x-own", "kept"), ("password", "never told")])
            context.abort(grpc.StatusCode.NOT_FOUND, error.args[0])
        tell(context, "gave", method, reply)
        return reply

    return grpc.unary_unary_rpc_method_handler(serve)


def subscribe(requests, context):
    first = next(requests)
    tell(context, "got", "Subscribe", first)
    asked = g.SubscribeRequest.FromString(first).subscribe
    paths = [subscription.path for subscription in asked.subscription]
    sync = g.SubscribeResponse(sync_response=True).SerializeToString()
    context.add_callback(lambda: print("over", flush=True))
    count = 0

    def update():
        return g.SubscribeResponse(update=notification(paths, count, time.time_ns())).SerializeToString()

    if asked.mode == g.SubscriptionList.POLL:
        for poll in requests:
            tell(context, "got", "Subscribe", poll)
            yield update()
            yield sync
            count += 1
        return
    yield update()
    yield sync
    if asked.mode == g.SubscriptionList.ONCE:
        return
    interval = asked.subscription[0].sample_interval / 1e9 or 0.01
    due = time.monotonic()
    while context.is_active():
        count += 1
        due += interval
        time.sleep(max(0, due - time.monotonic()))
        yield update()


def file_get(request, context):
    tell(context, "got", "File.Get", request)
    for piece in range(3):
        yield b"\x0a\x01" + b"abc"[piece : piece + 1]


def file_put(requests, context):
    for request in requests:
        tell(context, "got", "File.Put", request)
    return b""


def main():
    cert, key, ca = (open(path, "rb").read() for path in sys.argv[1:4])
    server = grpc.server(futures.ThreadPoolExecutor(16))
    handlers = {name: unary(name) for name in ("Capabilities", "Get", "Set")}
    handlers["Subscribe"] = grpc.stream_stream_rpc_method_handler(subscribe)
    files = {"Get": grpc.unary_stream_rpc_method_handler(file_get), "Put": grpc.stream_unary_rpc_method_handler(file_put)}
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("gnmi.gNMI", handlers),
        grpc.method_handlers_generic_handler("gnoi.file.File", files),
        grpc.method_handlers_generic_handler("gnoi.system.System", {"Time": unary("System.Time"), "Reboot": unary("System.Reboot")}),
    ))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)], ca, len(sys.argv) < 5))
    server.start()
    print("port", port, flush=True)
    server.wait_for_termination()


main()
