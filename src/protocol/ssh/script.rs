//! Test support: a conversation between a client and an element, with an inspector between them.

use super::inspect::{Ask, Flow, Inspect, InspectError};
use crate::domain::Action;
use crate::recording::FileEvent;

/// Who speaks, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Client(Vec<u8>),
    Element(Vec<u8>),
}

/// Everything that came of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Result {
    pub(super) to_element: Vec<u8>,
    pub(super) to_client: Vec<u8>,
    pub(super) events: Vec<String>,
    pub(super) asked: Vec<String>,
    pub(super) error: Option<InspectError>,
}

/// Allows what `refuses` does not name.
pub(super) struct Policy<'a> {
    pub(super) asked: Vec<String>,
    pub(super) refuses: &'a dyn Fn(&str) -> bool,
}

impl Ask for Policy<'_> {
    fn allow(&mut self, action: &Action) -> std::result::Result<(), String> {
        let text = action.to_string();
        self.asked.push(text.clone());
        if (self.refuses)(&text) { Err(format!("not {text}")) } else { Ok(()) }
    }
}

/// Runs a conversation; `cuts` gives the length of each chunk a step is cut into, over and over.
pub(super) fn run(
    mut inspector: impl Inspect,
    steps: &[Step],
    refuses: &dyn Fn(&str) -> bool,
    cuts: &[usize],
) -> Result {
    let mut policy = Policy { asked: Vec::new(), refuses };
    let mut result = Result::default();
    let mut cuts = cuts.iter().cycle();
    let mut flow = Flow::default();
    'steps: for step in steps {
        let (Step::Client(bytes) | Step::Element(bytes)) = step;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((*cuts.next().unwrap_or(&usize::MAX)).clamp(1, rest.len()));
            rest = after;
            let passed = match step {
                Step::Client(_) => inspector.from_client(chunk, &mut policy, &mut flow),
                Step::Element(_) => inspector.from_element(chunk, &mut policy, &mut flow),
            };
            result.take(&mut flow);
            if let Err(error) = passed {
                result.error = Some(error);
                break 'steps;
            }
        }
    }
    inspector.finish(&mut flow);
    result.take(&mut flow);
    result.asked = policy.asked;
    result
}

impl Result {
    fn take(&mut self, flow: &mut Flow) {
        self.to_element.extend_from_slice(&flow.to_element.split());
        self.to_client.extend_from_slice(&flow.to_client.split());
        self.events.extend(flow.events.drain(..).map(|event| text(&event)));
    }
}

/// `verb path[ -> to] ok|failed|unfinished[ size][ first digits of the digest]`
fn text(event: &FileEvent) -> String {
    let to = event.to.as_ref().map(|to| format!(" -> {to}")).unwrap_or_default();
    let ended = event.succeeded.map_or("unfinished", |done| if done { "ok" } else { "failed" });
    let size = event.size.map(|size| format!(" {size}")).unwrap_or_default();
    let digest = event.sha256.as_ref().map(|digest| format!(" {}", &digest[..8])).unwrap_or_default();
    format!("{}{to} {ended}{size}{digest}", event.action)
}

/// Reads a conversation from a corpus file: steps of side (even: client), length (two bytes) and bytes.
pub(super) fn parse(mut data: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(([side, high, low], after)) = data.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(after.len()));
        data = after;
        steps.push(if side % 2 == 0 { Step::Client(bytes.to_vec()) } else { Step::Element(bytes.to_vec()) });
    }
    steps
}

/// What one side said.
#[cfg(test)]
pub(super) fn said(steps: &[Step], by_client: bool) -> Vec<u8> {
    let of = |step: &Step| match step {
        Step::Client(bytes) if by_client => bytes.clone(),
        Step::Element(bytes) if !by_client => bytes.clone(),
        Step::Client(_) | Step::Element(_) => Vec::new(),
    };
    steps.iter().flat_map(of).collect()
}

/// Damages a conversation, the same way for the same `round`.
#[cfg(test)]
pub(super) fn damage(steps: &mut Vec<Step>, round: u64) {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for _ in 0..=random(3) {
        let count = steps.len();
        if count == 0 {
            return;
        }
        let at = random(count);
        match random(7) {
            0 => drop(steps.remove(at)),
            1 => steps.insert(random(count), steps[at].clone()),
            2 => steps.swap(at, random(count)),
            kind => {
                let (Step::Client(bytes) | Step::Element(bytes)) = &mut steps[at];
                if bytes.is_empty() {
                    continue;
                }
                let place = random(bytes.len());
                match kind {
                    3 => bytes[place] ^= 1 << random(8),
                    4 => bytes[place] = [0, 1, 2, 3, 10, 46, 47, 127, 255][random(9)],
                    5 => bytes.truncate(place),
                    _ => bytes.insert(place, u8::try_from(random(256)).unwrap()),
                }
            }
        }
    }
}
