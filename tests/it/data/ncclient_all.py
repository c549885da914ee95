"""What an engineer's script does with ncclient: ncclient_all.py HOST PORT USER KEY.

Prints every answer without what differs from one session to the next, so that two ways to one server can be compared.
"""
import re
import sys

from ncclient import manager
from ncclient.operations import RPCError

host, port, user, key = sys.argv[1:]
SYSTEM = '<system xmlns="urn:ietf:params:xml:ns:yang:ietf-system">%s</system>'


def connect():
    return manager.connect(
        host=host, port=int(port), username=user, key_filename=key, hostkey_verify=False, allow_agent=False, look_for_keys=False, timeout=30
    )


def tell(what, answer):
    text = re.sub(r'message-id="[^"]*"', "", getattr(answer, "xml", str(answer)))
    text = re.sub(r'(last-modified|xml:lang|etag)="[^"]*"', "", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z?", "TIME", text)
    print(what, " ".join(text.split()))


def contact(value):
    return "<config>%s</config>" % (SYSTEM % ("<contact>%s</contact>" % value))


only = ("subtree", SYSTEM % "")
m, other = connect(), connect()
tell("lock", m.lock("candidate"))
tell("edit", m.edit_config(target="candidate", config=contact("noc &amp; more ]]&gt;"), default_operation="merge"))
tell("candidate", m.get_config("candidate", filter=only))
tell("running before", m.get_config("running", filter=only))
tell("commit", m.commit())
tell("running after", m.get_config("running", filter=only))
try:
    tell("xpath", m.get_config("running", filter=("xpath", ({"s": "urn:ietf:params:xml:ns:yang:ietf-system"}, "/s:system/s:contact"))))
except RPCError as error:
    # What netconfd says to prefixes that are declared on the filter itself.
    print("xpath", error.tag)
tell("unlock", m.unlock("candidate"))
tell("get", m.get(filter=only))
try:
    m.edit_config(target="candidate", config="<config>%s</config>" % (SYSTEM % "<nonsense>1</nonsense>"))
except RPCError as error:
    print("error", error.tag, error.severity)
tell("discard", m.discard_changes())
# A confirmed commit that is confirmed, and one that is cancelled.
m.edit_config(target="candidate", config=contact("confirmed"))
tell("confirmed commit", m.commit(confirmed=True, timeout="60"))
tell("confirm", m.commit())
m.edit_config(target="candidate", config=contact("cancelled"))
tell("confirmed commit", m.commit(confirmed=True, timeout="60"))
tell("cancel", m.cancel_commit())
tell("running after cancel", m.get_config("running", filter=only))
# Notifications: another session's change is told.
tell("subscribe", other.create_subscription())
m.edit_config(target="candidate", config=contact("told"))
m.commit()
while True:
    event = other.take_notification(timeout=30)
    if event is None:
        sys.exit("no notification came")
    if "netconf-config-change" in event.notification_xml:
        print("told of a change")
        break
# The second session is killed by the first.
tell("kill", m.kill_session(other.session_id))
other._session.join(30)
print("second session connected:", other.connected)
# Back to where it began, so that the next run sees the same.
m.edit_config(target="candidate", config='<config xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">%s</config>'
              % '<system xmlns="urn:ietf:params:xml:ns:yang:ietf-system" nc:operation="remove"/>')
tell("commit", m.commit())
tell("schema", str(m.get_schema("ietf-system").data)[:40] if hasattr(m, "get_schema") else "")
tell("close", m.close_session())
