//! Command lines inside XML: what vendors carry in RPCs, in edits and even in filters. Each line is decided whole, as `cli.run`.

use super::Refused;
use crate::protocol::netconf::xml::Element;

/// Elements that carry command lines, in lower case: Junos, IOS and IOS XE, IOS XR, NX-OS, SR OS, VRP, Comware.
const CARRIERS: &[&str] = &[
    "cli",
    "cli-command",
    "cli-config-data",
    "cli-config-data-block",
    "cli-exec",
    "cli-oper-data-block",
    "command",
    "config-format-text-block",
    "config-format-text-cmd",
    "config-format-xml",
    "config-ios-cli-rpc",
    "configuration-set",
    "configuration-text",
    "exec",
    "exec-cli",
    "exec-command",
    "execute-cli",
    "load-configuration",
    "md-cli-raw-command",
    "oper-data-format-text-block",
    "oper-data-format-text-cmd",
    "oper-data-format-xml",
    "run-command",
];
/// Elements within a carrier that hold lines.
const HOLDERS: &[&str] = &[
    "cli",
    "clis",
    "cmd",
    "cmdline",
    "command",
    "configuration",
    "configuration-set",
    "exec",
    "execution",
    "md-cli-input-line",
];
/// Elements within a carrier that say nothing to the element's command line.
const HARMLESS: &[&str] = &["format", "id"];
/// Lines of one message.
const LINES_MAX: usize = 10_000;

fn is_one_of(element: &Element, names: &[&str]) -> bool {
    names.iter().any(|name| element.name.local.eq_ignore_ascii_case(name))
}

/// The lines of an operation that carries some; nothing when it carries none.
pub(super) fn lines_of(element: &Element) -> Result<Option<Vec<String>>, Refused> {
    if !is_one_of(element, CARRIERS) {
        return Ok(None);
    }
    let mut lines = Vec::new();
    gather(element, true, &mut lines)?;
    match lines.len() {
        0 => Err(Refused::invalid("there is no command line")),
        1..=LINES_MAX => Ok(Some(lines)),
        _ => Err(Refused::invalid(format!("a message may have {LINES_MAX} command lines at most"))),
    }
}

/// The lines that stand at the top of a configuration or filter in the place of data.
pub(super) fn lines_in(holder: &Element) -> Result<Option<Vec<String>>, Refused> {
    let carriers = holder.children.iter().filter(|child| is_one_of(child, CARRIERS)).count();
    if carriers == 0 {
        return Ok(None);
    }
    if carriers != holder.children.len() {
        return Err(Refused::unsupported("the gateway does not take data and command lines in one message"));
    }
    let mut lines = Vec::new();
    for child in &holder.children {
        lines.extend(lines_of(child)?.unwrap_or_default());
    }
    Ok(Some(lines))
}

/// The lines of a carrier anywhere in an action.
pub(super) fn lines_within(element: &Element) -> Result<Option<Vec<String>>, Refused> {
    if let Some(lines) = lines_of(element).ok().flatten().filter(|_| is_one_of(element, &["md-cli-raw-command"])) {
        return Ok(Some(lines));
    }
    let mut found = None;
    for child in &element.children {
        if let Some(lines) = lines_within(child)?
            && (found.replace(lines).is_some() || element.children.len() > 1)
        {
            return Err(Refused::unsupported("the gateway does not take this action"));
        }
    }
    Ok(found)
}

/// SECURITY: text in a place that is not known might be a command too, so it is refused.
fn gather(element: &Element, outermost: bool, lines: &mut Vec<String>) -> Result<(), Refused> {
    let unknown =
        || Refused::unsupported(format!("the gateway cannot tell the command line in `{}`", element.name.local));
    let attributes_known = element.attributes.iter().all(|a| a.name.is("", "format") || a.name.is("", "action"));
    if element.unclear || !attributes_known {
        return Err(unknown());
    }
    if !element.children.is_empty() {
        return element.children.iter().try_for_each(|child| gather(child, false, lines));
    }
    let text = element.text.trim();
    if is_one_of(element, HOLDERS) || outermost && !is_one_of(element, &["load-configuration"]) {
        for line in text.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
            if line.contains(char::is_control) {
                return Err(Refused::invalid("a command line holds a control character"));
            }
            lines.push(line.to_owned());
        }
        Ok(())
    } else if text.is_empty() || is_one_of(element, HARMLESS) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(unknown())
    }
}
