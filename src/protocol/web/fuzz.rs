//! What must hold of any bytes in the place of requests, and of their paths and queries.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use super::codec::{Follower, Step};
use super::path::{Plus, joined, parameters, query_of, raw_segments, segments};

/// However the bytes are cut, they are followed alike, and nothing passes that was not followed.
pub(crate) fn http_framing(data: &[u8]) {
    let whole = follow(data, usize::MAX);
    for size in [1, 3, 64] {
        assert_eq!(follow(data, size), whole, "cut at every {size}");
    }
    assert!(whole.0.len() + whole.1.as_ref().map_or(0, Vec::len) <= data.len());
}

/// The headers that pass of `data`, which comes in pieces of at most `size`, and the bodies, unless something was refused: how much of a body
/// has passed by then is a matter of cuts.
fn follow(data: &[u8], size: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut follower = Follower::new(1024);
    let (mut heads, mut bodies) = (Vec::new(), Vec::new());
    for mut piece in data.chunks(size.min(data.len()).max(1)) {
        while !piece.is_empty() {
            let taken = match follower.step(piece) {
                Step::Body(count) => {
                    bodies.extend_from_slice(piece.get(..count).unwrap_or_default());
                    count
                }
                Step::Taken(count) => count,
                Step::Head(count) => {
                    heads.append(&mut follower.take_head());
                    count
                }
                Step::TooLong | Step::Refused(_) => return (heads, None),
            };
            assert!(taken > 0, "it goes on");
            piece = piece.get(taken..).unwrap_or_default();
        }
    }
    (heads, Some(bodies))
}

/// What is taken has one form, which is taken for the same; a line end parts a path from a query.
pub(crate) fn http_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, query) = text.split_once('\n').map_or((text, None), |(path, query)| (path, Some(query)));
    if let Ok(found) = segments(path) {
        assert!(raw_segments(path).is_ok());
        assert!(
            found
                .iter()
                .all(|segment| !matches!(segment.as_str(), "" | "." | "..") && !segment.contains(['/', '\\', '\0']))
        );
        assert_eq!(segments(&joined(&found)), Ok(found));
    }
    for plus in [Plus::Blank, Plus::Refuse] {
        if let Ok(found) = parameters(query, plus) {
            assert_eq!(parameters(query_of(&found).strip_prefix('?'), plus), Ok(found));
        }
    }
}
