//! What of a trust set runs out by itself, and when.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);
/// How long ahead each is warned of: a list is renewed every few days, a certificate in a planned change, an authority with all that it issued.
const LIST_AHEAD: Duration = DAY.saturating_mul(7);
const SERVER_AHEAD: Duration = DAY.saturating_mul(14);
const AUTHORITY_AHEAD: Duration = DAY.saturating_mul(90);

/// Something that runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// The file that it stands in.
    pub(super) file: PathBuf,
    /// From when it is good.
    pub(super) from: Timestamp,
    /// The first moment at which it is not good any more.
    pub(super) until: Timestamp,
}

/// What of a trust set runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) server: Term,
    /// One for each revocation list.
    pub(super) lists: Vec<Term>,
    pub(super) authorities: Vec<Term>,
}

impl Terms {
    /// When the next list runs out.
    pub(super) fn next_list_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.lists.iter().map(|list| list.until).filter(|until| *until > now).min()
    }

    pub(super) fn expiries(&self) -> [(&'static str, Timestamp); 3] {
        let first = |terms: &[Term]| terms.iter().map(|t| t.until).min().unwrap_or(Timestamp::from_secs(0));
        [
            ("server-certificate", self.server.until),
            ("revocation-list", first(&self.lists)),
            ("authority", first(&self.authorities)),
        ]
    }

    /// What does not work at `now`, because it has run out or has not begun.
    pub(super) fn run_out(&self, now: Timestamp) -> Vec<String> {
        let mut told = Vec::new();
        let (file, from, until) = (self.server.file.display(), self.server.from, self.server.until);
        if from > now {
            told.push(format!("{file}: the gateway's certificate is not valid before {from}: no client accepts it"));
        }
        if until <= now {
            told.push(format!(
                "{file}: the gateway's certificate ran out at {until}: no client accepts it; make a new one with `sallyport ca renew-server`"
            ));
        }
        for list in self.lists.iter().filter(|list| list.until <= now) {
            told.push(format!(
                "{}: a revocation list ran out at {}: nobody whose certificate it covers is admitted; make a new one with `sallyport ca refresh-crl`",
                list.file.display(),
                list.until
            ));
        }
        told
    }

    /// What does not work, and what will not before long.
    pub(super) fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut told = self.run_out(now);
        let soon = |term: &Term, ahead: Duration| term.until > now && term.until <= now.plus(ahead);
        let left = |term: &Term| match term.until.since(now).as_secs() / DAY.as_secs() {
            0 => "in less than a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        let mut warn = |term: &Term, what: &str, mend: &str| {
            let (file, until) = (term.file.display(), term.until);
            told.push(format!("{file}: {what} runs out at {until}, {}; {mend}", left(term)));
        };
        if soon(&self.server, SERVER_AHEAD) {
            warn(&self.server, "the gateway's certificate", "make a new one with `sallyport ca renew-server`");
        }
        for list in self.lists.iter().filter(|list| soon(list, LIST_AHEAD)) {
            warn(list, "a revocation list", "make a new one with `sallyport ca refresh-crl`");
        }
        for authority in self.authorities.iter().filter(|authority| soon(authority, AUTHORITY_AHEAD)) {
            warn(authority, "an authority", "whoever it vouches for needs certificates of another one");
        }
        for authority in self.authorities.iter().filter(|authority| authority.until <= now) {
            told.push(format!("{}: an authority ran out at {}", authority.file.display(), authority.until));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + days * 86_400)
    }

    fn terms() -> Terms {
        let term = |file: &str, until| Term { file: file.into(), from: at(0), until: at(until) };
        Terms {
            server: term("server.pem", 60),
            lists: vec![term("crl.pem", 30), term("crl.pem", 40)],
            authorities: vec![term("ca.pem", 3_650)],
        }
    }

    #[test]
    fn what_runs_out_is_told_ahead_and_after() {
        let terms = terms();
        let (list, server) = ("crl.pem: a revocation list", "server.pem: the gateway's certificate");
        for (day, warnings, run_out) in [
            (-1, vec![format!("{server} is not valid before")], 1),
            (0, vec![], 0),
            (22, vec![], 0),
            (23, vec![format!("{list} runs out at 2027-02-14T08:00:00Z, in 7 days")], 0),
            (29, vec![format!("{list} runs out at 2027-02-14T08:00:00Z, in 1 day;")], 0),
            (30, vec![format!("{list} ran out")], 1),
            (33, vec![format!("{list} ran out"), format!("{list} runs out")], 1),
            (46, vec![format!("{list} ran out"), format!("{list} ran out"), format!("{server} runs out")], 2),
            (60, vec![format!("{server} ran out"), format!("{list} ran out"), format!("{list} ran out")], 3),
        ] {
            let told = terms.warnings(at(day));
            assert_eq!(told.len(), warnings.len(), "day {day}: {told:#?}");
            for (text, part) in told.iter().zip(&warnings) {
                assert!(text.starts_with(part), "day {day}: {part}: {told:#?}");
            }
            assert_eq!(terms.run_out(at(day)).len(), run_out, "day {day}");
        }
        let late = terms.warnings(at(3_600));
        assert!(late.iter().any(|text| text.contains("ca.pem: an authority runs out")), "{late:#?}");
        assert!(terms.warnings(at(3_650)).iter().any(|text| text.contains("an authority ran out")));
    }

    #[test]
    fn the_next_list_is_one_that_is_left() {
        let terms = terms();
        for (day, next) in [(0, Some(30)), (29, Some(30)), (30, Some(40)), (40, None)] {
            assert_eq!(terms.next_list_after(at(day)), next.map(at), "day {day}");
        }
        assert_eq!(terms.expiries().map(|(_, until)| until), [at(60), at(30), at(3_650)]);
    }
}
