//! What a place in the tree holds (pure).

use serde_json::Value;

use super::edit::Place;
use super::model::Module;

/// What is at `place`: where a key is left out, of every entry. Each with its path of plain names and keys.
pub(super) fn select<'t>(tree: &'t Value, place: &Place) -> Vec<(Place, &'t Value)> {
    let mut found = vec![(Place { module: place.module, steps: Vec::new() }, tree)];
    let first = place.module.map(Module::member).unwrap_or_default();
    for (depth, step) in place.steps.iter().enumerate() {
        let name = if depth == 0 { first.as_str() } else { step.node.name };
        let last = depth + 1 == place.steps.len();
        let mut below = Vec::new();
        for (at, value) in found {
            let Some(value) = value.get(name) else { continue };
            let to = |key: Option<String>| {
                let mut at = at.clone();
                at.steps.push(super::edit::Step { node: step.node, key });
                at
            };
            let Some(key_name) = step.node.key() else {
                below.push((to(None), value));
                continue;
            };
            if last && step.key.is_none() {
                below.push((to(None), value));
                continue;
            }
            for entry in value.as_array().into_iter().flatten() {
                let own = entry.get(key_name).and_then(Value::as_str).unwrap_or_default();
                if step.key.as_deref().is_none_or(|key| key == own) {
                    below.push((to(Some(own.to_owned())), entry));
                }
            }
        }
        found = below;
    }
    found
}
