//! What the gateway answers in the element's place (RFC 6241 §4.3, appendix A). Pure.

use super::actions::{ErrorTag, Refused, ReplyHead, error_path};
use super::observe::escaped;
use crate::domain::Action;
use crate::domain::data::Models;

/// An `<rpc-error>` in answer to an RPC.
pub(super) fn error(
    head: &ReplyHead,
    tag: ErrorTag,
    message: &str,
    path: Option<(String, Vec<(String, String)>)>,
) -> String {
    let ReplyHead { prefix: p, attributes, .. } = head;
    let kind = match tag {
        ErrorTag::MalformedMessage => "rpc",
        ErrorTag::TooBig => "rpc",
        ErrorTag::AccessDenied
        | ErrorTag::InvalidValue
        | ErrorTag::OperationFailed
        | ErrorTag::OperationNotSupported => "application",
    };
    let path = path.map_or(String::new(), |(path, declared)| {
        let declared: String =
            declared.iter().map(|(prefix, ns)| format!(" xmlns:{prefix}=\"{}\"", escaped(ns))).collect();
        format!("<{p}error-path{declared}>{}</{p}error-path>", escaped(&path))
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{p}rpc-reply{attributes}><{p}rpc-error><{p}error-type>{kind}</{p}error-type><{p}error-tag>{tag}</{p}error-tag>\
         <{p}error-severity>error</{p}error-severity>{path}<{p}error-message xml:lang=\"en\">{message}</{p}error-message></{p}rpc-error></{p}rpc-reply>",
        tag = tag.as_str(),
        message = escaped(message),
    )
}

/// The answer to an RPC that could not be decided.
pub(super) fn refused(head: &ReplyHead, refused: &Refused) -> String {
    error(head, refused.tag, &format!("refused by the gateway: {}", refused.text), None)
}

/// The answer to an RPC of which policy denies `action`.
pub(super) fn denied(head: &ReplyHead, message: &str, action: &Action, models: &Models) -> String {
    error(head, ErrorTag::AccessDenied, message, error_path(action, models))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::netconf::actions::{BASE, Envelope};
    use crate::protocol::netconf::xml::{self, Limits};

    const LIMITS: Limits = Limits { depth_max: 10, elements_max: 100 };

    #[test]
    fn answers_carry_what_the_request_had() {
        let request = format!(
            "<nc:rpc xmlns:nc='{BASE}' xmlns:x='urn:x' x:y=\"&lt;1\" nc:message-id='no' message-id='a&amp;b'><nc:get/></nc:rpc>"
        );
        let head = Envelope::read(request.as_bytes(), LIMITS).expect("an RPC").head;
        let action = Action::new(crate::domain::Verb::NetconfMerge, "running:/ietf-system:system/x");
        let text = denied(&head, "not <allowed>", &action, &Models::default());
        let (root, ..) = xml::read(text.as_bytes(), LIMITS).expect("XML");
        assert!(root.name.is(BASE, "rpc-reply"));
        assert_eq!((root.attribute("", "message-id"), root.attribute("urn:x", "y")), (Some("a&b"), Some("<1")));
        let error = root.named(BASE, "rpc-error").next().expect("an error");
        let field = |name: &'static str| error.named(BASE, name).next().map(|field| field.text.clone());
        assert_eq!(field("error-tag").as_deref(), Some("access-denied"));
        assert_eq!(field("error-path").as_deref(), Some("/ietf-system:system/ietf-system:x"));
        assert_eq!(field("error-message").as_deref(), Some("not <allowed>"));
    }
}
