//! Holds recordings against the audit log: each must be the one that the log says was made.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::reader::{SessionRow, Sessions};
use crate::domain::{Outcome, SessionId};

use super::verify::{Report, State};

/// Something that the log and the recordings say differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The session it is about, when one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The recording's file, relative to its folder.
    pub recording: String,
    /// What is different.
    pub what: String,
}

/// Compares. `reports` are by the file's path relative to the recordings folder; `all` says that they are all there are.
pub fn compare(log: &Sessions, reports: &BTreeMap<String, Report>, all: bool) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for row in log.rows.values() {
        let report = reports.get(&row.facts.recording);
        if report.is_none() && !all {
            continue;
        }
        if let Some(what) = of_session(row, report) {
            found.push(Disagreement { session: Some(row.facts.session), recording: row.facts.recording.clone(), what });
        }
    }
    for (path, report) in reports {
        if report.facts.is_none() && log.rows.values().any(|row| row.facts.recording == *path) {
            continue;
        }
        let session = report.facts.as_ref().map(|facts| facts.session);
        let known = session.and_then(|id| log.rows.get(&id)).is_some_and(|row| row.facts.recording == *path);
        // Neither is one that was just opening when the gateway stopped: its session never was, and the next start seals it.
        let opening = report.state == State::Unsealed && report.frames == 0 && report.intact();
        if known || report.state == State::Open || (opening && !log.recovered.contains_key(path)) {
            continue;
        }
        let what = match log.recovered.get(path) {
            Some(recovered) if Some(&recovered.digest) == report.digest.as_ref() => continue,
            Some(recovered) => {
                format!("it was sealed with the digest {} when it was recovered, and now has another", recovered.digest)
            }
            None => "the audit log knows no session with this recording".to_owned(),
        };
        found.push(Disagreement { session, recording: path.clone(), what });
    }
    found
}

fn of_session(row: &SessionRow, report: Option<&Report>) -> Option<String> {
    let sealed = row.closed.as_ref().and_then(|closed| closed.recording.clone());
    let Some(report) = report else {
        // A recorder that failed at once may have left nothing.
        let never_was =
            sealed.is_none() && row.closed.as_ref().is_some_and(|closed| closed.outcome == Outcome::RecorderFailed);
        return (!never_was).then(|| "its recording is missing".to_owned());
    };
    match &report.facts {
        Some(facts) if *facts != row.facts => {
            return Some("the header of its recording says something else than the log".to_owned());
        }
        Some(_) => {}
        None if report.intact() => return Some("its recording is empty".to_owned()),
        // That the header cannot be read is a fault of the recording, told there.
        None => return None,
    }
    let recovered = row.recovered.as_ref().map(|r| (r.digest.as_str(), r.frames));
    let (digest, frames) = sealed.as_ref().map(|s| (s.digest.as_str(), s.frames)).or(recovered)?;
    if report.state != State::Sealed {
        return Some(format!(
            "the log says that its recording was sealed with {frames} frames; it has {} and no seal: it was cut short",
            report.frames
        ));
    }
    // Damage is told with its place already; the frames it took need not be counted again.
    let same = report.digest.as_deref() == Some(digest) && sealed.as_ref().is_none_or(|s| s.bytes == report.bytes);
    if same && !report.intact() {
        return None;
    }
    if !same || report.frames != frames {
        let now = report.digest.as_deref().unwrap_or("none");
        return Some(format!(
            "the log says {frames} frames with the digest {digest}; the recording has {} with {now}: it was changed or replaced",
            report.frames
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Store;
    use super::super::lab::{Lab, at, opened, play, session};
    use super::*;
    use crate::domain::{Event, RecordingFacts};

    struct Scene {
        lab: Lab,
        log: Sessions,
        sealed: RecordingFacts,
    }

    fn scene() -> Scene {
        let lab = Lab::new();
        let mut log = Sessions::default();
        let recorder = lab.create(1);
        log.note(at(0), opened(session(1), at(0)));
        play(&recorder);
        let sealed = recorder.seal(at(9_000), Outcome::ClientClosed).unwrap();
        let recording = Some(sealed.clone());
        let closed = Event::SessionClosed {
            session: session(1),
            outcome: Outcome::ClientClosed,
            detail: None,
            recording,
            bytes_in: 1,
            bytes_out: 2,
        };
        log.note(at(9_000), closed);
        Scene { lab, log, sealed }
    }

    impl Scene {
        fn compare(&self, files: &[u8]) -> Vec<String> {
            let reports = files
                .iter()
                .map(|n| (Store::path_of(session(*n), at(0)), self.lab.verify(&self.lab.path(*n))))
                .collect();
            compare(&self.log, &reports, true).into_iter().map(|d| d.what).collect()
        }
    }

    #[test]
    fn what_the_log_says_must_be_there() {
        let scene = scene();
        assert_eq!(scene.compare(&[1]), Vec::<String>::new());
        assert_eq!(scene.compare(&[]), ["its recording is missing"]);
        assert!(compare(&scene.log, &BTreeMap::new(), false).is_empty());
        let whole = fs::read(scene.lab.path(1)).unwrap();
        let end = Reader::end_before_seal(&scene.lab.path(1));
        fs::write(scene.lab.path(1), &whole[..end]).unwrap();
        assert!(scene.compare(&[1])[0].contains("cut short"));
        assert!(scene.sealed.frames > 0);
    }

    #[test]
    fn a_recording_sealed_anew_is_not_the_same() {
        let scene = scene();
        fs::remove_file(scene.lab.path(1)).unwrap();
        let recorder = scene.lab.create(1);
        recorder.seal(at(9_000), Outcome::ClientClosed).unwrap();
        assert!(scene.compare(&[1])[0].contains("changed or replaced"));
    }

    #[test]
    fn a_recording_of_no_session_is_told() {
        let mut scene = scene();
        let stranger = scene.lab.create(2);
        assert!(scene.compare(&[1, 2]).is_empty(), "one that is being written is just opening");
        drop(stranger);
        scene.lab.restart();
        assert_eq!(scene.lab.verify(&scene.lab.path(2)).state, State::Unsealed);
        assert!(scene.compare(&[1, 2]).is_empty(), "and so was this one, when the gateway stopped");
        scene.lab.create(3).seal(at(1), Outcome::Idle).unwrap();
        assert_eq!(scene.compare(&[1, 3]), ["the audit log knows no session with this recording"]);
        fs::write(scene.lab.path(2), "").unwrap();
        assert!(scene.compare(&[1, 2]).is_empty(), "nor was anything in this one");
        fs::write(scene.lab.path(1), "").unwrap();
        assert_eq!(scene.compare(&[1, 2]), ["its recording is empty"]);
    }

    #[test]
    fn a_recording_of_no_session_that_says_something_is_told() {
        let mut scene = scene();
        let stranger = scene.lab.create(2);
        play(&stranger);
        drop(stranger);
        scene.lab.restart();
        assert_eq!(scene.compare(&[1, 2]), ["the audit log knows no session with this recording"]);
        let digest = scene.lab.verify(&scene.lab.path(2)).digest.unwrap();
        let recording = Store::path_of(session(2), at(0));
        let recovered = |digest: String| Event::RecordingRecovered {
            session: None,
            recording: recording.clone(),
            frames: 0,
            digest,
            attested: Some(0),
        };
        scene.log.note(at(2), recovered(digest));
        assert!(scene.compare(&[1, 2]).is_empty());
        scene.log.note(at(2), recovered("00".to_owned()));
        assert!(scene.compare(&[1, 2])[0].contains("recovered"));
    }

    use super::super::Reader;

    impl Reader {
        fn end_before_seal(path: &std::path::Path) -> usize {
            let mut reader = Self::open(path).unwrap().unwrap();
            while let Some(item) = reader.next_item().unwrap() {
                if let super::super::Item::Seal(sealed) = item {
                    return usize::try_from(sealed.offset).unwrap();
                }
            }
            panic!("it has no seal")
        }
    }
}
