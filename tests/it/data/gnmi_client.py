"""Drives pygnmi: PORT HOST IDENTITY CA, and `strict` to fail when a step does; steps as JSON on standard input; prints what came of each as JSON."""
import json
import logging
import sys

import grpc
from pygnmi.client import gNMIclient, gNMIException

port, host, identity, ca = sys.argv[1:5]
logging.disable(logging.CRITICAL)
cert, key = identity + "/cert.pem", identity + "/key.pem"


def raw():
    pem = [open(path, "rb").read() for path in (ca, key, cert)]
    options = [("grpc.ssl_target_name_override", host)]
    return grpc.secure_channel("127.0.0.1:" + port, grpc.ssl_channel_credentials(*pem), options)


def call(channel, step):
    """A call in bytes: one message or several, one answer or several."""
    messages = [bytes.fromhex(message) for message in step["messages"]]
    options = {"metadata": [tuple(pair) for pair in step.get("metadata", [])], "timeout": step.get("timeout", 20)}
    if step.get("gzip"):
        options["compression"] = grpc.Compression.Gzip
    if step.get("streams"):
        under_way = channel.stream_stream(step["method"])(iter(messages), **options)
        return {"answers": [answer.hex() for answer in under_way], "trailers": [list(pair) for pair in under_way.trailing_metadata()]}
    under_way = channel.unary_unary(step["method"]).with_call(messages[0], **options)
    return {"answers": [under_way[0].hex()], "text": under_way[0].decode("latin-1"), "trailers": [list(pair) for pair in under_way[1].trailing_metadata()]}


def values(update):
    return [one["val"] for one in update["update"]["update"]]


def follow(client, step):
    asked = {"subscription": [{"path": path, "mode": "sample", "sample_interval": step.get("interval", 10**7)} for path in step["paths"]], "mode": step["mode"], "encoding": "json"}
    following = client.subscribe2(subscribe=asked, target=step.get("target"))
    seen = []
    for _ in range(step.get("polls", 0)):
        seen += values(following.next())
    if step["mode"] == "once":
        seen += [value for update in following if "update" in update for value in values(update)]
    if step["mode"] == "stream":
        while len(seen) < step["count"]:
            seen += values(following.get_update(20))
    following.close()
    return {"values": seen}


def until(channel, step):
    """Follows a stream until it ends, and gives its status."""
    under_way = channel.stream_stream(step["method"])(iter_open(bytes.fromhex(step["messages"][0])), timeout=60)
    count = 0
    try:
        for _ in under_way:
            count += 1
            if count == 2:
                print("following", file=sys.stderr, flush=True)
    except grpc.RpcError as error:
        return {"count": count, "code": error.code().name, "text": error.details()}
    return {"count": count}


def iter_open(first):
    """A stream of requests that the client leaves open."""
    import threading

    yield first
    threading.Event().wait(60)


def do(client, channel, step):
    what = step["do"]
    if what == "capabilities":
        return client.capabilities()
    if what == "get":
        return client.get(path=step["paths"], datatype=step.get("type", "all"), target=step.get("target"))
    if what == "set":
        lists = {name: [tuple(pair) if isinstance(pair, list) else pair for pair in step[name]] for name in ("update", "replace", "delete") if name in step}
        return client.set(encoding=step.get("encoding", "json_ietf"), **lists)
    if what == "follow":
        return follow(client, step)
    return {"call": call, "until": until}[what](channel, step)


def told(error):
    under = getattr(error, "orig_exc", None) or error
    return {"code": under.code().name, "text": under.details(), "trailers": [list(pair) for pair in under.trailing_metadata() or []]}


def main():
    results = []
    steps = json.load(sys.stdin)
    channel = raw()
    client = None
    for step in steps:
        try:
            if client is None and step["do"] not in ("call", "until"):
                client = gNMIclient(("127.0.0.1", port), username="stolen", password="stolen", path_root=ca, path_cert=cert, path_key=key, override=host, gnmi_timeout=20)
                client.connect()
            results.append(do(client, channel, step))
        except (gNMIException, grpc.RpcError) as error:
            results.append(told(error))
    print(json.dumps(results))
    sys.stdout.flush()
    if client:
        client.close()
    channel.close()
    if "strict" in sys.argv and any("code" in result for result in results):
        sys.exit(1)


main()
