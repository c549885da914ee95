//! Secrets in XML.

use super::{MASKED, Place};
use crate::policy::Masks;
use crate::protocol::netconf::xml::{Token, Tokenizer};

/// Elements one inside the other, as a recorded message may have them.
const DEPTH_MAX: usize = 256;

/// The document with the text of secrets masked. What is `cut` ends at the last token that is whole.
pub(super) fn masked(masks: &Masks, body: &str, around: &[String], cut: bool) -> Result<String, String> {
    let place = Place { masks, around };
    let mut tokenizer = Tokenizer::new(DEPTH_MAX);
    tokenizer.push(body.as_bytes());
    let (mut out, mut names) = (String::new(), Vec::<String>::new());
    // How deep the outermost secret is that this is in, and whether its mask was written.
    let mut secret: Option<(usize, bool)> = None;
    let bad = |error: &dyn std::fmt::Display| format!("it cannot be read to be masked: {error}");
    while let Some(token) = tokenizer.next_token().map_err(|error| bad(&error))? {
        let raw = std::str::from_utf8(tokenizer.raw()).map_err(|error| bad(&error))?;
        match token {
            Token::Start(tag) => {
                names.push(tag.name.local.to_string());
                let names_now: Vec<&str> = names.iter().map(String::as_str).collect();
                if secret.is_none() && place.hides(&names_now) {
                    secret = Some((names.len(), false));
                    // An element may say it in an attribute.
                    let end = if tag.empty { "/>" } else { ">" };
                    out.push_str(&format!("<{}{end}", tag.qualified));
                } else if secret.is_none() {
                    out.push_str(raw);
                }
                if tag.empty {
                    leave(&mut names, &mut secret);
                }
            }
            Token::End => {
                let within = secret.is_some_and(|(depth, _)| names.len() > depth);
                if !within {
                    out.push_str(raw);
                }
                leave(&mut names, &mut secret);
            }
            Token::Text { .. } | Token::Cdata | Token::Comment => match &mut secret {
                Some((_, told)) => {
                    if !std::mem::replace(told, true) {
                        out.push_str(MASKED);
                    }
                }
                None => out.push_str(raw),
            },
            Token::Declaration => out.push_str(raw),
        }
    }
    if cut {
        out.push('…');
    } else {
        tokenizer.finish().map_err(|error| bad(&error))?;
    }
    Ok(out)
}

fn leave(names: &mut Vec<String>, secret: &mut Option<(usize, bool)>) {
    if secret.is_some_and(|(depth, _)| depth == names.len()) {
        *secret = None;
    }
    names.pop();
}
